// Products with weights that are kept smaller than numbers: the fewer bytes a step reads of weights that are far away,
// the sooner it is done. Such weights are NarrowPairs or NarrowQuads, neighbours along the depth in 32 bits, so that a
// panel of them is a panel of numbers of a half or a quarter of the depth.
//
// Bfloat16 is widened, and multiplied with the numbers of a row as they are. Eight bits are multiplied as whole numbers
// with the row rounded to 16 bits, and the sums, which are exact, by the units of the row and of the weight's row. All
// instruction sets get the same sums.

#pragma once

#include "product.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// Rounding by adding: a number of less than 2^22, plus this, has its nearest whole number in the lower bits.
constexpr float kToWhole = 12582912;

template <class V>
STATEWISE_INLINE IntVec<float, sizeof(V) / 4> to_whole(V v) {
  using I = IntVec<float, sizeof(V) / 4>;
  return (I)(v + kToWhole) - (I)(V{} + kToWhole);
}

template <class V>
STATEWISE_INLINE V absolute(V v) {
  using I = IntVec<float, sizeof(V) / 4>;
  return (V)((I)v & 0x7FFFFFFF);
}

// Packing

STATEWISE_INLINE uint32_t bits_of(float number) {
  uint32_t bits;
  __builtin_memcpy(&bits, &number, sizeof bits);
  return bits;
}

// To the nearest, ties to even.
STATEWISE_INLINE uint32_t bfloat16_of(float number) {
  const uint32_t bits = bits_of(number);
  return (bits + (number == number ? 0x7FFF + (bits >> 16 & 1) : 0x8000)) >> 16;
}

// The unit of a row of weights in eight bits: its largest is 127 of them. Rounded up to 16 digits, so that a number of
// units is a float exactly, and what has been rounded once keeps its unit. NaN if one of them isn't finite.
STATEWISE_INLINE float unit_of(const float* w, int64_t width) {
  float largest = 0, poison = 0;
  for (int64_t k = 0; k < width; ++k) {
    const float size = w[k] < 0 ? -w[k] : w[k];
    if (size > largest) largest = size;
    poison += w[k] * 0;
  }
  const uint32_t bits = (bits_of(largest / 127) + 0xFF) & ~0xFFu;
  float unit;
  __builtin_memcpy(&unit, &bits, sizeof unit);
  return unit + poison;
}

#if defined(__AVX512VNNI__)
constexpr int kQuadOrder[] = {0, 1, 2, 3};
#else
constexpr int kQuadOrder[] = {0, 2, 1, 3};  // so that every other byte is two neighbours
#endif

// pack_transposed of layout.hpp.
template <class O>
void pack_narrow(const float* w, int64_t width, int64_t rows, O* to, int64_t distance, int slots, float* units) {
  for (int i = 0; i < slots; ++i) {
    const bool there = i < rows;
    const float* const row = w + i * width;
    const float unit = same<O, NarrowQuad> && there ? unit_of(row, width) : 0;
    if (same<O, NarrowQuad>) units[i] = unit;
    for (int64_t k = 0; k * elements<O> < width; ++k) {
      const auto element = [&](int j) -> uint32_t {
        const int64_t at = k * elements<O> + j;
        const float number = there && at < width ? row[at] : 0;
        if constexpr (same<O, NarrowPair>) return bfloat16_of(number);
        if (!(unit > 0)) return 128;
        return uint32_t(int32_t(bits_of(number / unit + kToWhole) - bits_of(kToWhole)) + 128) & 255;
      };
      uint32_t all = 0;
      for (int j = 0; j < elements<O>; ++j)
        all |= element(same<O, NarrowPair> ? j : kQuadOrder[j]) << (32 / elements<O> * j);
      to[k * distance + i] = O(all);
    }
  }
}

// Bfloat16

template <int half, class V, class I>
STATEWISE_INLINE V widened(I pairs) {
  return half == 0 ? (V)(pairs << 16) : (V)(pairs & 0xFFFF0000u);
}

template <int M, int N>
__attribute__((noinline)) void narrow_tile(const Product<float, NarrowPair>& x, int64_t row, const NarrowPair* b,
                                           int64_t column) {
  constexpr int L = lanes<float>, S = 2 * M * N <= (kRegisters == 32 ? 24 : 8) ? 2 : 1;
  using V = Vec<float, L>;
  using I = Vec<uint32_t, L>;
  const bool add = x.add;
  const float *a[M], *const bias = x.bias ? x.bias + column : nullptr;
  float* c[M];
  unroll<M>(STATEWISE_EACH(m) {
    a[m] = x.a[row + m];
    c[m] = x.c[row + m] + column;
    prefetch_to_change<N * L>(c[m]);
  });
  V total[M][N];
  for (int64_t k0 = 0, depth = x.depth.total(); k0 == 0 || k0 < depth; k0 += kSumDepth) {
    V acc[S][M][N];
    clear_sums<M, N, S>(acc);
    const auto term = [&](auto half, int64_t k) __attribute__((always_inline)) {  // the product of column k of A
      constexpr int which = decltype(half)(), s = which % S;
      if constexpr (M < N && kRegisters == 16) {
        V numbers[M];
        unroll<M>(STATEWISE_EACH(m) { numbers[m] = broadcast<V>(a[m][k]); });
        unroll<N>(STATEWISE_EACH(n) {
          const V w = widened<which, V>(load<I>(b + k / 2 * (N * L) + n * L));
          unroll<M>(STATEWISE_EACH(m) { acc[s][m][n] = fma<V>(numbers[m], w, acc[s][m][n]); });
        });
      } else {
        V w[N];
        unroll<N>(STATEWISE_EACH(n) { w[n] = widened<which, V>(load<I>(b + k / 2 * (N * L) + n * L)); });
        unroll<M>(STATEWISE_EACH(m) {
          const V number = broadcast<V>(a[m][k]);
          unroll<N>(STATEWISE_EACH(n) { acc[s][m][n] = fma<V>(number, w[n], acc[s][m][n]); });
        });
      }
    };
    const int64_t end = min(depth, k0 + kSumDepth);
    int64_t k = k0;
    for (; k + 1 < end; k += 2) {
      term(Index<0>(), k);
      term(Index<1>(), k + 1);
    }
    if (k < end) term(Index<0>(), k);
    join_slices<M, N, S>(acc);
    unroll<M * N>(STATEWISE_EACH(i) {
      V& t = total[i / N][i % N];
      t = k0 ? t + acc[0][i / N][i % N] : acc[0][i / N][i % N];
    });
  }
  write_tile<float, M, N>([&](int m, int n) __attribute__((always_inline)) { return total[m][n]; }, c, bias, add,
                          x.columns - column);
}

// Eight bits

STATEWISE_INLINE int64_t rounded_blocks(int64_t width) { return max(1, (width + kQuadDepth - 1) / kQuadDepth); }

// A row of numbers in 16 bits each. One that has something else than numbers gives NaN wherever it is multiplied.
template <class V = Vec<float, lanes<float>>>
void round_row(const float* from, int64_t width, Rounded* to) {
  constexpr int L = lanes<float>;
  constexpr float most = 32639;  // 127 * 256 + 127: both halves have eight bits
  V largest{}, nothing{};
  const auto number = [&](int64_t k) __attribute__((always_inline)) {
    return k + L <= width ? load<V>(from + k) : load_first<V>(from + k, int(width - k));
  };
  for (int64_t k = 0; k < width; k += L) {
    const V v = number(k);
    largest = at_least(largest, absolute(v));
    nothing += v * 0.0f;
  }
  float all = 0, poison = 0;
  for (int i = 0; i < L; ++i) all = largest[i] > all ? largest[i] : all, poison += nothing[i];
  const bool tiny = !(all > 1e-30f) || poison != 0;  // zeros, or nothing to be rounded
  const float unit = tiny ? poison : all / most, per_unit = tiny ? 0 : most / all;
  for (int64_t k0 = 0; k0 == 0 || k0 < width; k0 += kQuadDepth, ++to) {
    using I = IntVec<float, L>;
    const int64_t end = min(width, k0 + kQuadDepth);
    I sum{};
    for (int64_t k = k0; k < end; k += L) {
      const I whole = poison == 0 ? to_whole(number(k) * per_unit) : I{};
      sum += whole;
#if defined(__AVX512VNNI__)
      const I upper = (whole + 128) >> 8;
      store(to->half[0] + k - k0, __builtin_convertvector(upper, Vec<int8_t, L>));
      store(to->half[1] + k - k0, __builtin_convertvector(whole - upper * 256, Vec<int8_t, L>));
#else
      store(to->number + k - k0, __builtin_convertvector(whole, Vec<int16_t, L>));
#endif
    }
    uint32_t in_all = 0;
    for (int i = 0; i < L; ++i) in_all += uint32_t(sum[i]);
    to->unit = unit;
    to->correction = 128 * in_all;
  }
}

#if defined(__AVX512VNNI__)
constexpr int kHalves = 2;

// The sums of both halves, of the four weights in each lane.
template <class I>
STATEWISE_INLINE void add_quads(I (&acc)[2], I weights, I upper, I lower) {
  acc[0] = (I)_mm512_dpbusd_epi32((__m512i)acc[0], (__m512i)weights, (__m512i)upper);
  acc[1] = (I)_mm512_dpbusd_epi32((__m512i)acc[1], (__m512i)weights, (__m512i)lower);
}
template <class I>
STATEWISE_INLINE I joined(const I (&acc)[2]) {
  return (acc[0] << 8) + acc[1];
}
STATEWISE_INLINE const void* first_of(const Rounded& r, int64_t k) { return r.half[0] + k; }
STATEWISE_INLINE const void* second_of(const Rounded& r, int64_t k) { return r.half[1] + k; }
#else
constexpr int kHalves = 1;

// a b + a' b' of neighbours of 16 bits, in each lane of 32.
template <class I>
STATEWISE_INLINE I dot_neighbours(I a, I b) {
#if defined(__AVX512BW__)
  if constexpr (sizeof(I) == 64) return (I)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(I) == 32) return (I)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#endif
#if defined(__SSE2__)
  if constexpr (sizeof(I) == 16) return (I)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
  using Signed = Vec<int32_t, sizeof(I) / 4>;
  return (a & 0xFFFF) * (I)((Signed)(b << 16) >> 16) + (a >> 16) * (I)((Signed)b >> 16);  // a is never negative
}

template <class I>
STATEWISE_INLINE void add_quads(I (&acc)[1], I weights, I first, I second) {
  acc[0] += dot_neighbours<I>(weights & 0x00FF00FF, first);
  acc[0] += dot_neighbours<I>(weights >> 8 & 0x00FF00FF, second);
}
template <class I>
STATEWISE_INLINE I joined(const I (&acc)[1]) {
  return acc[0];
}
STATEWISE_INLINE const void* first_of(const Rounded& r, int64_t k) { return r.number + k; }
STATEWISE_INLINE const void* second_of(const Rounded& r, int64_t k) { return r.number + k + 2; }
#endif

template <int M, int N>
__attribute__((noinline)) void narrow_tile(const Product<float, NarrowQuad>& x, int64_t row, const NarrowQuad* b,
                                           int64_t column) {
  constexpr int L = lanes<float>;
  using V = Vec<float, L>;
  using I = Vec<uint32_t, L>;
  const bool add = x.add;
  const Rounded* a[M];
  const float *const unit = x.unit + column, *const bias = x.bias ? x.bias + column : nullptr;
  float* c[M];
  unroll<M>(STATEWISE_EACH(m) {
    a[m] = x.a[row + m];
    c[m] = x.c[row + m] + column;
    prefetch_to_change<N * L>(c[m]);
  });
  V total[M][N];
  for (int64_t k0 = 0, depth = x.depth.total(); k0 == 0 || k0 < depth; k0 += kQuadDepth) {
    I acc[M][N][kHalves];
    unroll<M * N * kHalves>(STATEWISE_EACH(i) { acc[i / (N * kHalves)][i / kHalves % N][i % kHalves] = I{}; });
    const int64_t end = min(depth - k0, kQuadDepth);
    for (int64_t k = 0; k < end; k += 4, b += N * L) {
      if constexpr (M < N && kRegisters == 16) {
        I first[M], second[M];
        unroll<M>(STATEWISE_EACH(m) {
          first[m] = I{} + load<uint32_t>(first_of(a[m][k0 / kQuadDepth], k));
          second[m] = I{} + load<uint32_t>(second_of(a[m][k0 / kQuadDepth], k));
        });
        unroll<N>(STATEWISE_EACH(n) {
          const I w = load<I>(b + n * L);
          unroll<M>(STATEWISE_EACH(m) { add_quads(acc[m][n], w, first[m], second[m]); });
        });
      } else {
        I w[N];
        unroll<N>(STATEWISE_EACH(n) { w[n] = load<I>(b + n * L); });
        unroll<M>(STATEWISE_EACH(m) {
          const I first = I{} + load<uint32_t>(first_of(a[m][k0 / kQuadDepth], k));
          const I second = I{} + load<uint32_t>(second_of(a[m][k0 / kQuadDepth], k));
          unroll<N>(STATEWISE_EACH(n) { add_quads(acc[m][n], w[n], first, second); });
        });
      }
    }
    unroll<M * N>(STATEWISE_EACH(i) {
      constexpr int m = decltype(i)() / N, n = decltype(i)() % N;
      const I sum = joined(acc[m][n]) - a[m][k0 / kQuadDepth].correction;
      const V v = __builtin_convertvector((IntVec<float, L>)sum, V);
      total[m][n] = k0 ? total[m][n] + v : v;
    });
  }
  write_tile<float, M, N>(
      [&](int m, int n) __attribute__((always_inline)) { return total[m][n] * a[m]->unit * load<V>(unit + n * L); }, c,
      bias, add, x.columns - column);
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
