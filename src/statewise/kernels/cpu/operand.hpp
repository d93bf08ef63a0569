// What a product multiplies: numbers as they are or, where AVX512-BF16 multiplies and adds two at a time, pairs of
// bfloat16 that are neighbours along the product's depth; or, of weights that are kept smaller than numbers, what
// narrow.hpp widens.

#pragma once

#include "job.hpp"
#include "simd.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// Two bfloat16, the first in the lower half. As wide as a float, so that vectors have as many lanes.
using Pair = uint32_t;

template <>
struct Bits<Pair> {
  using type = int32_t;
};

// Weights that are neighbours along the depth: two as bfloat16, the first in the lower half; four in eight bits each.
enum NarrowPair : uint32_t {};
enum NarrowQuad : uint32_t {};

// What multiplies NarrowQuads: up to kQuadDepth neighbours of a row, in units of 1 / 32639 of the row's largest. So
// many that a sum of their products with weights fits 32 bits: 512 * 127 * 32639 < 2^31.
constexpr int kQuadDepth = 512;
struct alignas(64) Rounded {
  float unit;
  uint32_t correction;  // 128 times their sum: weights are stored as what they are above -128
  union {
    int16_t number[kQuadDepth];
    int8_t half[2][kQuadDepth];  // where a product takes eight bits of each: number = 256 * half[0] + half[1]
  };
};

// Of an operand O: what rows of them are made of, and of how many such elements one is; and what the rows of A are made
// of where B has Os.
template <class O>
struct OperandOf {
  using element = O;
  using given = O;
  static constexpr int elements = 1;
};
template <>
struct OperandOf<Pair> {
  using element = Bfloat16;
  using given = Pair;
  static constexpr int elements = 2;
};
template <>
struct OperandOf<NarrowPair> {
  using element = Bfloat16;
  using given = float;
  static constexpr int elements = 2;
};
template <>
struct OperandOf<NarrowQuad> {
  using element = uint8_t;
  using given = Rounded;
  static constexpr int elements = 4;
};
template <class O>
using Element = typename OperandOf<O>::element;
template <class O>
using Given = typename OperandOf<O>::given;
template <class O>
constexpr int elements = OperandOf<O>::elements;

template <class A, class B>
constexpr bool same = false;
template <class A>
constexpr bool same<A, A> = true;
template <class O>
constexpr bool paired = same<O, Pair>;
template <class O>
constexpr bool is_narrow = same<O, NarrowPair> || same<O, NarrowQuad>;
template <class O>
constexpr bool plain = elements<O> == 1;

// How many operands n numbers are. The second half of the last one may be empty; it is zero then.
template <class O>
STATEWISE_INLINE int64_t operands(int64_t n) {
  return (n + elements<O> - 1) / elements<O>;
}

// a * b + c, of pairs the sum of both products.
template <class V>
STATEWISE_INLINE V multiply_add(V a, V b, V c) {
  return fma<V>(a, b, c);
}

// A row's elements, from numbers and to numbers.
template <class V, class T>
STATEWISE_INLINE V load_elements(const T* p) {
  return load<V>(p);
}
template <class T, class V>
STATEWISE_INLINE void store_elements(T* p, V v) {
  store(p, v);
}

// A vector of operands from numbers that follow each other.
template <class O>
STATEWISE_INLINE Vec<O, lanes<O>> load_operands(const O* p) {
  return load<Vec<O, lanes<O>>>(p);
}
// One, where `left` numbers are left.
template <class O>
STATEWISE_INLINE O load_operand(const O* p, int64_t) {
  return *p;
}
template <class O>
STATEWISE_INLINE O operand_of(O number, O) {
  return number;
}

#if defined(__AVX512BF16__)
STATEWISE_INLINE Vec<float, 16> multiply_add(Vec<Pair, 16> a, Vec<Pair, 16> b, Vec<float, 16> c) {
  return (Vec<float, 16>)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b);
}

// To the nearest, ties to even.
STATEWISE_INLINE Vec<Bfloat16, 16> to_bfloat16(Vec<float, 16> v) {
  return (Vec<Bfloat16, 16>)_mm512_cvtneps_pbh((__m512)v);
}
STATEWISE_INLINE Vec<Bfloat16, 8> to_bfloat16(Vec<float, 8> v) {
  return (Vec<Bfloat16, 8>)_mm256_cvtneps_pbh((__m256)v);
}
STATEWISE_INLINE Vec<Bfloat16, 4> to_bfloat16(Vec<float, 4> v) {
  const __m128bh both = _mm_cvtneps_pbh((__m128)v);
  return load<Vec<Bfloat16, 4>>(&both);
}

template <class V>
STATEWISE_INLINE V load_elements(const Bfloat16* p) {
  constexpr int W = sizeof(V) / sizeof(float);
  return (V)(__builtin_convertvector(load<Vec<Bfloat16, W>>(p), Vec<Pair, W>) << 16);
}
template <class V>
STATEWISE_INLINE void store_elements(Bfloat16* p, V v) {
  store(p, to_bfloat16(v));
}

// The pairs of 32 numbers that follow each other.
STATEWISE_INLINE Vec<Pair, 16> to_pairs(Vec<float, 16> first, Vec<float, 16> second) {
  return (Vec<Pair, 16>)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}
template <class O>
STATEWISE_INLINE Vec<O, lanes<O>> load_operands(const float* p) {
  return to_pairs(load<Vec<float, 16>>(p), load<Vec<float, 16>>(p + 16));
}
template <class O>
STATEWISE_INLINE O operand_of(float first, float second) {
  const auto both = to_bfloat16(Vec<float, 4>{first, second, 0, 0});
  return load<O>(&both);
}
template <class O>
STATEWISE_INLINE O load_operand(const float* p, int64_t left) {
  return operand_of<O>(p[0], left > 1 ? p[1] : 0);
}

// Lane i: the pair of both vectors' lanes i.
STATEWISE_INLINE Vec<Pair, 16> interleave(Vec<Bfloat16, 16> a, Vec<Bfloat16, 16> b) {
  return __builtin_convertvector(a, Vec<Pair, 16>) | __builtin_convertvector(b, Vec<Pair, 16>) << 16;
}
STATEWISE_INLINE Vec<Pair, 16> interleave(Vec<float, 16> a, Vec<float, 16> b) {
  return interleave(to_bfloat16(a), to_bfloat16(b));
}
#endif

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
