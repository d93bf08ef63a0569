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

STATEWISE_INLINE int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

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
    return {full, used(from), skipped(from), tail, skipped(from) * tail_width()};
  }
  int64_t end(const int (&from)[4]) const { return columns() - (from[3] < 0 ? tail_width() : 0); }

  // The same slots as what a product with the gates' gradients sums over.
  Depth depth(const int (&from)[4]) const {
    const int w = tail_width();
    return {full, used(from) * L, 4 * L, skipped(from) * L, used(from) * w, skipped(from) * w};
  }
};

// Interleave: (a0 b0 a1 b1 ...) of the lower or upper halves.
template <class T, bool upper>
STATEWISE_INLINE Vec<T, lanes<T>> zip(Vec<T, lanes<T>> a, Vec<T, lanes<T>> b) {
  constexpr int L = lanes<T>;
#if defined(__clang__)
  Vec<T, L> r;
  for (int i = 0; i < L; ++i) r[i] = i % 2 ? b[i / 2 + (upper ? L / 2 : 0)] : a[i / 2 + (upper ? L / 2 : 0)];
  return r;
#else
  IntVec<T, L> mask;
  for (int i = 0; i < L; ++i) mask[i] = i / 2 + (upper ? L / 2 : 0) + (i % 2 ? L : 0);
  return __builtin_shuffle(a, b, mask);
#endif
}

template <class T>
STATEWISE_INLINE void transpose(Vec<T, lanes<T>> (&r)[lanes<T>]) {
  constexpr int L = lanes<T>;
  for (int round = 1; round < L; round *= 2) {
    Vec<T, L> s[L];
    for (int i = 0; i < L / 2; ++i) {
      s[2 * i] = zip<T, false>(r[i], r[i + L / 2]);
      s[2 * i + 1] = zip<T, true>(r[i], r[i + L / 2]);
    }
    for (int i = 0; i < L; ++i) r[i] = s[i];
  }
}

// to[k * distance + i] = w[i * width + k] for `rows` <= L rows: one vector's column of a panel. Missing rows are zero.
template <class T>
void pack_transposed(const T* w, int64_t width, int64_t rows, T* to, int64_t distance, int slots) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  int64_t k = 0;
  if (rows == L) {
    for (; k + L <= width; k += L) {
      V r[L];
      for (int i = 0; i < L; ++i) r[i] = load<V>(w + i * width + k);
      transpose<T>(r);
      for (int i = 0; i < L; ++i) store(to + (k + i) * distance, r[i]);
    }
  }
  for (; k < width; ++k)
    for (int i = 0; i < slots; ++i) to[k * distance + i] = i < rows ? w[i * width + k] : T(0);
}

// W (G*H, width) as B of gates = A * W^T: of its panels every `parts`th from `part` on.
template <class C, class T>
void pack_columns(const Blocks<C, T>& blocks, const int (&from)[4], const T* w, int64_t width, T* to, int64_t part,
                  int64_t parts) {
  constexpr int L = lanes<T>;
  const Panels p = blocks.panels(from);
  const auto slot = [&](int64_t unit, int s, int lanes_of_slot, T* at, int64_t distance) {
    const int64_t u = unit + (C::units == 4 ? int64_t(s) * lanes_of_slot : 0);
    const int64_t rows = from[s] < 0 ? 0 : max(0, min(lanes_of_slot, blocks.hidden - u));
    const T* rows_at = rows ? w + (from[s] * blocks.hidden + u) * width : w;
    pack_transposed<T>(rows_at, width, rows, at, distance, lanes_of_slot);
  };
  for (int64_t b = part; b < p.full; b += parts)
    for (int s = p.skip; s < p.skip + p.used; ++s)
      slot(b * blocks.per_block, s, L, to + (b * width * p.used + s - p.skip) * L, p.used * L);
  if (p.full % parts != part) return;
  T* const tail = to + p.full * width * p.used * L;
  for (int s = 0; p.tail && s < 4; ++s)  // those that aren't fed come last
    slot(p.full * blocks.per_block, s, blocks.tail_width(), tail + (s + 4 - p.skip) % 4 * blocks.tail_width(),
         p.tail * L);
}

// W (G*H, width) as B of A's gradient = gates' gradient * W: rows of W in the order of the slots. Of its panels every
// `parts`th from `part` on.
template <class C, class T>
void pack_rows(const Blocks<C, T>& blocks, const int (&from)[4], const T* w, int64_t width, T* to, int64_t part,
               int64_t parts) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  const Panels p = plain_panels<T>(width);
  T* const all = to;
  const auto panel = [&](int64_t column, int vectors) {
    to = all + column * blocks.depth(from).total();
    const auto row = [&](int s, int64_t u) {
      const bool real = from[s] >= 0 && u < blocks.hidden;
      for (int n = 0; n < vectors; ++n, to += L) {
        const int64_t few = min(L, width - column - n * L);
        const T* source = w + (from[s] * blocks.hidden + u) * width + column + n * L;
        store(to, !real ? V{} : few == L ? load<V>(source) : load_first<V>(source, int(few)));
      }
    };
    const auto block = [&](int64_t unit, int lanes_of_slot) {
      for (int s = blocks.skipped(from); s < blocks.skipped(from) + blocks.used(from); ++s)
        for (int i = 0; i < lanes_of_slot; ++i) row(s, unit + i + (C::units == 4 ? int64_t(s) * lanes_of_slot : 0));
    };
    for (int64_t b = 0; b < blocks.full; ++b) block(b * blocks.per_block, L);
    if (blocks.tail) block(blocks.full * blocks.per_block, blocks.tail_width());
  };
  for (int64_t i = part; i < p.full; i += parts) panel(i * 4 * L, 4);
  if (p.tail && p.full % parts == part) panel(p.full * 4 * L, p.tail);
}

// W_hr (P, H) as B of projected = output * W_hr^T.
template <class T>
void pack_projection(const T* w, int64_t projected, int64_t hidden, T* to) {
  constexpr int L = lanes<T>;
  const Panels p = plain_panels<T>(projected);
  const auto panel = [&](int64_t column, int vectors) {
    for (int n = 0; n < vectors; ++n) {
      const int64_t rows = max(0, min(L, projected - column - n * L));
      pack_transposed<T>(w + (column + n * L) * hidden, hidden, rows, to + n * L, vectors * L, L);
    }
    to += hidden * vectors * L;
  };
  for (int64_t i = 0; i < p.full; ++i) panel(i * 4 * L, 4);
  if (p.tail) panel(p.full * 4 * L, p.tail);
}

// W_hr (P, H) as B of output's gradient = projected's gradient * W_hr.
template <class T>
void pack_projection_rows(const T* w, int64_t projected, int64_t hidden, T* to) {
  constexpr int L = lanes<T>;
  const Panels p = plain_panels<T>(hidden);
  const auto panel = [&](int64_t column, int vectors) {
    for (int64_t k = 0; k < projected; ++k)
      for (int i = 0; i < vectors * L; ++i, ++to) *to = column + i < hidden ? w[k * hidden + column + i] : T(0);
  };
  for (int64_t i = 0; i < p.full; ++i) panel(i * 4 * L, 4);
  if (p.tail) panel(p.full * 4 * L, p.tail);
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
