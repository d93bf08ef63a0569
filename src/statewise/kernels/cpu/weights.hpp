// The gradients of the weights: products over a chunk's rows, the groups' partials, and torch's layout.
//
// dW = D^T A, where D are the gradients of the pre-activations and A is what the weight read. Two ways, for either side
// of dW may be the one that fills vectors badly:
//   direct: dW's rows are D's columns and its vectors A's, as torch lays it out. The first group's partial is dW
//   itself. transposed:   a row for each of A's columns, vectors of D's. For narrow A; transposed when the partials are
//   added.

#pragma once

#include "layout.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

constexpr int64_t kSumRows = 128;           // rows that are summed in registers before they are added to a total
constexpr int64_t kPanelReach = 256 << 10;  // bytes: 64 pages, what the first level's TLB holds

// Elements that a direct or transposed partial of dW (parts * H, width) has.
template <class T>
STATEWISE_INLINE int64_t partial_size(const Blocks<T>& blocks, const Fed& fed, bool direct, int64_t width) {
  return direct ? fed.parts * blocks.hidden * width : width * blocks.columns();
}

// Whether the direct way costs less, for a dW of `width` columns summed over `rows` rows in `groups` groups. Counted
// in vector operations; transposing takes about four for each vector of each partial.
template <class T>
bool worth_direct(const Blocks<T>& blocks, const Fed& fed, int64_t width, int64_t rows, int64_t groups) {
  constexpr int L = lanes<T>;
  const int64_t direct = fed.parts * blocks.hidden * ((width + L - 1) / L),
                transposed = width * panel_vectors<T>(blocks.panels(fed));
  return direct * rows <= transposed * (rows + 4 * groups);
}

// What a gradient of a weight is computed from, over `rows` rows of a chunk. The sum is over rows, so pairs are of
// neighbouring rows: those of a are interleaved (see pair_rows), and d's are when a panel of it is copied.
template <class T, class O>
struct Outer {
  int64_t rows;
  const Element<O>* d;
  const O* a;                  // operands<O>(rows) rows
  int64_t d_stride, a_stride;  // a's rows are filled up with zeros to whole vectors
  T* sum;                      // a partial, direct or transposed
  int64_t width;               // of dW
  bool direct, add;            // add: to what the chunks before left
};

// a's rows for a gradient: row r of `to` is row r of `from` or, of pairs, rows 2r and 2r + 1, of which the last may be
// missing. `from` lists rows, null for one of zeros.
template <class T, class O>
void gather_rows(const T* const* from, int64_t rows, int64_t width, O* to, int64_t stride) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  for (int64_t r = 0; r < rows; r += elements<O>, to += stride)
    for (int64_t k = 0; k < width; k += L) {
      const auto numbers = [&](int64_t i) {
        if (i >= rows || !from[i]) return V{};
        return width - k >= L ? load<V>(from[i] + k) : load_first<V>(from[i] + k, int(width - k));
      };
      if constexpr (paired<O>)
        store(to + k, interleave(numbers(r), numbers(r + 1)));
      else
        store(to + k, numbers(r));
    }
}

// The rows of panel `p` of D, copied where they lie so far apart that they would exhaust the TLB, or make pairs.
template <class O>
struct PanelOfD {
  const O* rows;
  int64_t stride;
  STATEWISE_INLINE PanelOfD(const Element<O>* d, int64_t d_stride, int64_t count, int vectors, O* copies) {
    constexpr int L = lanes<O>;
    using V = Vec<Element<O>, L>;
    rows = copies;
    stride = vectors * L;
    if constexpr (paired<O>) {
      for (int64_t r = 0; r < count; r += 2, d += 2 * d_stride, copies += stride)
        for (int n = 0; n < vectors; ++n)
          store(copies + n * L, interleave(load<V>(d + n * L), r + 1 < count ? load<V>(d + d_stride + n * L) : V{}));
    } else {
      if (count * d_stride * int64_t(sizeof(O)) <= kPanelReach) {
        rows = d;
        stride = d_stride;
        return;
      }
      for (int64_t r = 0; r < count; ++r)
        for (int n = 0; n < vectors; ++n) store(copies + (r * vectors + n) * L, load<V>(d + r * d_stride + n * L));
    }
  }
};

// The part of dW that belongs to panel `i` of D (the tail is panel p.full).
template <class T, class O>
void outer_piece(const Outer<T, O>& x, const Blocks<T>& blocks, const Fed& fed, int64_t i) {
  constexpr int L = lanes<T>;
  const Panels p = blocks.panels(fed);
  const bool tail = i == p.full;
  const Panel panel = tail ? Panel{blocks.full * blocks.width, 0, blocks.tail} : panel_at(p, i);
  const int vectors = panel.vectors;
  const int64_t column = panel.vector * L, b = tail ? blocks.full : i / p.cuts;
  const int first = tail ? 0 : int(panel.vector - b * blocks.width), last = tail ? blocks.width : first + vectors;
  alignas(64) O copies[operands<O>(kSumRows) * 4 * L];
  for (int64_t r = 0; r < x.rows; r += kSumRows) {
    const int64_t rows = min(kSumRows, x.rows - r);
    const bool add = x.add || r > 0;
    const O* a = x.a + r / elements<O> * x.a_stride;
    const int64_t depth = operands<O>(rows);
    const PanelOfD<O> d(x.d + r * x.d_stride + column, x.d_stride, rows, vectors, copies);
    if (!x.direct) {
      outer<T, O>(
          {depth, a, x.a_stride, x.width, d.rows, d.stride, vectors * L, x.sum + column, blocks.columns(), add});
      continue;
    }
    for (int64_t k = 0; k < x.width; k += 4 * L)  // a's panel stays in cache for all slots
      for (int v = first; v < last; ++v) {
        const auto part = blocks.part(b, v, fed);
        if (part.units > 0)
          outer<T, O>({depth, d.rows + part.column - column, d.stride, part.units, a + k, x.a_stride,
                       min(4 * L, x.width - k), x.sum + part.row * x.width + k, x.width, add});
      }
  }
}

template <class T>
STATEWISE_INLINE int64_t panel_count(const Panels& p) {
  return p.full + (p.tail > 0);
}

// sum[column] of D's columns over `rows` rows: the gradient of the biases.
template <class T, class E>
void sum_columns(int64_t rows, const E* d, int64_t d_stride, int64_t columns, T* sum, bool add) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  for (int64_t r0 = 0; r0 < rows; r0 += kSumRows, add = true)
    for (int64_t k = 0; k < columns; k += L) {
      const int64_t r1 = min(rows, r0 + kSumRows);
      V even{}, odd{};
      int64_t r = r0;
      for (; r + 2 <= r1; r += 2) {
        even += load_elements<V>(d + r * d_stride + k);
        odd += load_elements<V>(d + (r + 1) * d_stride + k);
      }
      if (r < r1) even += load_elements<V>(d + r * d_stride + k);
      even += odd;
      store(sum + k, add ? load<V>(sum + k) + even : even);
    }
}

// The groups' transposed partials of one weight's gradient, added in their order and transposed into torch's layout:
// the inverse of pack_columns. Block `b`; the tail is block blocks.full.
template <class T>
void transpose_block(const Blocks<T>& blocks, const Fed& fed, const T* sum, int64_t groups, int64_t width, T* dw,
                     int64_t b) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  const int64_t stride = blocks.columns(), size = partial_size(blocks, fed, false, width);
  for (int v = 0; v < blocks.width; ++v) {
    const auto part = blocks.part(b, v, fed);
    const int64_t column = part.column, units = part.units;
    T* to = dw + part.row * width;
    int64_t k = 0;
    if (units == L) {
      for (; k + L <= width; k += L) {
        V r[L];
        for (int i = 0; i < L; ++i) {
          r[i] = load<V>(sum + (k + i) * stride + column);
          for (int64_t g = 1; g < groups; ++g) r[i] += load<V>(sum + g * size + (k + i) * stride + column);
        }
        transpose<T>(r);
        for (int i = 0; i < L; ++i) store(to + i * width + k, r[i]);
      }
    }
    for (; k < width; ++k)
      for (int64_t i = 0; i < units; ++i) {
        T v = sum[k * stride + column + i];
        for (int64_t g = 1; g < groups; ++g) v += sum[g * size + k * stride + column + i];
        to[i * width + k] = v;
      }
  }
}

// to[first, last) += the other groups' direct partials of `size` elements, which follow one another at `sum`.
template <class T>
void add_partials(const T* sum, int64_t groups, int64_t size, int64_t first, int64_t last, T* to) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  for (int64_t i = first; i < last; i += L) {
    const int few = int(min(L, last - i));
    const auto part = [&](const T* p) { return few == L ? load<V>(p + i) : load_first<V>(p + i, few); };
    V v = part(to);
    for (int64_t g = 1; g < groups; ++g) v += part(sum + (g - 1) * size);
    if (few == L)
      store(to + i, v);
    else
      store_first(to + i, v, few);
  }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
