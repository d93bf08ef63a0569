// Rows of the batch: where they lie in a sequence, and several of them in one vector.

#pragma once

#include "job.hpp"
#include "simd.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// The group's rows at step t; its steps before t; row j's place in the caller's tensors, and by descending length.
STATEWISE_INLINE int64_t rows_at(const Group& g, int64_t t) { return g.count ? g.count[t] : g.rows; }
STATEWISE_INLINE int64_t rows_before(const Group& g, int64_t t) { return g.start ? g.start[t] : t * g.rows; }
STATEWISE_INLINE int64_t original(const Group& g, int64_t j) { return g.original ? g.original[j] : g.before + j; }
STATEWISE_INLINE int64_t sorted(const Group& g, int64_t j) { return g.sorted ? g.sorted[j] : g.before + j; }

template <class T>
STATEWISE_INLINE T* row_at(const Sequence& s, const Group& g, int64_t t, int64_t j) {
  const int64_t n = s.sorted ? sorted(g, j) : original(g, j);
  return static_cast<T*>(s.data) + (s.at ? s.at[t] * s.row : t * s.step) + n * s.row;
}

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

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
