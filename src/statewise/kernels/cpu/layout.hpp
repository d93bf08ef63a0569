// How a row of gates lies in memory, and how weights are packed to match. README.md has the picture.
//
// A row is cut into blocks of four slots. A full block has four vectors: for a gated cell the four gates of the same L
// units (L lanes a vector), for an ungated one 4*L units. What is left of H goes into a tail block with slots of L/4 or
// L/2 lanes, one or two vectors in all, if that is enough; so H = 50 costs 13 vectors of 16 lanes, not 16.

#pragma once

#include "job.hpp"
#include "product.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

template <class C, class T>
struct Blocks {
  static constexpr int L = lanes<T>;
  static constexpr int per_block = C::units * L;  // units in a full block
  int64_t full;
  int tail;  // vectors of the tail block: 0, 1 or 2
  int64_t hidden;

  explicit Blocks(int64_t h) : full(h / per_block), tail(0), hidden(h) {
    const int64_t left = h - full * per_block;
    if (left > 0 && left * 4 <= per_block && L >= 4)
      tail = 1;
    else if (left > 0 && left * 2 <= per_block)
      tail = 2;
    else if (left > 0)
      ++full;
  }

  int tail_width() const { return tail * L / 4; }  // lanes of a slot
  int64_t columns() const { return (full * 4 + tail) * L; }
  int64_t units() const { return full * per_block + tail_width() * C::units; }

  // Where unit u's pre-activation of slot s lies in a row. Of an ungated cell the slots are consecutive units.
  int64_t column(int s, int64_t u) const {
    if (C::units == 4) return u;
    const int64_t block = u / L;
    return block < full ? block * 4 * L + s * L + u % L : full * 4 * L + s * tail_width() + (u - full * L);
  }

  // Slot `s` of block `b`, of which the tail is block `full`.
  struct Slot {
    int lanes;
    int64_t column;      // where it lies in a row of gates
    int64_t row, units;  // the rows of a weight that feed it, as many as there are units; none if it isn't fed
  };
  Slot slot(int64_t b, int s, const int (&from)[4]) const {
    const int width = b < full ? L : tail_width();
    const int64_t unit = b * per_block + (C::units == 4 ? int64_t(s) * width : 0);
    const int64_t units = from[s] < 0 ? 0 : max(0, min(width, hidden - unit));
    return {width, b * 4 * L + int64_t(s) * width, from[s] * hidden + unit, units};
  }
  int64_t count() const { return full + (tail > 0); }

  // The slots fed by one of the two weights. A product writes these and no others: what it would add to them is zero
  // times data, which is NaN where the data are infinite.
  static constexpr int skipped(const int (&from)[4]) { return from[0] < 0 ? 1 : 0; }
  static constexpr int used(const int (&from)[4]) { return (from[0] < 0 || from[3] < 0) ? 3 : 4; }
  Panels panels(const int (&from)[4]) const {
    return {.full = full,
            .used = used(from),
            .skip = skipped(from),
            .tail = tail,
            .tail_skip = skipped(from) * tail_width(),
            .dots = 0};
  }
  int64_t end(const int (&from)[4]) const { return columns() - (from[3] < 0 ? tail_width() : 0); }

  // The same slots as what a product with the gates' gradients, as operands O, sums over; of the tail block what isn't
  // padding, but for pairs.
  template <class O>
  Depth depth(const int (&from)[4]) const {
    constexpr int n = elements<O>;
    Depth d{.full = full, .length = used(from) * L / n, .stride = 4 * L / n, .offset = skipped(from) * L / n};
    const int w = tail_width();
    d.tail_offset = skipped(from) * w / n;
    if (paired<O>) {
      d.tail_runs = tail > 0;
      d.tail_length = used(from) * w / n;
    } else if (tail) {
      d.tail_runs = C::units == 4 ? 1 : used(from);
      d.tail_length = hidden - full * per_block;
      d.tail_stride = w;
    }
    return d;
  }
};

// Two vectors of W lanes as one, and its halves. For those that rows_at_once calls for alone.
template <class T, int W>
STATEWISE_INLINE Vec<T, 2 * W> join(Vec<T, W> a, Vec<T, W> b) {
#if defined(__AVX512F__)
  if constexpr (W * sizeof(T) == 32)
    return (Vec<T, 2 * W>)_mm512_insertf64x4(_mm512_castpd256_pd512((__m256d)a), (__m256d)b, 1);
#endif
#if defined(__AVX2__)
  if constexpr (W * sizeof(T) == 16)
    return (Vec<T, 2 * W>)_mm256_insertf128_pd(_mm256_castpd128_pd256((__m128d)a), (__m128d)b, 1);
#endif
  Vec<T, 2 * W> v{};
  for (int i = 0; i < W; ++i) v[i] = a[i], v[W + i] = b[i];
  return v;
}

template <class T, int W, bool upper>
STATEWISE_INLINE Vec<T, W / 2> half(Vec<T, W> v) {
#if defined(__AVX512F__)
  if constexpr (W * sizeof(T) == 64) return (Vec<T, W / 2>)_mm512_extractf64x4_pd((__m512d)v, upper);
#endif
#if defined(__AVX2__)
  if constexpr (W * sizeof(T) == 32) return (Vec<T, W / 2>)_mm256_extractf128_pd((__m256d)v, upper);
#endif
  Vec<T, W / 2> h{};
  for (int i = 0; i < W / 2; ++i) h[i] = v[i + (upper ? W / 2 : 0)];
  return h;
}

// How many rows a cell takes at once where its slots have W lanes: as many as fill a vector, where halves of a vector
// are registers too.
template <class T, int W>
constexpr int rows_at_once = kVectorBytes > 16 && W * sizeof(T) >= 16 ? lanes<T> / W : 1;

// A vector of R rows of W lanes, row after row: that of row r is at row(r).
template <class T, int W, int R, class Row>
STATEWISE_INLINE Vec<T, W * R> load_rows(const Row& row) {
  if constexpr (R == 1)
    return load<Vec<T, W>>(row(0));
  else
    return join<T, W * R / 2>(
        load_rows<T, W, R / 2>(row),
        load_rows<T, W, R / 2>([&](int r) __attribute__((always_inline)) { return row(r + R / 2); }));
}

// The inverse: each(r, row r's lanes).
template <class T, int W, int R, class Each>
STATEWISE_INLINE void split_rows(Vec<T, W * R> v, const Each& each) {
  if constexpr (R == 1) {
    each(0, v);
  } else {
    split_rows<T, W, R / 2>(half<T, W * R, false>(v), each);
    split_rows<T, W, R / 2>(half<T, W * R, true>(v),
                            [&](int r, Vec<T, W> part) __attribute__((always_inline)) { each(r + R / 2, part); });
  }
}

// to[k * distance + i] = operand k of row i of w, for `rows` <= L rows: one vector's column of a panel. Missing rows
// are zero.
template <class T, class O>
void pack_transposed(const T* w, int64_t width, int64_t rows, O* to, int64_t distance, int slots) {
  constexpr int L = lanes<O>, E = elements<O>;
  int64_t k = 0;
  if (rows == L) {
    for (; (k + L) * E <= width; k += L) {
      Vec<O, L> r[L];
      for (int i = 0; i < L; ++i) r[i] = load_operands<O>(w + i * width + k * E);
      transpose<O>(r);
      for (int i = 0; i < L; ++i) store(to + (k + i) * distance, r[i]);
    }
  }
  for (; k * E < width; ++k)
    for (int i = 0; i < slots; ++i)
      to[k * distance + i] = i < rows ? load_operand<O>(w + i * width + k * E, width - k * E) : O(0);
}

// W (G*H, width) as B of gates = A * W^T: of its panels every `parts`th from `part` on.
template <class C, class T, class O>
void pack_columns(const Blocks<C, T>& blocks, const int (&from)[4], const T* w, int64_t width, O* to, int64_t part,
                  int64_t parts) {
  constexpr int L = lanes<T>;
  const Panels p = blocks.panels(from);
  const int64_t depth = operands<O>(width);
  const auto slot = [&](int64_t unit, int s, int lanes_of_slot, O* at, int64_t distance) {
    const int64_t u = unit + (C::units == 4 ? int64_t(s) * lanes_of_slot : 0);
    const int64_t rows = from[s] < 0 ? 0 : max(0, min(lanes_of_slot, blocks.hidden - u));
    const T* rows_at = rows ? w + (from[s] * blocks.hidden + u) * width : w;
    pack_transposed(rows_at, width, rows, at, distance, lanes_of_slot);
  };
  for (int64_t b = part; b < p.full; b += parts)
    for (int s = p.skip; s < p.skip + p.used; ++s)
      slot(b * blocks.per_block, s, L, to + (b * depth * p.used + s - p.skip) * L, p.used * L);
  if (p.full % parts != part) return;
  O* const tail = to + p.full * depth * p.used * L;
  for (int s = 0; p.tail && s < 4; ++s)  // those that aren't fed come last
    slot(p.full * blocks.per_block, s, blocks.tail_width(), tail + (s + 4 - p.skip) % 4 * blocks.tail_width(),
         p.tail * L);
}

// W (G*H, width) as B of A's gradient = gates' gradient * W: rows of W in the order of the slots. Of its panels every
// `parts`th from `part` on.
template <class C, class T, class O>
void pack_rows(const Blocks<C, T>& blocks, const int (&from)[4], const T* w, int64_t width, O* to, int64_t part,
               int64_t parts) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  const Panels p = row_panels<T, O>(width);
  const int64_t depth = blocks.template depth<O>(from).total();
  const auto each_row = [&](const auto& pack) {  // of operands, as that of the first number and the one after it
    const auto block = [&](int64_t unit, int lanes_of_slot) {
      for (int s = blocks.skipped(from); s < blocks.skipped(from) + blocks.used(from); ++s)
        for (int i = 0; i < lanes_of_slot; i += elements<O>) {
          const int64_t first = unit + i + (C::units == 4 ? int64_t(s) * lanes_of_slot : 0);
          const auto row = [&](int64_t u) {  // null: one of zeros
            return from[s] >= 0 && u < blocks.hidden ? w + (from[s] * blocks.hidden + u) * width : nullptr;
          };
          if (paired<O> || lanes_of_slot == L || row(first))
            pack(row(first), row(first + 1));  // as Blocks::depth has it
        }
    };
    for (int64_t b = 0; b < blocks.full; ++b) block(b * blocks.per_block, L);
    if (blocks.tail) block(blocks.full * blocks.per_block, blocks.tail_width());
  };
  const auto panel = [&](int64_t column, int vectors) {
    O* at = to + column * depth;
    each_row([&](const T* first, const T* second) {
      for (int n = 0; n < vectors; ++n, at += L) {
        const int64_t few = min(L, width - column - n * L);
        const auto numbers = [&](const T* row) {
          return !row ? V{} : few == L ? load<V>(row + column + n * L) : load_first<V>(row + column + n * L, int(few));
        };
        if constexpr (paired<O>)
          store(at, interleave(numbers(first), numbers(second)));
        else
          store(at, numbers(first));
      }
    });
  };
  for (int64_t i = part; i < p.full; i += parts) panel(i * 4 * L, 4);
  if (p.full % parts != part) return;
  if (p.tail) panel(p.full * 4 * L, p.tail);
  const int64_t column = (p.full * 4 + p.tail) * L;
  for (int i = 0; i < p.dots; ++i) {  // of numbers alone
    O* at = to + column * depth + i * round_up(depth, L);
    each_row([&](const T* row, const T*) { *at++ = row ? O(row[column + i]) : O(0); });
  }
}

// W_hr (P, H) as B of projected = output * W_hr^T.
template <class T, class O>
void pack_projection(const T* w, int64_t projected, int64_t hidden, O* to) {
  constexpr int L = lanes<T>;
  const Panels p = plain_panels<T>(projected);
  const auto panel = [&](int64_t column, int vectors) {
    for (int n = 0; n < vectors; ++n) {
      const int64_t rows = max(0, min(L, projected - column - n * L));
      pack_transposed(w + (column + n * L) * hidden, hidden, rows, to + n * L, vectors * L, L);
    }
    to += operands<O>(hidden) * vectors * L;
  };
  for (int64_t i = 0; i < p.full; ++i) panel(i * 4 * L, 4);
  if (p.tail) panel(p.full * 4 * L, p.tail);
}

// W_hr (P, H) as B of output's gradient = projected's gradient * W_hr.
template <class T, class O>
void pack_projection_rows(const T* w, int64_t projected, int64_t hidden, O* to) {
  constexpr int L = lanes<T>;
  const auto number = [&](int64_t k, int64_t i) { return k < projected && i < hidden ? w[k * hidden + i] : T(0); };
  const Panels p = plain_panels<T>(hidden);
  const auto panel = [&](int64_t column, int vectors) {
    for (int64_t k = 0; k < projected; k += elements<O>)
      for (int64_t i = column; i < column + vectors * L; ++i) *to++ = operand_of<O>(number(k, i), number(k + 1, i));
  };
  for (int64_t i = 0; i < p.full; ++i) panel(i * 4 * L, 4);
  if (p.tail) panel(p.full * 4 * L, p.tail);
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
