// Products of few rows with weights as torch lays them out: packing would cost more than it saves.

#pragma once

#include "layout.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// The dot products of `a` with up to a vector's worth of W's rows, `width` long.
template <class T>
STATEWISE_INLINE Vec<T, lanes<T>> dot_rows(const T* w, int64_t rows, int64_t width, const T* a) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  V sums[L];
  unroll<L>(STATEWISE_EACH(i) { sums[i] = V{}; });
  int64_t k = 0;
  if (rows == L) {
    for (; k + L <= width; k += L) {
      const V x = load<V>(a + k);
      unroll<L>(STATEWISE_EACH(i) { sums[i] = fma<V>(load<V>(w + i * width + k), x, sums[i]); });
    }
  } else {
    for (; k + L <= width; k += L) {
      const V x = load<V>(a + k);
      for (int64_t i = 0; i < rows; ++i) sums[i] = fma<V>(load<V>(w + i * width + k), x, sums[i]);
    }
  }
  if (k < width) {
    const int few = int(width - k);
    const V x = load_first<V>(a + k, few);
    for (int64_t i = 0; i < rows; ++i) sums[i] = fma<V>(load_first<V>(w + i * width + k, few), x, sums[i]);
  }
  return add_across<T>(sums);
}

// Block `b` (the tail is block blocks.full) of gates = bias + A W^T, or of gates += A W^T without a bias, for W (parts
// * H, width). Slots that W doesn't feed get their bias alone.
template <class T>
void multiply_unpacked(const Blocks<T>& blocks, const Fed& fed, const T* w, int64_t width, int64_t b, int64_t rows,
                       const RowsOf<const T>& a, const T* bias, const RowsOf<T>& gates) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  for (int v = 0; v < blocks.width; ++v) {
    const auto part = blocks.part(b, v, fed);
    for (int64_t r = 0; r < rows && (part.units > 0 || bias); ++r) {
      T* to = gates[r] + part.column;
      V sum = load_first<V>(bias ? bias + part.column : to, part.lanes);
      if (part.units > 0) sum += dot_rows<T>(w + part.row * width, part.units, width, a[r]);
      store_first(to, sum, part.lanes);
    }
  }
}

// One row of C = D W, or of C += D W: N vectors at `c`, of which the first `columns` elements exist.
template <class T, int N>
void row_tile(const Blocks<T>& blocks, const Fed& fed, const T* w, int64_t width, const T* d, T* c, int64_t columns,
              bool add) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  V acc[N];
  unroll<N>(STATEWISE_EACH(n) { acc[n] = V{}; });
  const int last = int(columns - (N - 1) * L);  // lanes of the last vector
  for (int64_t b = 0; b < blocks.count(); ++b) {
    for (int v = 0; v < blocks.width; ++v) {
      const auto part = blocks.part(b, v, fed);
      const T* row = w + part.row * width;
      for (int64_t i = 0; i < part.units; ++i, row += width) {
        const V x = broadcast<V>(d[part.column + i]);
        unroll<N>(STATEWISE_EACH(n) {
          const V w = n < N - 1 || last == L ? load<V>(row + n * L) : load_first<V>(row + n * L, last);
          acc[n] = fma<V>(x, w, acc[n]);
        });
      }
    }
  }
  unroll<N>(STATEWISE_EACH(n) {
    const int few = n < N - 1 ? L : last;
    store_first(c + n * L, add ? load_first<V>(c + n * L, few) + acc[n] : acc[n], few);
  });
}

// C = D W, or C += D W, for W (parts * H, width) and D rows of gates' gradients.
template <class T>
void multiply_rows_unpacked(const Blocks<T>& blocks, const Fed& fed, const T* w, int64_t width, int64_t rows,
                            const RowsOf<const T>& d, const RowsOf<T>& c, bool add) {
  constexpr int L = lanes<T>;
  for (int64_t k = 0; k < width; k += 4 * L) {
    const int64_t columns = min(4 * L, width - k);
    const auto all = STATEWISE_EACH(vectors) {
      for (int64_t r = 0; r < rows; ++r)
        row_tile<T, decltype(vectors){}>(blocks, fed, w + k, width, d[r], c[r] + k, columns, add);
    };
    const int64_t vectors = (columns + L - 1) / L;
    if (vectors == 4) all(Index<4>());
    if (vectors == 3) all(Index<3>());
    if (vectors == 2) all(Index<2>());
    if (vectors == 1) all(Index<1>());
  }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
