// Matrix products by register tiles: C = A * B with B packed in panels of up to four vectors. README.md has the picture.

#pragma once

#include "simd.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// The rows of a matrix, at equal distances or, where they lie scattered, listed.
template <class T>
struct RowsOf {
  T* base;
  int64_t stride;
  T* const* list;
  STATEWISE_INLINE T* operator[](int64_t r) const { return list ? list[r] : base + r * stride; }
};

// Which of a row's elements a product sums over: `full` runs of `length` at distance `stride` from `offset` on, then
// `tail` elements of the next run from `tail_offset` on. (The GRU's h reads three of every four slots.)
struct Depth {
  int64_t full, length, stride, offset, tail, tail_offset;
  STATEWISE_INLINE int64_t total() const { return full * length + tail; }
};

STATEWISE_INLINE Depth contiguous(int64_t n) { return {1, n, n, 0, 0, 0}; }

// How B's columns are cut: `full` panels of four vectors, of which `used` from vector `skip` on are stored, then one
// panel of `tail` vectors (none if 0).
struct Panels {
  int64_t full;
  int used, skip, tail;
};

template <class T>
STATEWISE_INLINE int64_t panel_vectors(const Panels& p) {
  return p.full * p.used + p.tail;
}

template <class T>
STATEWISE_INLINE Panels plain_panels(int64_t columns) {
  const int64_t vectors = (columns + lanes<T> - 1) / lanes<T>;
  return {vectors / 4, 4, 0, int(vectors % 4)};
}

template <class T>
struct Product {
  int64_t rows;
  RowsOf<const T> a;
  Depth depth;
  const T* b;
  Panels panels;
  RowsOf<T> c;
  int64_t columns;  // of C; vectors that reach past it are cut
  const T* bias;    // added to each row, padded to whole vectors; or null
  bool add;         // C += instead of C =
};

// How many rows a tile of n vectors has: as many as the registers hold beside n of B and one of A.
constexpr int tile_rows(int vectors) {
  return kRegisters == 32 ? (vectors == 4 ? 6 : vectors == 3 ? 8 : 12) : (vectors == 4 ? 3 : vectors == 3 ? 4 : vectors == 2 ? 6 : 12);
}

// How many panels run side by side where there are too few rows to hide the latency of the fused multiply-add.
constexpr int side_by_side(int rows, int vectors) {
  const int room = (kRegisters == 32 ? 24 : 12) / (rows * vectors);
  return room >= 4 ? 4 : room >= 2 ? 2 : 1;
}

template <class T, int M, int N, int P>
STATEWISE_INLINE void accumulate(Vec<T, lanes<T>> (&acc)[P][M][N], const T* const (&a)[M], const T* b, int64_t apart,
                                 int64_t depth) {
  using V = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>;
  for (int64_t k = 0; k < depth; ++k) {
    if constexpr (M < N && kRegisters == 16) {  // too few registers to hold B's vectors: hold A's elements
      V s[M];
      for (int m = 0; m < M; ++m) s[m] = broadcast<V>(a[m][k]);
      for (int p = 0; p < P; ++p)
        for (int n = 0; n < N; ++n) {
          const V w = load<V>(b + p * apart + (k * N + n) * L);
          for (int m = 0; m < M; ++m) acc[p][m][n] = fma<V>(s[m], w, acc[p][m][n]);
        }
    } else {
      for (int p = 0; p < P; ++p) {
        V w[N];
        for (int n = 0; n < N; ++n) w[n] = load<V>(b + p * apart + (k * N + n) * L);
        for (int m = 0; m < M; ++m) {
          const V s = broadcast<V>(a[m][k]);
          for (int n = 0; n < N; ++n) acc[p][m][n] = fma<V>(s, w[n], acc[p][m][n]);
        }
      }
    }
  }
}

// Rows [row, row + M) of P neighbouring panels of N vectors, the first of which writes C from `column` on.
template <class T, int M, int N, int P>
__attribute__((noinline)) void tile(const Product<T>& x, int64_t row, const T* b, int64_t apart, int64_t column,
                                    int64_t column_apart) {
  using V = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>;
  const T* a[M];
  for (int m = 0; m < M; ++m) a[m] = x.a[row + m] + x.depth.offset;
  V acc[P][M][N] = {};
  for (int64_t f = 0; f < x.depth.full; ++f) {
    accumulate<T, M, N, P>(acc, a, b, apart, x.depth.length);
    b += x.depth.length * N * L;
    for (int m = 0; m < M; ++m) a[m] += x.depth.stride;
  }
  if (x.depth.tail) {
    for (int m = 0; m < M; ++m) a[m] += x.depth.tail_offset - x.depth.offset;
    accumulate<T, M, N, P>(acc, a, b, apart, x.depth.tail);
  }
  for (int p = 0; p < P; ++p)
    for (int m = 0; m < M; ++m) {
      const int64_t start = column + p * column_apart;
      T* c = x.c[row + m] + start;
      for (int n = 0; n < N; ++n) {
        V v = acc[p][m][n];
        if (x.bias) v += load<V>(x.bias + start + n * L);
        const int64_t left = x.columns - start - n * L;
        if (left >= L) {
          store(c + n * L, x.add ? load<V>(c + n * L) + v : v);
        } else {
          const int few = int(max(left, 0));
          store_first(c + n * L, x.add ? load_first<V>(c + n * L, few) + v : v, few);
        }
      }
    }
}

template <class T, int N, int P, int M>
STATEWISE_INLINE void tile_of(int rows, const Product<T>& x, int64_t row, const T* b, int64_t apart, int64_t column,
                              int64_t column_apart) {
  if constexpr (M > 0) {
    if (rows == M)
      tile<T, M, N, P>(x, row, b, apart, column, column_apart);
    else
      tile_of<T, N, P, M - 1>(rows, x, row, b, apart, column, column_apart);
  }
}

// All rows of one panel, in tiles of nearly equal height.
template <class T, int N>
STATEWISE_INLINE void panel_rows(const Product<T>& x, const T* b, int64_t column) {
  constexpr int most = tile_rows(N);
  const int64_t tiles = (x.rows + most - 1) / most;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t row = x.rows * i / tiles;
    tile_of<T, N, 1, most>(int(x.rows * (i + 1) / tiles - row), x, row, b, 0, column, 0);
  }
}

// With one to three rows, several panels at once.
template <class T, int N, int M>
STATEWISE_INLINE int64_t few_rows(const Product<T>& x, int64_t first, int64_t last, const T* b, int64_t apart) {
  constexpr int P = side_by_side(M, N);
  if constexpr (P > 1) {
    constexpr int L = lanes<T>;
    for (; first + P <= last; first += P)
      tile<T, M, N, P>(x, 0, b + first * apart, apart, (first * 4 + x.panels.skip) * L, 4 * L);
  }
  return first;
}

template <class T, int N>
STATEWISE_INLINE void full_panels(const Product<T>& x, int64_t first, int64_t last) {
  constexpr int L = lanes<T>;
  const int64_t apart = x.depth.total() * N * L;
  if (x.rows == 1) first = few_rows<T, N, 1>(x, first, last, x.b, apart);
  if (x.rows == 2) first = few_rows<T, N, 2>(x, first, last, x.b, apart);
  if (x.rows == 3) first = few_rows<T, N, 3>(x, first, last, x.b, apart);
  for (; first < last; ++first) panel_rows<T, N>(x, x.b + first * apart, (first * 4 + x.panels.skip) * L);
}

// Full panels [first, last), for callers that want to work on a part of C while it is in cache.
template <class T>
void multiply_panels(const Product<T>& x, int64_t first, int64_t last) {
  if (x.panels.used == 4)
    full_panels<T, 4>(x, first, last);
  else
    full_panels<T, 3>(x, first, last);
}

template <class T>
void multiply_tail(const Product<T>& x) {
  constexpr int L = lanes<T>;
  const T* b = x.b + x.panels.full * x.depth.total() * x.panels.used * L;
  const int64_t column = x.panels.full * 4 * L;
  switch (x.panels.tail) {
    case 1: panel_rows<T, 1>(x, b, column); break;
    case 2: panel_rows<T, 2>(x, b, column); break;
    case 3: panel_rows<T, 3>(x, b, column); break;
    case 4: panel_rows<T, 4>(x, b, column); break;
    default: break;
  }
}

template <class T>
void multiply(const Product<T>& x) {
  if (x.rows == 0) return;
  multiply_panels(x, 0, x.panels.full);
  multiply_tail(x);
}

// One term of a weight gradient, C += A^T * D summed over `rows`: A's columns [0, columns) become C's rows, and the N
// vectors of D at `d` its columns. A and D are copies made for this product, rows `a_stride` and `d_stride` apart.
template <class T, int M, int N>
__attribute__((noinline)) void outer_tile(int64_t rows, const T* a, int64_t a_stride, const T* d, int64_t d_stride, T* c,
                                          int64_t c_stride, bool add) {
  using V = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>;
  V acc[M][N] = {};
  for (int64_t r = 0; r < rows; ++r, a += a_stride, d += d_stride) {
    if constexpr (M < N && kRegisters == 16) {
      V s[M];
      for (int m = 0; m < M; ++m) s[m] = broadcast<V>(a[m]);
      for (int n = 0; n < N; ++n) {
        const V w = load<V>(d + n * L);
        for (int m = 0; m < M; ++m) acc[m][n] = fma<V>(s[m], w, acc[m][n]);
      }
    } else {
      V w[N];
      for (int n = 0; n < N; ++n) w[n] = load<V>(d + n * L);
      for (int m = 0; m < M; ++m) {
        const V s = broadcast<V>(a[m]);
        for (int n = 0; n < N; ++n) acc[m][n] = fma<V>(s, w[n], acc[m][n]);
      }
    }
  }
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) {
      T* to = c + m * c_stride + n * L;
      store(to, add ? load<V>(to) + acc[m][n] : acc[m][n]);
    }
}

template <class T, int N, int M>
STATEWISE_INLINE void outer_tile_of(int columns, int64_t rows, const T* a, int64_t a_stride, const T* d, int64_t d_stride,
                                    T* c, int64_t c_stride, bool add) {
  if constexpr (M > 0) {
    if (columns == M)
      outer_tile<T, M, N>(rows, a, a_stride, d, d_stride, c, c_stride, add);
    else
      outer_tile_of<T, N, M - 1>(columns, rows, a, a_stride, d, d_stride, c, c_stride, add);
  }
}

template <class T, int N>
void outer_panel(int64_t rows, const T* a, int64_t a_stride, int64_t columns, const T* d, int64_t d_stride, T* c,
                 int64_t c_stride, bool add) {
  constexpr int most = tile_rows(N);
  const int64_t tiles = (columns + most - 1) / most;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t m = columns * i / tiles;
    outer_tile_of<T, N, most>(int(columns * (i + 1) / tiles - m), rows, a + m, a_stride, d, d_stride, c + m * c_stride,
                              c_stride, add);
  }
}

template <class T>
void outer(int vectors, int64_t rows, const T* a, int64_t a_stride, int64_t columns, const T* d, int64_t d_stride, T* c,
           int64_t c_stride, bool add) {
  switch (vectors) {
    case 1: outer_panel<T, 1>(rows, a, a_stride, columns, d, d_stride, c, c_stride, add); break;
    case 2: outer_panel<T, 2>(rows, a, a_stride, columns, d, d_stride, c, c_stride, add); break;
    case 3: outer_panel<T, 3>(rows, a, a_stride, columns, d, d_stride, c, c_stride, add); break;
    case 4: outer_panel<T, 4>(rows, a, a_stride, columns, d, d_stride, c, c_stride, add); break;
    default: break;
  }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
