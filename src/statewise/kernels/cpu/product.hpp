// Matrix products by register tiles: C = A * B with B packed in panels of up to four vectors. README.md has the
// picture.

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
  STATEWISE_INLINE RowsOf from(int64_t r) const {
    return list ? RowsOf{base, stride, list + r} : RowsOf{base + r * stride, stride, nullptr};
  }
};

// Which of a row's elements a product sums over: `full` runs of `length` at distance `stride` from `offset` on, then
// `tail` elements of the next run from `tail_offset` on. (The GRU's h reads three of every four slots.)
struct Depth {
  int64_t full, length, stride, offset, tail, tail_offset;
  STATEWISE_INLINE int64_t total() const { return full * length + tail; }
};

STATEWISE_INLINE Depth contiguous(int64_t n) { return {1, n, n, 0, 0, 0}; }

// How B's columns are cut: `full` panels of four vectors, of which `used` from vector `skip` on are stored, then one
// panel of `tail` vectors (none if 0), from its element `tail_skip` on.
struct Panels {
  int64_t full;
  int used, skip, tail, tail_skip;
};

template <class T>
STATEWISE_INLINE int64_t panel_vectors(const Panels& p) {
  return p.full * p.used + p.tail;
}

template <class T>
STATEWISE_INLINE Panels plain_panels(int64_t columns) {
  const int64_t vectors = (columns + lanes<T> - 1) / lanes<T>;
  return {vectors / 4, 4, 0, int(vectors % 4), 0};
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
  return kRegisters == 32 ? (vectors == 4   ? 6
                             : vectors == 3 ? 8
                                            : 12)
                          : (vectors == 4   ? 3
                             : vectors == 3 ? 4
                             : vectors == 2 ? 6
                                            : 12);
}

// How many terms a sum takes before it is added to a total: one long float32 sum would lose digits.
constexpr int64_t kSumDepth = 256;

// Into how many interleaved sums a tile of `rows` x `vectors` splits its depth: too few sums at once would leave the
// fused multiply-add waiting for itself (4 cycles, two a cycle).
constexpr int slices(int rows, int vectors) {
  const int room = (kRegisters == 32 ? 24 : 8) / (rows * vectors);
  return room >= 4 ? 4 : room >= 2 ? 2 : 1;
}

// The innermost loop of all products. element(m, k) is A's, row(k) where B's k-th row of N vectors begins. Slice s
// takes every S-th k, the first one also what is left over.
template <class T, int M, int N, int S, class Element, class Row>
STATEWISE_INLINE void accumulate(Vec<T, lanes<T>> (&acc)[S][M][N], int64_t depth, const Element& element,
                                 const Row& row) {
  using V = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>;
  const auto add = [&](auto s, int64_t k) __attribute__((always_inline)) {
    if constexpr (M < N && kRegisters == 16) {  // too few registers to hold B's vectors: hold A's elements
      V a[M];
      unroll<M>(STATEWISE_EACH(m) { a[m] = broadcast<V>(element(m, k)); });
      unroll<N>(STATEWISE_EACH(n) {
        const V b = load<V>(row(k) + n * L);
        unroll<M>(STATEWISE_EACH(m) { acc[s][m][n] = fma<V>(a[m], b, acc[s][m][n]); });
      });
    } else {
      V b[N];
      unroll<N>(STATEWISE_EACH(n) { b[n] = load<V>(row(k) + n * L); });
      unroll<M>(STATEWISE_EACH(m) {
        const V a = broadcast<V>(element(m, k));
        unroll<N>(STATEWISE_EACH(n) { acc[s][m][n] = fma<V>(a, b[n], acc[s][m][n]); });
      });
    }
  };
  int64_t k = 0;
  for (; k + S <= depth; k += S) unroll<S>(STATEWISE_EACH(s) { add(s, k + s); });
  for (; S > 1 && k < depth; ++k) add(Index<0>(), k);
}

template <int M, int N, int S, class V>
STATEWISE_INLINE void clear_sums(V (&acc)[S][M][N]) {
  unroll<S * M * N>(STATEWISE_EACH(i) { acc[i / (M * N)][i / N % M][i % N] = V{}; });
}

// The slices' sums, added pairwise into the first.
template <int M, int N, int S, class V>
STATEWISE_INLINE void join_slices(V (&acc)[S][M][N]) {
  unroll<M * N>(STATEWISE_EACH(i) {
    constexpr int m = decltype(i)() / N, n = decltype(i)() % N;
    if constexpr (S == 4) acc[1][m][n] += acc[3][m][n], acc[0][m][n] += acc[2][m][n];
    if constexpr (S > 1) acc[0][m][n] += acc[1][m][n];
  });
}

// Rows [row, row + M) of the panel of N vectors at `b`, which writes C from `column` on.
template <class T, int M, int N>
__attribute__((noinline)) void tile(const Product<T>& x, int64_t row, const T* b, int64_t column) {
  using V = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>, S = slices(M, N);
  const T* a[M];
  unroll<M>(STATEWISE_EACH(m) { a[m] = x.a[row + m] + x.depth.offset; });
  V acc[S][M][N], total[S][M][N];
  clear_sums<M, N, S>(acc);
  int64_t summed = 0;
  bool flushed = false;
  const auto flush = [&] {  // acc into total, in memory
    unroll<S * M * N>(STATEWISE_EACH(i) {
      V& t = total[i / (M * N)][i / N % M][i % N];
      V& a = acc[i / (M * N)][i / N % M][i % N];
      t = flushed ? t + a : a;
      a = V{};
    });
    flushed = true;
    summed = 0;
  };
  const auto run = STATEWISE_EACH(length) {
    for (int64_t k0 = 0; k0 < length; k0 += kSumDepth) {
      if (summed >= kSumDepth) flush();
      const int64_t some = min(kSumDepth, length - k0);
      accumulate<T, M, N, S>(
          acc, some, [&](int m, int64_t k) __attribute__((always_inline)) { return a[m][k0 + k]; },
          [&](int64_t k) __attribute__((always_inline)) { return b + (k0 + k) * N * L; });
      summed += some;
    }
  };
  for (int64_t f = 0; f < x.depth.full; ++f) {
    run(x.depth.length);
    b += x.depth.length * N * L;
    unroll<M>(STATEWISE_EACH(m) { a[m] += x.depth.stride; });
  }
  if (x.depth.tail) {
    unroll<M>(STATEWISE_EACH(m) { a[m] += x.depth.tail_offset - x.depth.offset; });
    run(x.depth.tail);
  }
  if (flushed)
    unroll<S * M * N>(
        STATEWISE_EACH(i) { acc[i / (M * N)][i / N % M][i % N] += total[i / (M * N)][i / N % M][i % N]; });
  join_slices<M, N, S>(acc);
  const bool whole = x.columns - column >= N * L;
  unroll<M>(STATEWISE_EACH(m) {
    T* c = x.c[row + m] + column;
    unroll<N>(STATEWISE_EACH(n) {
      V v = acc[0][m][n];
      if (x.bias) v += load<V>(x.bias + column + n * L);
      if (whole) {
        store(c + n * L, x.add ? load<V>(c + n * L) + v : v);
      } else {
        const int few = int(max(min(x.columns - column - n * L, L), 0));
        store_first(c + n * L, x.add ? load_first<V>(c + n * L, few) + v : v, few);
      }
    });
  });
}

template <class T, int N, int M>
STATEWISE_INLINE void tile_of(int rows, const Product<T>& x, int64_t row, const T* b, int64_t column) {
  if constexpr (M > 0) {
    if (rows == M)
      tile<T, M, N>(x, row, b, column);
    else
      tile_of<T, N, M - 1>(rows, x, row, b, column);
  }
}

// All rows of one panel, in tiles of nearly equal height.
template <class T, int N>
STATEWISE_INLINE void panel_rows(const Product<T>& x, const T* b, int64_t column) {
  constexpr int most = tile_rows(N);
  const int64_t tiles = (x.rows + most - 1) / most;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t row = x.rows * i / tiles;
    tile_of<T, N, most>(int(x.rows * (i + 1) / tiles - row), x, row, b, column);
  }
}

// Full panel i, for callers that want to work on a part of C while it is in cache.
template <class T>
void multiply_panel(const Product<T>& x, int64_t i) {
  constexpr int L = lanes<T>;
  const T* b = x.b + i * x.depth.total() * x.panels.used * L;
  const int64_t column = (i * 4 + x.panels.skip) * L;
  if (x.panels.used == 4)
    panel_rows<T, 4>(x, b, column);
  else
    panel_rows<T, 3>(x, b, column);
}

template <class T>
void multiply_tail(const Product<T>& x) {
  constexpr int L = lanes<T>;
  const T* b = x.b + x.panels.full * x.depth.total() * x.panels.used * L;
  const int64_t column = x.panels.full * 4 * L + x.panels.tail_skip;
  switch (x.panels.tail) {
    case 1:
      panel_rows<T, 1>(x, b, column);
      break;
    case 2:
      panel_rows<T, 2>(x, b, column);
      break;
    case 3:
      panel_rows<T, 3>(x, b, column);
      break;
    default:
      break;
  }
}

// Piece `i` of piece_count(x): some rows of one panel. How a product is cut depends on its sizes alone.
template <class T>
STATEWISE_INLINE int64_t row_parts(const Product<T>& x) {
  return x.rows >= 64 ? 2 : 1;
}

template <class T>
STATEWISE_INLINE int64_t piece_count(const Product<T>& x) {
  return (x.panels.full + (x.panels.tail > 0)) * row_parts(x);
}

template <class T>
void multiply_piece(Product<T> x, int64_t i) {
  const int64_t parts = row_parts(x), first = x.rows * (i % parts) / parts, last = x.rows * (i % parts + 1) / parts;
  x.rows = last - first;
  x.a = x.a.from(first);
  x.c = x.c.from(first);
  if (i / parts < x.panels.full)
    multiply_panel(x, i / parts);
  else
    multiply_tail(x);
}

template <class T>
void multiply(const Product<T>& x) {
  for (int64_t i = 0; i < x.panels.full; ++i) multiply_panel(x, i);
  multiply_tail(x);
}

// C = A^T * B summed over `rows`: A's columns [0, a_columns) become C's rows, and the vectors of B at `b` its columns,
// of which the first b_columns (at most four vectors) are stored. For the gradients of weights.
template <class T>
struct Transposed {
  int64_t rows;
  const T* a;
  int64_t a_stride, a_columns;
  const T* b;
  int64_t b_stride, b_columns;
  T* c;
  int64_t c_stride;
  bool add;  // C += instead of C =
};

template <class T, int M, int N>
__attribute__((noinline)) void outer_tile(const Transposed<T>& x, int64_t m0) {
  using V = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>, S = slices(M, N);
  V acc[S][M][N];
  clear_sums<M, N, S>(acc);
  const T* const a = x.a + m0;
  accumulate<T, M, N, S>(
      acc, x.rows, [&](int m, int64_t r) __attribute__((always_inline)) { return a[r * x.a_stride + m]; },
      [&](int64_t r) __attribute__((always_inline)) { return x.b + r * x.b_stride; });
  join_slices<M, N, S>(acc);
  const bool whole = x.b_columns == N * L;
  unroll<M>(STATEWISE_EACH(m) {
    T* c = x.c + (m0 + m) * x.c_stride;
    unroll<N>(STATEWISE_EACH(n) {
      const V v = acc[0][m][n];
      if (n < N - 1 || whole) {
        store(c + n * L, x.add ? load<V>(c + n * L) + v : v);
      } else {
        const int few = int(x.b_columns - n * L);
        store_first(c + n * L, x.add ? load_first<V>(c + n * L, few) + v : v, few);
      }
    });
  });
}

template <class T, int N, int M>
STATEWISE_INLINE void outer_tile_of(int columns, const Transposed<T>& x, int64_t m0) {
  if constexpr (M > 0) {
    if (columns == M)
      outer_tile<T, M, N>(x, m0);
    else
      outer_tile_of<T, N, M - 1>(columns, x, m0);
  }
}

template <class T, int N>
void outer_panel(const Transposed<T>& x) {
  constexpr int most = tile_rows(N);
  const int64_t tiles = (x.a_columns + most - 1) / most;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t m = x.a_columns * i / tiles;
    outer_tile_of<T, N, most>(int(x.a_columns * (i + 1) / tiles - m), x, m);
  }
}

template <class T>
void outer(const Transposed<T>& x) {
  switch ((x.b_columns + lanes<T> - 1) / lanes<T>) {
    case 1:
      outer_panel<T, 1>(x);
      break;
    case 2:
      outer_panel<T, 2>(x);
      break;
    case 3:
      outer_panel<T, 3>(x);
      break;
    case 4:
      outer_panel<T, 4>(x);
      break;
    default:
      break;
  }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
