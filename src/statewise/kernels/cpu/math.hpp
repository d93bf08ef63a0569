// What cells compute with, on vectors, float and double, each within about 2 ulp.
//
// exp, sigmoid and tanh rest on expm1 over |r| <= ln2/2, r + r*r*q(r), with q fitted by Chebyshev interpolation
// (relative error 2e-9 in float, 2e-18 in double before rounding); log and softplus on log1p over a third less and a
// half more than 1, fitted likewise. NaN in gives NaN out: a clamp by comparison lets it pass.

#pragma once

#include "simd.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float log2e = 1.44269504088896341f;
  static constexpr float ln2_high = 0.693359375f;  // 9 bits, so that n * ln2_high is exact without fma too
  static constexpr float ln2_low = -2.12194440054690583e-4f;
  static constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  static constexpr int mantissa = 23;
  static constexpr int32_t bias = 127;
  static constexpr float least = -87.0f, most = 89.5f;  // for sigmoid: from exp(least) = 0 in 1 + exp to infinity
  static constexpr float tanh_is_one = 10.0f;           // from here on tanh rounds to 1
  static constexpr float exp_is_zero = -104.5f;         // from here down exp rounds to 0
  static constexpr int terms = 6;
  static constexpr float q[terms] = {0.5000000013620138f,   0.16666666681794626f,  0.041666463386339524f,
                                     0.008333310754576892f, 0.001393382048977602f, 0.00019891180158282143f};
};

template <>
struct ExpConstants<double> {
  static constexpr double log2e = 1.44269504088896340736;
  static constexpr double ln2_high = 6.93145751953125e-1;  // 20 bits
  static constexpr double ln2_low = 1.42860682030941723212e-6;
  static constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr int mantissa = 52;
  static constexpr int64_t bias = 1023;
  static constexpr double least = -700.0, most = 710.5;
  static constexpr double tanh_is_one = 20.0;
  static constexpr double exp_is_zero = -746.0;
  static constexpr int terms = 11;
  static constexpr double q[terms] = {0.5,
                                      0.1666666666666667,
                                      0.04166666666666667,
                                      0.008333333333326025,
                                      0.001388888888888367,
                                      0.00019841269875205077,
                                      2.4801587325822283e-05,
                                      2.75572549134867e-06,
                                      2.7557273295539724e-07,
                                      2.5105419192016337e-08,
                                      2.091483135138041e-09};
};

// x = n*ln2 + r; gives n, in the low bits of a number, and expm1(r).
template <class T, int W>
STATEWISE_INLINE Vec<T, W> reduce_exp(Vec<T, W> x, Vec<T, W>& expm1_r) {
  using V = Vec<T, W>;
  using K = ExpConstants<T>;
  const V shifted = fma<V>(x, broadcast<V>(K::log2e), broadcast<V>(K::round));
  const V n = shifted - K::round;
  V r = fma<V>(n, broadcast<V>(-K::ln2_high), x);
  r = fma<V>(n, broadcast<V>(-K::ln2_low), r);
  // Pairs of terms first, then a polynomial in r*r: as many operations as Horner's rule, in half the latency.
  const V r2 = r * r;
  const auto pair = [&](int i) __attribute__((always_inline)) {
    return i + 1 < K::terms ? fma<V>(broadcast<V>(K::q[i + 1]), r, broadcast<V>(K::q[i])) : broadcast<V>(K::q[i]);
  };
  constexpr int last = (K::terms - 1) / 2;
  V q = pair(2 * last);
  unroll<last>([&](auto i) __attribute__((always_inline)) { q = fma<V>(q, r2, pair(2 * (last - 1 - i))); });
  expm1_r = fma<V>(r2, q, r);
  return shifted;
}

// x = n*ln2 + r; gives 2^(n - less) and expm1(r). The power is zero or infinity where n - less is one past the
// exponents that a T has, and nonsense farther out.
template <class T, int W, int less = 0>
STATEWISE_INLINE void split_exp(Vec<T, W> x, Vec<T, W>& power, Vec<T, W>& expm1_r) {
  using V = Vec<T, W>;
  using I = IntVec<T, W>;
  using K = ExpConstants<T>;
  const V shifted = reduce_exp<T, W>(x, expm1_r);
  power = (V)(((I)shifted + (K::bias - less)) << K::mantissa);
}

// 1 / (1 + exp(-x)), exactly 0 from where exp(-x) overflows and exactly 1 at the other end, as torch's. exp(-x) is
// taken as 2^(n-1) times 2*exp(r): so it overflows by itself where it should, though 2^n alone does so before.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> sigmoid(Vec<T, W> x) {
  using V = Vec<T, W>;
  using K = ExpConstants<T>;
  const V y = at_least(broadcast<V>(K::least), at_most(broadcast<V>(K::most), -x));
  V power, e;
  split_exp<T, W, 1>(y, power, e);
  return T(1) / fma<V>(power, fma<V>(broadcast<V>(T(2)), e, broadcast<V>(T(2))), broadcast<V>(T(1)));
}

// By expm1(2|x|) / (expm1(2|x|) + 2), which keeps the relative accuracy near 0 that 2*sigmoid(2x) - 1 loses.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> tanh(Vec<T, W> x) {
  using V = Vec<T, W>;
  using I = IntVec<T, W>;
  using K = ExpConstants<T>;
  const I sign = (I)x & (I)broadcast<V>(T(-0.0));
  V y = (V)((I)x ^ sign);
  y = at_most(broadcast<V>(K::tanh_is_one), y);
  V power, e;
  split_exp<T, W>(y + y, power, e);
  e = fma<V>(power, e, power - T(1));
  return (V)((I)(e / (e + T(2))) | sign);
}

// 2^n comes as the product of its halves, which are powers that T has even where 2^n isn't: so exp overflows where it
// should, and falls to 0 by way of the denormal numbers.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> exp(Vec<T, W> x) {
  using V = Vec<T, W>;
  using I = IntVec<T, W>;
  using K = ExpConstants<T>;
  const V y = at_least(broadcast<V>(K::exp_is_zero), at_most(broadcast<V>(K::most), x));
  V e;
  const I n = (I)reduce_exp<T, W>(y, e) - (I)broadcast<V>(K::round);
  const I half = n >> 1;
  const auto power = [](I k) __attribute__((always_inline)) { return (V)((k + K::bias) << K::mantissa); };
  return (e + T(1)) * power(half) * power(n - half);
}

template <class T>
struct LogConstants;

template <>
struct LogConstants<float> {
  static constexpr float normal = 1.17549435e-38f;  // the least number that isn't denormal
  static constexpr float lift = 33554432.0f;        // 2^25, which makes any number normal
  static constexpr int lifted = 25;
  static constexpr float root_half = 0.707106769f;
  static constexpr int terms = 4;
  static constexpr float p[terms] = {0.6666666627719066f, 0.4000031125070458f, 0.28532744768803825f,
                                     0.23747344538291254f};
};

template <>
struct LogConstants<double> {
  static constexpr double normal = 2.2250738585072014e-308;
  static constexpr double lift = 18014398509481984.0;  // 2^54
  static constexpr int lifted = 54;
  static constexpr double root_half = 0.70710678118654752;
  static constexpr int terms = 8;
  static constexpr double p[terms] = {0.6666666666666666,  0.400000000000078,   0.2857142856733919,
                                      0.22222223037807243, 0.18181738454723026, 0.15388834677801916,
                                      0.1321036048513262,  0.13604015707124079};
};

// k*ln2 + log(1 + f) for -1/3 <= f <= 1/2, by the series of atanh(s), s = f / (2 + f): log(1 + f) = 2s + s*z*p(z) with
// z = s*s, of which the greatest part, f, is exact.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> scaled_log1p(Vec<T, W> f, Vec<T, W> k) {
  using V = Vec<T, W>;
  using E = ExpConstants<T>;
  using K = LogConstants<T>;
  const V s = f / (f + T(2)), z = s * s, half_square = f * f * T(0.5);
  V p = broadcast<V>(K::p[K::terms - 1]);
  unroll<K::terms - 1>(STATEWISE_EACH(i) { p = fma<V>(p, z, broadcast<V>(K::p[K::terms - 2 - i])); });
  const V rest = fma<V>(s, fma<V>(z, p, half_square), k * E::ln2_low);
  return fma<V>(k, broadcast<V>(E::ln2_high), f - (half_square - rest));
}

// An integer as a T, where it is small.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> as_number(IntVec<T, W> n) {
  using V = Vec<T, W>;
  const V round = broadcast<V>(ExpConstants<T>::round);
  return (V)(n + (IntVec<T, W>)round) - round;
}

// -infinity of 0, NaN of what is below.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> log(Vec<T, W> x) {
  using V = Vec<T, W>;
  using I = IntVec<T, W>;
  using E = ExpConstants<T>;
  using K = LogConstants<T>;
  const I denormal = x < K::normal;
  const V y = denormal ? x * K::lift : x;
  // y = m * 2^k with m from the root of 1/2 to that of 2.
  const I root = (I)broadcast<V>(K::root_half), positive = (I)y & ~(I)broadcast<V>(T(-0.0)), above = positive - root;
  const I k = (above >> E::mantissa) - (denormal & K::lifted);
  const I one_power = (I{} + 1) << E::mantissa;
  const V m = (V)((above & (one_power - 1)) + root);
  const V found = scaled_log1p<T, W>(m - T(1), as_number<T, W>(k));
  const V infinity = broadcast<V>(T(__builtin_inf())), nan = broadcast<V>(T(__builtin_nan("")));
  return x > T(0) ? (x < infinity ? found : x) : (x == T(0) ? -infinity : nan);
}

template <class T, int W>
STATEWISE_INLINE Vec<T, W> sqrt(Vec<T, W> x) {
  return square_root(x);
}

// What chooses among values. NaN stays NaN, as in torch.

template <class T, int W>
STATEWISE_INLINE Vec<T, W> relu(Vec<T, W> x) {
  return x <= T(0) ? Vec<T, W>{} : x;
}

template <class T, int W>
STATEWISE_INLINE Vec<T, W> maximum(Vec<T, W> a, Vec<T, W> b) {
  return (a >= b) | (a != a) ? a : b;
}

template <class T, int W>
STATEWISE_INLINE Vec<T, W> minimum(Vec<T, W> a, Vec<T, W> b) {
  return (a <= b) | (a != a) ? a : b;
}

template <class T, int W>
STATEWISE_INLINE Vec<T, W> abs(Vec<T, W> x) {
  using I = IntVec<T, W>;
  return (Vec<T, W>)((I)x & ~(I)broadcast<Vec<T, W>>(T(-0.0)));
}

// b where a isn't 0, else c.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> where(Vec<T, W> a, Vec<T, W> b, Vec<T, W> c) {
  return a != T(0) ? b : c;
}

// log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)): relatively accurate where it is next to 0 too.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> softplus(Vec<T, W> x) {
  using V = Vec<T, W>;
  const V u = exp<T, W>(-abs<T, W>(x));
  const auto large = u >= T(0.5);  // 1 + u is then 2 * (1 + (u - 1) / 2)
  const V f = large ? (u - T(1)) * T(0.5) : u;
  return relu<T, W>(x) + scaled_log1p<T, W>(f, large ? broadcast<V>(T(1)) : V{});
}

template <class T, int W>
STATEWISE_INLINE Vec<T, W> logsigmoid(Vec<T, W> x) {
  return -softplus<T, W>(-x);
}

// 1 - exp(y) for y <= 0, relatively accurate next to 0 too: the derivatives of softplus and logsigmoid.
template <class T, int W>
STATEWISE_INLINE Vec<T, W> one_minus_exp(Vec<T, W> y) {
  using V = Vec<T, W>;
  V power, e;
  split_exp<T, W>(at_least(broadcast<V>(ExpConstants<T>::least), y), power, e);
  return T(1) - power - power * e;
}

// Derivatives of what chooses: relu's from its result y; what of g reaches a through the maximum of a and b, half of it
// where they are equal, and through their minimum with a and b exchanged; abs's, which is x itself for zero and NaN.

template <class T, int W>
STATEWISE_INLINE Vec<T, W> where_positive(Vec<T, W> y, Vec<T, W> g) {
  return y <= T(0) ? Vec<T, W>{} : g;
}

template <class T, int W>
STATEWISE_INLINE Vec<T, W> share_of_larger(Vec<T, W> a, Vec<T, W> b, Vec<T, W> g) {
  return a < b ? Vec<T, W>{} : a == b ? g * T(0.5) : g;
}

template <class T, int W>
STATEWISE_INLINE Vec<T, W> sign(Vec<T, W> x) {
  using V = Vec<T, W>;
  return x > T(0) ? broadcast<V>(T(1)) : x < T(0) ? broadcast<V>(T(-1)) : x;
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
