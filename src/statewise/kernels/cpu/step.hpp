// One step of one row through one layer, as streams make them: what forward.hpp does, without what many rows or steps
// need. Everything that is the same for all steps has been worked out before; nothing is planned, taken or locked here.
//
// A block's gates never see memory: its two products end in registers, on which the cell goes on. And as the next state
// is written beside the one that is read, the cell of one block, which waits for its own results, is computed while the
// products of the next are.

#pragma once

#include "cell.hpp"
#include "scan.hpp"
#include "streams.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// How long a sum may be that isn't cut: see kSumDepth. A step that reads more is forward.hpp's.
constexpr int64_t kStepDepth = 4 * kSumDepth;

// As many sums at once as hide the latency of a fused multiply-add, and fit the registers.
constexpr int step_slices(int vectors) { return vectors > 2 ? 2 : 4; }

// sums = a (1, depth) times a panel of N vectors.
template <class T, int N>
STATEWISE_INLINE void sum_row(const T* a, int64_t depth, const T* b, Vec<T, lanes<T>> (&sums)[N]) {
  constexpr int L = lanes<T>, S = step_slices(N);
  Vec<T, L> acc[S][1][N];
  clear_sums<1, N, S>(acc);
  accumulate<T, T, 1, N, S>(
      acc, depth, [&](int, int64_t k) __attribute__((always_inline)) { return a[k]; },
      [&](int64_t k) __attribute__((always_inline)) { return b + k * N * L; });
  join_slices<1, N, S>(acc);
  unroll<N>(STATEWISE_EACH(n) { sums[n] = acc[0][0][n]; });
}

// The same of a block of N vectors, which is stored as panels of up to four.
template <class T, int N>
STATEWISE_INLINE void sum_block(const T* a, int64_t depth, const T* b, Vec<T, lanes<T>> (&sums)[N]) {
  if constexpr (N <= 4) {
    sum_row<T, N>(a, depth, b, sums);
  } else {
    Vec<T, lanes<T>> first[4], rest[N - 4];
    sum_row<T, 4>(a, depth, b, first);
    sum_block<T, N - 4>(a, depth, b + 4 * depth * lanes<T>, rest);
    unroll<N>(STATEWISE_EACH(n) { sums[n] = n < 4 ? first[n % 4] : rest[n < 4 ? 0 : n - 4]; });
  }
}

// Lanes [i * W, (i + 1) * W) of the vectors.
template <class T, int W, int N>
STATEWISE_INLINE Vec<T, W> part_of(const Vec<T, lanes<T>> (&vectors)[N], int i) {
  constexpr int L = lanes<T>;
  const int vector = i * W / L;
  if constexpr (W == L) {
    return vectors[vector];
  } else {
    const Vec<T, L / 2> of_two =
        i * W % L * 2 < L ? half<T, L, false>(vectors[vector]) : half<T, L, true>(vectors[vector]);
    if constexpr (W * 2 == L)
      return of_two;
    else
      return i * W % (L / 2) == 0 ? half<T, L / 2, false>(of_two) : half<T, L / 2, true>(of_two);
  }
}

template <class T>
struct LayerStep {
  void (*step)(const LayerStep&, const StepMemory&);
  const T *x_columns, *h_columns, *bias, *vectors;
  int64_t I, P, units;
  BlockSizes blocks;
  int x_vectors, x_tail;  // of W_ih x in a block, and in the one that isn't full
};

// Which slots each of the products of a cell feeds.
struct FedSlots {
  int first, count;
};
constexpr FedSlots fed(const CellShape& c, const int* from) {
  FedSlots f{0, 0};
  while (f.first < c.slots && from[f.first] < 0) ++f.first;
  while (f.first + f.count < c.slots && from[f.first + f.count] >= 0) ++f.count;
  return f;
}

template <class C, class T, int W>
STATEWISE_INLINE void step_block(const LayerStep<T>& s, const StepMemory& m, int64_t b) {
  constexpr int L = lanes<T>, U = units_of(C::shape), S = C::shape.slots, K = C::shape.states;
  constexpr FedSlots of_x = fed(C::shape, C::shape.from_x), of_h = fed(C::shape, C::shape.from_h);
  constexpr int X = (of_x.count * U * W + L - 1) / L, H = (of_h.count * U * W + L - 1) / L;
  using V = Vec<T, W>;
  const int64_t unit = b * U * L;
  Vec<T, L> x[at_least_one(X)], h[at_least_one(H)];
  if (m.sums) {
    const T* const sums = static_cast<const T*>(m.sums) + b * of_x.count * U * L;
    unroll<X>(STATEWISE_EACH(n) { x[n] = load<Vec<T, L>>(sums + n * L); });
  } else {
    sum_block<T, X>(static_cast<const T*>(m.x), s.I, s.x_columns + b * of_x.count * U * L * s.I, x);
  }
  if constexpr (H > 0) sum_block<T, H>(static_cast<const T*>(m.h), s.P, s.h_columns + b * of_h.count * U * L * s.P, h);
  V a[U][S], before[U][K], after[U][K], w[U][at_least_one(C::shape.vectors)], none[1];
  unroll<U>(STATEWISE_EACH(i) {
    unroll<S>(STATEWISE_EACH(k) {
      constexpr int slot = decltype(k){}, at = slot * U + decltype(i){};
      a[i][k] = load<V>(s.bias + b * S * U * L + at * W);
      if constexpr (slot < of_x.count) a[i][k] += part_of<T, W>(x, at);
      if constexpr (slot >= of_h.first && slot < of_h.first + of_h.count)
        a[i][k] += part_of<T, W>(h, at - of_h.first * U);
    });
    unroll<K>(
        STATEWISE_EACH(k) { before[i][k] = load<V>(static_cast<const T*>(k == 0 ? m.h : m.state[k]) + unit + i * W); });
    unroll<C::shape.vectors>(STATEWISE_EACH(k) { w[i][k] = load<V>(s.vectors + k * s.units + unit + i * W); });
  });
  unroll<U>(STATEWISE_EACH(i) { C::template forward<0, T, W>(a[i], before[i], w[i], nullptr, after[i], none); });
  unroll<U>(STATEWISE_EACH(i) {
    unroll<K>(STATEWISE_EACH(k) { store(static_cast<T*>(m.state[k]) + unit + i * W, after[i][k]); });
  });
}

// To and fro, so that the weights that one step reads last, and the next one first, are still in the first-level cache.
template <class C, class T>
void step_layer(const LayerStep<T>& s, const StepMemory& m) {
  const auto tail = [&]() __attribute__((always_inline)) {
    if (s.blocks.tail_lanes)
      with_lanes<T>(
          s.blocks, s.blocks.full,
          STATEWISE_EACH(lanes_of) { step_block<C, T, decltype(lanes_of){}>(s, m, s.blocks.full); });
  };
  if (m.fro) tail();
  for (int64_t i = 0; i < s.blocks.full; ++i) step_block<C, T, lanes<T>>(s, m, m.fro ? s.blocks.full - 1 - i : i);
  if (!m.fro) tail();
}

// How many rows are multiplied with a panel at once: each gets the sums that it would get alone, in the same order.
constexpr int kDenseRows = kRegisters == 32 ? 3 : 1;

// y (M, N vectors) = x times a panel, plus the bias; past `left` columns nothing is written.
template <class T, int M, int N>
STATEWISE_INLINE void multiply_rows(const T* x, int64_t x_row, int64_t depth, const T* b, const T* bias, int64_t left,
                                    T* y, int64_t y_row) {
  constexpr int L = lanes<T>, S = step_slices(N);
  Vec<T, L> acc[S][M][N];
  clear_sums<M, N, S>(acc);
  accumulate<T, T, M, N, S>(
      acc, depth, [&](int m, int64_t k) __attribute__((always_inline)) { return x[m * x_row + k]; },
      [&](int64_t k) __attribute__((always_inline)) { return b + k * N * L; });
  join_slices<M, N, S>(acc);
  unroll<M>(STATEWISE_EACH(m) {
    unroll<N>(STATEWISE_EACH(n) {
      const Vec<T, L> sum = acc[0][m][n], v = bias ? sum + load<Vec<T, L>>(bias + n * L) : sum;
      T* const to = y + m * y_row + n * L;
      if (left >= (n + 1) * L)
        store(to, v);
      else
        store_first(to, v, int(max(0, left - n * L)));
    });
  });
}

// The same of any number of rows and up to four vectors: while the panel is near.
template <class T>
void multiply_all_rows(int vectors, int64_t rows, const T* x, int64_t x_row, int64_t depth, const T* b, const T* bias,
                       int64_t left, T* y, int64_t y_row) {
  const auto write = [&](auto m, auto n, int64_t r) __attribute__((always_inline)) {
    multiply_rows<T, decltype(m){}, decltype(n){}>(x + r * x_row, x_row, depth, b, bias, left, y + r * y_row, y_row);
  };
  const auto all = [&](auto n) __attribute__((always_inline)) {
    int64_t r = 0;
    for (; kDenseRows > 1 && r + kDenseRows <= rows; r += kDenseRows) write(Index<kDenseRows>(), n, r);
    for (; r < rows; ++r) write(Index<1>(), n, r);
  };
  if (vectors == 4) all(Index<4>());
  if (vectors == 3) all(Index<3>());
  if (vectors == 2) all(Index<2>());
  if (vectors == 1) all(Index<1>());
}

// W_ih x of many steps, with the sums of sum_block; W_ih is read once for all of them.
template <class T>
void project_steps(const LayerStep<T>& s, int64_t steps, const T* x, int64_t x_row, T* to, int64_t to_row) {
  constexpr int L = lanes<T>;
  for (int64_t b = 0; b <= s.blocks.full; ++b)
    for (int vectors = b < s.blocks.full ? s.x_vectors : s.x_tail, n = 0; n < vectors; n += 4) {
      const int64_t column = (b * s.x_vectors + n) * L;
      const int some = min(4, vectors - n);
      multiply_all_rows<T>(some, steps, x, x_row, s.I, s.x_columns + column * s.I, nullptr, some * L, to + column,
                           to_row);
    }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
