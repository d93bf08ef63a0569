// Matrix products by register tiles: C = A * B with B packed in panels of up to four vectors. README.md has the
// picture.

#pragma once

#include "operand.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

STATEWISE_INLINE int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

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

// sums[i] added up lane by lane: lane i of the result is the sum over the lanes of sums[i].
template <class T>
STATEWISE_INLINE Vec<T, lanes<T>> add_across(Vec<T, lanes<T>> (&sums)[lanes<T>]) {
  for (int n = lanes<T> / 2; n > 0; n /= 2)  // halves are interleaved, so that the order comes out right
    for (int i = 0; i < n; ++i) sums[i] = zip<T, false>(sums[i], sums[i + n]) + zip<T, true>(sums[i], sums[i + n]);
  return sums[0];
}

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

// Which of a row's elements a product sums over: `full` runs of `length` at distance `stride` from `offset` on, and
// from where the next one would begin, and tail_offset on, some more of tail_length. (The GRU's h reads three of every
// four slots, and of a tail block's slots only some lanes are units.) Counted in operands.
struct Depth {
  int64_t full, length, stride, offset;
  int64_t tail_runs = 0, tail_length = 0, tail_stride = 0, tail_offset = 0;
  STATEWISE_INLINE int64_t total() const { return full * length + tail_runs * tail_length; }
};

STATEWISE_INLINE Depth contiguous(int64_t n) { return {.full = 1, .length = n, .stride = n, .offset = 0}; }

// Of rows of n numbers.
template <class O>
STATEWISE_INLINE Depth depth_of(int64_t n) {
  return contiguous(is_narrow<O> ? n : operands<O>(n));
}

// How B's columns are cut: into blocks of `width` vectors, of which `used` from vector `skip` on are stored, as `cuts`
// panels of up to four; then one panel of `tail` vectors (none if 0), which begins at C's column tail_column; then
// `dots` columns that lie one after the other, each filled up to whole vectors. `full` counts panels.
struct Panels {
  int64_t full;
  int width, used, cuts, skip, tail;
  int64_t tail_column;
  int dots;
};

template <class T>
STATEWISE_INLINE int64_t panel_vectors(const Panels& p) {
  return p.full / p.cuts * p.used + p.tail;
}

template <class T>
STATEWISE_INLINE Panels plain_panels(int64_t columns) {
  const int64_t vectors = (columns + lanes<T> - 1) / lanes<T>;
  return {.full = vectors / 4,
          .width = 4,
          .used = 4,
          .cuts = 1,
          .skip = 0,
          .tail = int(vectors % 4),
          .tail_column = vectors / 4 * 4 * lanes<T>,
          .dots = 0};
}

// Full panel `i`: its first vector in C, how many it has, and how many there are in the panels before it.
struct Panel {
  int64_t vector, stored;
  int vectors;
};

STATEWISE_INLINE Panel panel_at(const Panels& p, int64_t i) {
  if (p.cuts == 1) return {i * p.width + p.skip, i * p.used, p.used};
  const int64_t block = i / p.cuts;
  const int cut = int(i % p.cuts) * 4;
  return {block * p.width + p.skip + cut, block * p.used + cut, int(min(4, p.used - cut))};
}

// Up to two columns too many for whole vectors are cheaper as dot products; not of pairs, of which those lack a second.
template <class T, class O>
STATEWISE_INLINE Panels row_panels(int64_t columns) {
  const int64_t left = columns % lanes<T>;
  if (!plain<O> || left == 0 || left > 2 || columns < lanes<T> || lanes<T> < 8) return plain_panels<T>(columns);
  Panels p = plain_panels<T>(columns - left);
  p.dots = int(left);
  return p;
}

template <class T, class O>
struct Product {
  int64_t rows;
  RowsOf<const Given<O>> a;
  Depth depth;  // of narrow operands in numbers, without runs
  const O* b;
  Panels panels;
  RowsOf<T> c;
  int64_t columns;          // of C; vectors that reach past it are cut
  const T* bias;            // added to each row, padded to whole vectors; or null
  bool add;                 // C += instead of C =
  const T* unit = nullptr;  // of NarrowQuads: of each column of B, by which its sums are multiplied
};

// How many rows a tile of n vectors has: as many as the registers hold beside n of B and one of A. (Sums of halves
// take two registers each.)
template <class O>
constexpr int tile_rows(int vectors) {
  return kRegisters == 32 && !same<O, NarrowQuad> ? (vectors == 4   ? 6
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
template <class T, class O, int M, int N, int S, class ElementAt, class Row>
STATEWISE_INLINE void accumulate(Vec<T, lanes<T>> (&acc)[S][M][N], int64_t depth, const ElementAt& element,
                                 const Row& row) {
  using V = Vec<O, lanes<O>>;
  constexpr int L = lanes<T>;
  const auto add = [&](auto s, int64_t k) __attribute__((always_inline)) {
    if constexpr (M < N && kRegisters == 16) {  // too few registers to hold B's vectors: hold A's elements
      V a[M];
      unroll<M>(STATEWISE_EACH(m) { a[m] = broadcast<V>(element(m, k)); });
      unroll<N>(STATEWISE_EACH(n) {
        const V b = load<V>(row(k) + n * L);
        unroll<M>(STATEWISE_EACH(m) { acc[s][m][n] = multiply_add(a[m], b, acc[s][m][n]); });
      });
    } else {
      V b[N];
      unroll<N>(STATEWISE_EACH(n) { b[n] = load<V>(row(k) + n * L); });
      unroll<M>(STATEWISE_EACH(m) {
        const V a = broadcast<V>(element(m, k));
        unroll<N>(STATEWISE_EACH(n) { acc[s][m][n] = multiply_add(a, b[n], acc[s][m][n]); });
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

// Brings n elements that are about to be written into the first-level cache.
template <int n, class T>
STATEWISE_INLINE void prefetch_to_change(T* p) {
  constexpr int line = 64 / sizeof(T);
  unroll<(n + line - 1) / line>(STATEWISE_EACH(i) { __builtin_prefetch(p + i * line, 1); });
}

// Sums, v(m, n), to C at c[m], with the bias: both at the panel's first column, which C has `left` of from there on.
template <class T, int M, int N, class V>
STATEWISE_INLINE void write_tile(const V& v, T* const (&c)[M], const T* bias, bool add, int64_t left) {
  using Vector = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>;
  const bool whole = left >= N * L;
  unroll<M>(STATEWISE_EACH(m) {
    unroll<N>(STATEWISE_EACH(n) {
      T* const to = c[m] + n * L;
      Vector sum = v(m, n);
      if (bias) sum += load<Vector>(bias + n * L);
      if (whole) {
        store(to, add ? load<Vector>(to) + sum : sum);
      } else {
        const int few = int(max(min(left - n * L, L), 0));
        store_first(to, add ? load_first<Vector>(to, few) + sum : sum, few);
      }
    });
  });
}

// Rows [row, row + M) of the panel of N vectors at `b`, which writes C from `column` on.
template <class T, class O, int M, int N>
__attribute__((noinline)) void tile(const Product<T, O>& x, int64_t row, const O* b, int64_t column) {
  using V = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>, S = slices(M, N);
  const bool add = x.add;  // C's elements might be x's members, for all that the compiler knows
  const T* const bias = x.bias ? x.bias + column : nullptr;
  const int64_t left = x.columns - column;
  const O* a[M];
  T* c[M];
  unroll<M>(STATEWISE_EACH(m) {
    a[m] = x.a[row + m] + x.depth.offset;
    c[m] = x.c[row + m] + column;
    prefetch_to_change<N * L>(c[m]);
  });
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
      accumulate<T, O, M, N, S>(
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
  unroll<M>(STATEWISE_EACH(m) { a[m] += x.depth.tail_offset - x.depth.offset; });
  for (int64_t f = 0; f < x.depth.tail_runs; ++f) {
    run(x.depth.tail_length);
    b += x.depth.tail_length * N * L;
    unroll<M>(STATEWISE_EACH(m) { a[m] += x.depth.tail_stride; });
  }
  if (flushed)
    unroll<S * M * N>(
        STATEWISE_EACH(i) { acc[i / (M * N)][i / N % M][i % N] += total[i / (M * N)][i / N % M][i % N]; });
  join_slices<M, N, S>(acc);
  write_tile<T, M, N>([&](int m, int n) __attribute__((always_inline)) { return acc[0][m][n]; }, c, bias, add, left);
}

// The same of weights that are kept narrow: see narrow.hpp.
template <int M, int N>
void narrow_tile(const Product<float, NarrowPair>& x, int64_t row, const NarrowPair* b, int64_t column);
template <int M, int N>
void narrow_tile(const Product<float, NarrowQuad>& x, int64_t row, const NarrowQuad* b, int64_t column);

template <int N, int M, class T, class O>
STATEWISE_INLINE void tile_of(int rows, const Product<T, O>& x, int64_t row, const O* b, int64_t column) {
  if constexpr (M > 0) {
    if (rows != M)
      tile_of<N, M - 1>(rows, x, row, b, column);
    else if constexpr (is_narrow<O>)
      narrow_tile<M, N>(x, row, b, column);
    else
      tile<T, O, M, N>(x, row, b, column);
  }
}

// All rows of one panel, in tiles of nearly equal height.
template <int N, class T, class O>
STATEWISE_INLINE void panel_rows(const Product<T, O>& x, const O* b, int64_t column) {
  constexpr int most = tile_rows<O>(N);
  const int64_t tiles = (x.rows + most - 1) / most;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t row = x.rows * i / tiles;
    tile_of<N, most>(int(x.rows * (i + 1) / tiles - row), x, row, b, column);
  }
}

template <class T, class O>
STATEWISE_INLINE void multiply_vectors(const Product<T, O>& x, int vectors, int64_t stored, int64_t column) {
  const int64_t depth = is_narrow<O> ? operands<O>(x.depth.total()) : x.depth.total();
  const O* const b = x.b + stored * depth * lanes<T>;
  switch (vectors) {
    case 1:
      panel_rows<1>(x, b, column);
      break;
    case 2:
      panel_rows<2>(x, b, column);
      break;
    case 3:
      panel_rows<3>(x, b, column);
      break;
    case 4:
      panel_rows<4>(x, b, column);
      break;
    default:
      break;
  }
}

template <class T, class O>
void multiply_panel(const Product<T, O>& x, int64_t i) {
  const Panel p = panel_at(x.panels, i);
  multiply_vectors(x, p.vectors, p.stored, p.vector * lanes<T>);
}

template <class T, class O>
void multiply_tail(const Product<T, O>& x) {
  const Panels& p = x.panels;
  multiply_vectors(x, p.tail, p.full / p.cuts * p.used, p.tail_column);
}

// Block `b`'s panels, for callers that want to work on a part of C while it is in cache.
template <class T, class O>
void multiply_block(const Product<T, O>& x, int64_t b) {
  const int cuts = x.panels.cuts;
  if (b * cuts >= x.panels.full) return multiply_tail(x);
  for (int i = 0; i < cuts; ++i) multiply_panel(x, b * cuts + i);
}

// The elements of C that are dot products, D of each of up to M rows from `row` on: M * D sums at most fill a vector.
template <class T, int M, int D>
void dot_rows_and_columns(const Product<T, T>& x, int64_t row) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  const int64_t column = (x.panels.full * 4 + x.panels.tail) * L, depth = x.depth.total();
  const T *a[M], *b = x.b + column * depth;
  unroll<M>(STATEWISE_EACH(m) { a[m] = x.a[min(row + m, x.rows - 1)] + x.depth.offset; });  // the last may come twice
  V sums[L];
  unroll<L>(STATEWISE_EACH(i) { sums[i] = V{}; });
  const auto add = [&](int64_t at, const auto& load_some) __attribute__((always_inline)) {
    V w[D];
    unroll<D>(STATEWISE_EACH(i) { w[i] = load_some(b + i * round_up(depth, L)); });
    unroll<M>(STATEWISE_EACH(m) {
      const V v = load_some(a[m] + at);
      unroll<D>(STATEWISE_EACH(i) { sums[m * D + i] = fma<V>(v, w[i], sums[m * D + i]); });
    });
  };
  for (int64_t f = 0; f < x.depth.full; ++f)
    for (int64_t k = 0; k < x.depth.length; k += L, b += L)  // a run has whole vectors
      add(f * x.depth.stride + k, [](const T* p) __attribute__((always_inline)) { return load<V>(p); });
  const int64_t tail = x.depth.full * x.depth.stride + x.depth.tail_offset - x.depth.offset;
  for (int64_t f = 0; f < x.depth.tail_runs; ++f)
    for (int64_t k = 0; k < x.depth.tail_length; k += L) {
      const int few = int(min(L, x.depth.tail_length - k));
      add(tail + f * x.depth.tail_stride + k,
          [&](const T* p) __attribute__((always_inline)) { return load_first<V>(p, few); });
      b += few;
    }
  T added[L];
  store(added, add_across<T>(sums));
  const bool to_c = x.add;
  for (int64_t m = 0; m < min(M, x.rows - row); ++m) {
    T* const c = x.c[row + m] + column;
    for (int i = 0; i < D; ++i) c[i] = to_c ? c[i] + added[m * D + i] : added[m * D + i];
  }
}

template <class T, int D>
STATEWISE_INLINE void dot_columns_of(const Product<T, T>& x) {
  constexpr int M = lanes<T> / D;
  for (int64_t row = 0; row < x.rows; row += M)
    if (row + 1 == x.rows)
      dot_rows_and_columns<T, 1, D>(x, row);
    else
      dot_rows_and_columns<T, M, D>(x, row);
}

template <class T, class O>
void dot_columns(const Product<T, O>& x) {
  if constexpr (lanes<T> >= 8 && plain<O>) {
    if (x.panels.dots == 1) dot_columns_of<T, 1>(x);
    if (x.panels.dots == 2) dot_columns_of<T, 2>(x);
  }
}

// Piece `i` of piece_count(x): some rows of one panel. How a product is cut depends on its sizes alone.
template <class T, class O>
STATEWISE_INLINE int64_t row_parts(const Product<T, O>& x) {
  return x.rows >= 64 ? 2 : 1;
}

template <class T, class O>
STATEWISE_INLINE int64_t piece_count(const Product<T, O>& x) {
  return (x.panels.full + (x.panels.tail > 0)) * row_parts(x) + (x.panels.dots > 0);
}

template <class T, class O>
void multiply_piece(Product<T, O> x, int64_t i) {
  const int64_t parts = row_parts(x), panel = i / parts, first = x.rows * (i % parts) / parts,
                last = x.rows * (i % parts + 1) / parts;
  if (panel >= x.panels.full + (x.panels.tail > 0)) return dot_columns(x);
  x.rows = last - first;
  x.a = x.a.from(first);
  x.c = x.c.from(first);
  if (panel < x.panels.full)
    multiply_panel(x, panel);
  else
    multiply_tail(x);
}

template <class T, class O>
void multiply(const Product<T, O>& x) {
  for (int64_t i = 0; i < x.panels.full; ++i) multiply_panel(x, i);
  multiply_tail(x);
}

// C = A^T * B summed over `rows`: A's columns [0, a_columns) become C's rows, and the vectors of B at `b` its columns,
// of which the first b_columns (at most four vectors) are stored. For the gradients of weights. Rows are of operands:
// of pairs each stands for two neighbouring rows of numbers.
template <class T, class O>
struct Transposed {
  int64_t rows;
  const O* a;
  int64_t a_stride, a_columns;
  const O* b;
  int64_t b_stride, b_columns;
  T* c;
  int64_t c_stride;
  bool add;  // C += instead of C =
};

template <class T, class O, int M, int N>
__attribute__((noinline)) void outer_tile(const Transposed<T, O>& x, int64_t m0) {
  using V = Vec<T, lanes<T>>;
  constexpr int L = lanes<T>, S = slices(M, N);
  V acc[S][M][N];
  clear_sums<M, N, S>(acc);
  const bool add = x.add, whole = x.b_columns == N * L;
  const int last = int(x.b_columns - (N - 1) * L);  // lanes of the last vector
  const int64_t c_stride = x.c_stride;
  const O* const a = x.a + m0;
  T* const c = x.c + m0 * c_stride;
  unroll<M>(STATEWISE_EACH(m) { prefetch_to_change<N * L>(c + m * c_stride); });
  accumulate<T, O, M, N, S>(
      acc, x.rows, [&](int m, int64_t r) __attribute__((always_inline)) { return a[r * x.a_stride + m]; },
      [&](int64_t r) __attribute__((always_inline)) { return x.b + r * x.b_stride; });
  join_slices<M, N, S>(acc);
  unroll<M>(STATEWISE_EACH(m) {
    unroll<N>(STATEWISE_EACH(n) {
      T* const to = c + m * c_stride + n * L;
      const V v = acc[0][m][n];
      if (n < N - 1 || whole)
        store(to, add ? load<V>(to) + v : v);
      else
        store_first(to, add ? load_first<V>(to, last) + v : v, last);
    });
  });
}

template <int N, int M, class T, class O>
STATEWISE_INLINE void outer_tile_of(int columns, const Transposed<T, O>& x, int64_t m0) {
  if constexpr (M > 0) {
    if (columns == M)
      outer_tile<T, O, M, N>(x, m0);
    else
      outer_tile_of<N, M - 1>(columns, x, m0);
  }
}

template <int N, class T, class O>
void outer_panel(const Transposed<T, O>& x) {
  constexpr int most = tile_rows<O>(N);
  const int64_t tiles = (x.a_columns + most - 1) / most;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t m = x.a_columns * i / tiles;
    outer_tile_of<N, most>(int(x.a_columns * (i + 1) / tiles - m), x, m);
  }
}

template <class T, class O>
void outer(const Transposed<T, O>& x) {
  switch ((x.b_columns + lanes<T> - 1) / lanes<T>) {
    case 1:
      outer_panel<1>(x);
      break;
    case 2:
      outer_panel<2>(x);
      break;
    case 3:
      outer_panel<3>(x);
      break;
    case 4:
      outer_panel<4>(x);
      break;
    default:
      break;
  }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
