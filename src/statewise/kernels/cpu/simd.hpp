// Vectors of W lanes, portable: GCC's and Clang's vector extensions, with intrinsics for the fused multiply-add alone.
//
// Everything here and in the files that include it is compiled once per instruction set. STATEWISE_NS names the copy;
// the anonymous namespace inside gives every function internal linkage, and no standard header with inline code is
// included: a linker keeps one copy of an inline function, and it might keep the one this machine can't run.

#pragma once

#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef STATEWISE_NS
#define STATEWISE_NS baseline
#endif

#define STATEWISE_INLINE inline __attribute__((always_inline))

namespace statewise {
namespace STATEWISE_NS {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 32;
#else
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 16;
#endif

template <class T>
constexpr int lanes = kVectorBytes / int(sizeof(T));

template <class T>
struct Bits;
template <>
struct Bits<float> {
  using type = int32_t;
};
template <>
struct Bits<double> {
  using type = int64_t;
};

template <class T, int W>
struct VectorOf {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
};
template <class T, int W>
using Vec = typename VectorOf<T, W>::type;
template <class T, int W>
using IntVec = Vec<typename Bits<T>::type, W>;

template <class V>
STATEWISE_INLINE V load(const void* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class V>
STATEWISE_INLINE void store(void* p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}

#if defined(__AVX512VL__)
#define STATEWISE_MASKED(bytes, type, prefix, suffix, mask)                                          \
  STATEWISE_INLINE Vec<type, bytes / sizeof(type)> load_masked(const type* p, int n,                 \
                                                               Vec<type, bytes / sizeof(type)>) {    \
    return (Vec<type, bytes / sizeof(type)>)prefix##_maskz_loadu_##suffix((mask)((1u << n) - 1), p); \
  }                                                                                                  \
  STATEWISE_INLINE void store_masked(type* p, Vec<type, bytes / sizeof(type)> v, int n) {            \
    prefix##_mask_storeu_##suffix(p, (mask)((1u << n) - 1), v);                                      \
  }
#elif defined(__AVX2__)
// All bits set in the first n lanes.
template <class T, int W>
STATEWISE_INLINE IntVec<T, W> first_lanes(int n) {
  IntVec<T, W> lane;
  for (int i = 0; i < W; ++i) lane[i] = i;
  return lane < n;
}
#define STATEWISE_MASKED(bytes, type, prefix, suffix, vector)                                     \
  STATEWISE_INLINE Vec<type, bytes / sizeof(type)> load_masked(const type* p, int n,              \
                                                               Vec<type, bytes / sizeof(type)>) { \
    return prefix##_maskload_##suffix(p, (vector)first_lanes<type, bytes / sizeof(type)>(n));     \
  }                                                                                               \
  STATEWISE_INLINE void store_masked(type* p, Vec<type, bytes / sizeof(type)> v, int n) {         \
    prefix##_maskstore_##suffix(p, (vector)first_lanes<type, bytes / sizeof(type)>(n), v);        \
  }
#endif
#if defined(__AVX512VL__)
STATEWISE_MASKED(64, float, _mm512, ps, __mmask16)
STATEWISE_MASKED(64, double, _mm512, pd, __mmask8)
STATEWISE_MASKED(32, float, _mm256, ps, __mmask8)
STATEWISE_MASKED(32, double, _mm256, pd, __mmask8)
STATEWISE_MASKED(16, float, _mm, ps, __mmask8)
STATEWISE_MASKED(16, double, _mm, pd, __mmask8)
#elif defined(__AVX2__)
STATEWISE_MASKED(32, float, _mm256, ps, __m256i)
STATEWISE_MASKED(32, double, _mm256, pd, __m256i)
STATEWISE_MASKED(16, float, _mm, ps, __m128i)
STATEWISE_MASKED(16, double, _mm, pd, __m128i)
#endif
#undef STATEWISE_MASKED

// The first n lanes, the others zero. For rows that end within a vector: nothing past the end is read or written.
template <class V, class T>
STATEWISE_INLINE V load_first(const T* p, int n) {
#if defined(__AVX2__)
  if constexpr (sizeof(V) >= 16) return load_masked(p, n, V{});
#endif
  V v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

template <class V, class T>
STATEWISE_INLINE void store_first(T* p, V v, int n) {
#if defined(__AVX2__)
  if constexpr (sizeof(V) >= 16) return store_masked(p, v, n);
#endif
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

template <class V, class T>
STATEWISE_INLINE V broadcast(T x) {
  return x - V{};
}

// a * b + c, rounded once where the instruction set can.
template <class V>
STATEWISE_INLINE V fma(V a, V b, V c) {
#if defined(__FMA__) || defined(__aarch64__)
  constexpr int n = sizeof(V) / sizeof(a[0]);
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && sizeof(a[0]) == 4) return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  if constexpr (sizeof(V) == 64 && sizeof(a[0]) == 8) return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#endif
#if defined(__FMA__)
  if constexpr (sizeof(V) == 32 && sizeof(a[0]) == 4) return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  if constexpr (sizeof(V) == 32 && sizeof(a[0]) == 8) return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
  if constexpr (sizeof(V) == 16 && sizeof(a[0]) == 4) return (V)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
  if constexpr (sizeof(V) == 16 && sizeof(a[0]) == 8) return (V)_mm_fmadd_pd((__m128d)a, (__m128d)b, (__m128d)c);
#endif
  for (int i = 0; i < n; ++i)
    a[i] = sizeof(a[0]) == 4 ? __builtin_fmaf(a[i], b[i], c[i]) : __builtin_fma(a[i], b[i], c[i]);
  return a;
#else
  return a * b + c;
#endif
}

template <class V>
STATEWISE_INLINE V square_root(V x) {
  constexpr int n = sizeof(V) / sizeof(x[0]);
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && sizeof(x[0]) == 4) return (V)_mm512_sqrt_ps((__m512)x);
  if constexpr (sizeof(V) == 64 && sizeof(x[0]) == 8) return (V)_mm512_sqrt_pd((__m512d)x);
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32 && sizeof(x[0]) == 4) return (V)_mm256_sqrt_ps((__m256)x);
  if constexpr (sizeof(V) == 32 && sizeof(x[0]) == 8) return (V)_mm256_sqrt_pd((__m256d)x);
#endif
#if defined(__SSE2__)
  if constexpr (sizeof(V) == 16 && sizeof(x[0]) == 4) return (V)_mm_sqrt_ps((__m128)x);
  if constexpr (sizeof(V) == 16 && sizeof(x[0]) == 8) return (V)_mm_sqrt_pd((__m128d)x);
#endif
  for (int i = 0; i < n; ++i) x[i] = sizeof(x[0]) == 4 ? __builtin_sqrtf(x[i]) : __builtin_sqrt(x[i]);
  return x;
}

// The smaller or larger of limit and x, lane by lane; x where x is NaN, as the instructions do.
template <class V>
STATEWISE_INLINE V at_most(V limit, V x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && sizeof(x[0]) == 4) return (V)_mm512_min_ps((__m512)limit, (__m512)x);
  if constexpr (sizeof(V) == 64 && sizeof(x[0]) == 8) return (V)_mm512_min_pd((__m512d)limit, (__m512d)x);
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32 && sizeof(x[0]) == 4) return (V)_mm256_min_ps((__m256)limit, (__m256)x);
  if constexpr (sizeof(V) == 32 && sizeof(x[0]) == 8) return (V)_mm256_min_pd((__m256d)limit, (__m256d)x);
#endif
  return x > limit ? limit : x;
}

template <class V>
STATEWISE_INLINE V at_least(V limit, V x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && sizeof(x[0]) == 4) return (V)_mm512_max_ps((__m512)limit, (__m512)x);
  if constexpr (sizeof(V) == 64 && sizeof(x[0]) == 8) return (V)_mm512_max_pd((__m512d)limit, (__m512d)x);
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32 && sizeof(x[0]) == 4) return (V)_mm256_max_ps((__m256)limit, (__m256)x);
  if constexpr (sizeof(V) == 32 && sizeof(x[0]) == 8) return (V)_mm256_max_pd((__m256d)limit, (__m256d)x);
#endif
  return x < limit ? limit : x;
}

// v in its first n lanes, the others zero, whatever v has there: a product with zero would keep a NaN.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> keep_first(Vec<T, W> v, int n) {
  using I = IntVec<T, W>;
  I lane;
  for (int i = 0; i < W; ++i) lane[i] = i;
  return (Vec<T, W>)((I)v & (lane < n));
}

// f(Index<0>()), ..., f(Index<N - 1>()): a loop that is unrolled before the compiler looks at arrays, so that arrays of
// vectors stay in registers.
template <int I>
struct Index {
  constexpr operator int() const { return I; }
};

template <int N, int I = 0, class F>
STATEWISE_INLINE void unroll(const F& f) {
  if constexpr (I < N) {
    f(Index<I>());
    unroll<N, I + 1>(f);
  }
}
#define STATEWISE_EACH(i) [&](auto i) __attribute__((always_inline))

template <class T>
STATEWISE_INLINE void copy(T* to, const T* from, int64_t n) {
  __builtin_memcpy(to, from, n * sizeof(T));
}

template <class T>
STATEWISE_INLINE void clear(T* to, int64_t n) {
  __builtin_memset(to, 0, n * sizeof(T));
}

STATEWISE_INLINE int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
STATEWISE_INLINE int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
