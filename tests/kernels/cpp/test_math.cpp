// math.hpp against the C library in long double, in units in the last place (ulp), over all exponents and both signs;
// and what its functions make of zeros, infinities and NaN.

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "dispatch.hpp"
#include "vector_math.hpp"

namespace statewise {
#define STATEWISE_SET(name)            \
  namespace name {                     \
  extern const VectorMath vector_math; \
  }
#ifdef STATEWISE_HAS_baseline
STATEWISE_SET(baseline)
#endif
#ifdef STATEWISE_HAS_avx2
STATEWISE_SET(avx2)
#endif
#ifdef STATEWISE_HAS_avx512
STATEWISE_SET(avx512)
#endif
#ifdef STATEWISE_HAS_neon
STATEWISE_SET(neon)
#endif
}  // namespace statewise

namespace {

using statewise::VectorMath;

const VectorMath* math_of(const std::string& set) {
#ifdef STATEWISE_HAS_baseline
  if (set == "baseline") return &statewise::baseline::vector_math;
#endif
#ifdef STATEWISE_HAS_avx2
  if (set == "avx2") return &statewise::avx2::vector_math;
#endif
#ifdef STATEWISE_HAS_avx512
  if (set == "avx512") return &statewise::avx512::vector_math;
#endif
#ifdef STATEWISE_HAS_neon
  if (set == "neon") return &statewise::neon::vector_math;
#endif
  return nullptr;
}

long long checked = 0;

// What surrounds the places where functions come to 0, 1 and infinity, closely.
template <class T>
std::vector<T> tails() {
  std::vector<T> all;
  const double last = std::log(double(std::numeric_limits<T>::max()));
  for (const double place : {last, last - 1, 18.0, 10.0, 38.0, 20.0, 1.0, 104.0, 745.0})
    for (double x = place - 1.5; x < place + 1.5; x += 1e-3) all.insert(all.end(), {T(x), T(-x)});
  return all;
}

// Bit patterns at even distances: every exponent, denormals and infinities included, with many mantissas.
template <class T, class Bits>
std::vector<T> all_exponents(Bits distance) {
  std::vector<T> all = tails<T>();
  for (Bits bits = 0; bits < std::numeric_limits<Bits>::max() - distance; bits += distance) {
    T x;
    std::memcpy(&x, &bits, sizeof x);
    all.push_back(x);
  }
  return all;
}

template <class T>
double ulps(T got, long double want) {
  const T nearest = T(want);
  const long double unit = std::nextafter(std::abs(nearest), std::numeric_limits<T>::infinity()) - std::abs(nearest);
  return double(std::abs((long double)(got)-want) / unit);
}

template <class T>
struct Function {
  const char* name;
  void (*ours)(const T*, T*, int64_t);
  long double (*exact)(long double);
  T lowest, highest;  // where the relative error counts
  double allowed;     // ulp
  T is_one;           // from here on the result is 1, and below `lowest` it is 0
};

template <class T>
void sweep(const char* set, const Function<T>& f, const std::vector<T>& x) {
  std::vector<T> y(x.size());
  f.ours(x.data(), y.data(), int64_t(x.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] >= f.lowest && x[i] <= f.highest)) continue;
    const double error = ulps(y[i], f.exact(x[i]));
    if (error > worst) worst = error;
    CHECK(error <= f.allowed, "%s %s(%a) = %a is off by %.2f ulp", set, f.name, double(x[i]), double(y[i]), error);
    ++checked;
  }
  std::printf("%s %s, %zu bytes: %.2f ulp at worst\n", set, f.name, sizeof(T), worst);
}

long double exact_sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }
long double exact_exp(long double x) { return std::exp(x); }
long double exact_tanh(long double x) { return std::tanh(x); }
long double exact_one_minus_exp(long double x) { return -std::expm1(x); }
long double exact_log(long double x) { return std::log(x); }
long double exact_sqrt(long double x) { return std::sqrt(x); }
long double exact_softplus(long double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); }
long double exact_logsigmoid(long double x) { return -exact_softplus(-x); }

template <class T>
T at(const Function<T>& f, T x) {
  T y;
  f.ours(&x, &y, 1);
  ++checked;
  return y;
}

template <class T>
void bounds_and_specials(const char* set, const Function<T>& sigmoid, const Function<T>& tanh,
                         const std::vector<T>& x) {
  std::vector<T> s(x.size()), t(x.size());
  sigmoid.ours(x.data(), s.data(), int64_t(x.size()));
  tanh.ours(x.data(), t.data(), int64_t(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    CHECK(std::isnan(x[i]) ? std::isnan(s[i]) : s[i] >= 0 && s[i] <= 1, "%s sigmoid(%a) = %a", set, double(x[i]),
          double(s[i]));
    CHECK(std::isnan(x[i]) ? std::isnan(t[i]) : std::abs(t[i]) <= 1 && std::signbit(t[i]) == std::signbit(x[i]),
          "%s tanh(%a) = %a", set, double(x[i]), double(t[i]));
    CHECK(!(x[i] >= sigmoid.is_one) || s[i] == 1, "%s sigmoid(%a) = %a", set, double(x[i]), double(s[i]));
    CHECK(!(x[i] < sigmoid.lowest) || s[i] == 0, "%s sigmoid(%a) = %a", set, double(x[i]), double(s[i]));
    CHECK(!(std::abs(x[i]) >= tanh.is_one) || std::abs(t[i]) == 1, "%s tanh(%a) = %a", set, double(x[i]), double(t[i]));
    checked += 5;
  }
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  CHECK(at(tanh, T(0)) == 0 && !std::signbit(at(tanh, T(0))), "%s", set);
  CHECK(at(tanh, T(-0.0)) == 0 && std::signbit(at(tanh, T(-0.0))), "%s", set);
  CHECK(at(tanh, infinity) == 1 && at(tanh, -infinity) == -1, "%s", set);
  CHECK(at(sigmoid, T(0)) == T(0.5) && at(sigmoid, T(-0.0)) == T(0.5), "%s", set);
  CHECK(at(sigmoid, infinity) == 1, "%s", set);
  CHECK(at(sigmoid, -infinity) == 0 && !std::signbit(at(sigmoid, -infinity)), "%s", set);
  CHECK(std::isnan(at(sigmoid, nan)) && std::isnan(at(tanh, nan)), "%s", set);
  CHECK(std::isnan(at(sigmoid, -nan)) && std::isnan(at(tanh, -nan)), "%s", set);
}

template <class T>
T at(typename statewise::Functions<T>::Unary f, T x) {
  return at(Function<T>{"", f, nullptr, 0, 0, 0, 0}, x);
}

template <class T>
T at(typename statewise::Functions<T>::Binary f, T a, T b) {
  T y;
  f(&a, &b, &y, 1);
  ++checked;
  return y;
}

template <class T>
T at(typename statewise::Functions<T>::Ternary f, T a, T b, T c) {
  T y;
  f(&a, &b, &c, &y, 1);
  ++checked;
  return y;
}

template <class T>
bool is_zero(T x, bool negative) {
  return x == 0 && std::signbit(x) == negative;
}

template <class T>
void specials(const char* set, const statewise::Functions<T>& f) {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN(), zero = 0, one = 1,
          two = 2;
  const auto all = {f.sigmoid, f.tanh, f.exp, f.log,  f.softplus,     f.logsigmoid,
                    f.sqrt,    f.relu, f.abs, f.sign, f.one_minus_exp};
  for (const auto function : all)
    CHECK(std::isnan(at<T>(function, nan)) && std::isnan(at<T>(function, -nan)), "%s", set);
  CHECK(at<T>(f.exp, zero) == 1 && at<T>(f.exp, inf) == inf && is_zero(at<T>(f.exp, -inf), false), "%s", set);
  CHECK(at<T>(f.exp, T(1e4)) == inf && is_zero(at<T>(f.exp, T(-1e4)), false), "%s", set);
  CHECK(at<T>(f.log, zero) == -inf && at<T>(f.log, T(-0.0)) == -inf && at<T>(f.log, inf) == inf, "%s", set);
  CHECK(is_zero(at<T>(f.log, one), false), "%s", set);
  for (const T x : {-one, -inf, -std::numeric_limits<T>::denorm_min(), -std::numeric_limits<T>::max()})
    CHECK(std::isnan(at<T>(f.log, x)) && std::isnan(at<T>(f.sqrt, x)), "%s log, sqrt(%a)", set, double(x));
  CHECK(is_zero(at<T>(f.sqrt, zero), false) && is_zero(at<T>(f.sqrt, T(-0.0)), true), "%s", set);
  CHECK(at<T>(f.sqrt, inf) == inf && at<T>(f.sqrt, T(4)) == 2, "%s", set);
  CHECK(at<T>(f.softplus, inf) == inf && is_zero(at<T>(f.softplus, -inf), false), "%s", set);
  CHECK(at<T>(f.logsigmoid, -inf) == -inf && at<T>(f.logsigmoid, inf) == 0, "%s", set);
  CHECK(at<T>(f.softplus, T(1e4)) == T(1e4) && at<T>(f.logsigmoid, T(-1e4)) == T(-1e4), "%s", set);
  CHECK(at<T>(f.relu, -inf) == 0 && at<T>(f.relu, inf) == inf && at<T>(f.relu, two) == 2, "%s", set);
  CHECK(at<T>(f.abs, -inf) == inf && at<T>(f.abs, two) == 2 && is_zero(at<T>(f.abs, T(-0.0)), false), "%s", set);
  CHECK(at<T>(f.sign, two) == 1 && at<T>(f.sign, -inf) == -1 && at<T>(f.sign, zero) == 0, "%s", set);
  CHECK(at<T>(f.maximum, one, two) == 2 && at<T>(f.maximum, inf, one) == inf && at<T>(f.maximum, one, one) == 1, "%s",
        set);
  CHECK(at<T>(f.minimum, one, two) == 1 && at<T>(f.minimum, one, -inf) == -inf, "%s", set);
  for (const auto function : {f.maximum, f.minimum})
    CHECK(std::isnan(at<T>(function, nan, one)) && std::isnan(at<T>(function, one, nan)), "%s", set);
  CHECK(at<T>(f.where_positive, zero, two) == 0 && at<T>(f.where_positive, -one, nan) == 0, "%s", set);
  CHECK(at<T>(f.where_positive, one, two) == 2 && at<T>(f.where_positive, nan, two) == 2, "%s", set);
  CHECK(at<T>(f.share_of_larger, one, two, nan) == 0 && at<T>(f.share_of_larger, two, one, two) == 2, "%s", set);
  CHECK(at<T>(f.where, one, two, nan) == 2 && at<T>(f.where, nan, two, one) == 2, "%s", set);
  CHECK(at<T>(f.where, zero, nan, two) == 2 && at<T>(f.where, T(-0.0), one, two) == 2, "%s", set);
  CHECK(at<T>(f.share_of_larger, one, one, two) == 1 && at<T>(f.share_of_larger, nan, one, two) == 2, "%s", set);
}

// exp(-x) overflows from `overflow` on, and sigmoid is 0 from there on, as torch's; exp(x) rounds to 0 below
// `underflow`.
template <class T>
void check(const char* set, const statewise::Functions<T>& f, const std::vector<T>& x, T overflow, T underflow,
           T sigmoid_is_one, T tanh_is_one) {
  constexpr T inf = std::numeric_limits<T>::infinity(), least = std::numeric_limits<T>::denorm_min();
  const Function<T> sigmoid{"sigmoid", f.sigmoid, exact_sigmoid, -overflow, inf, 2.5, sigmoid_is_one};
  const Function<T> tanh{"tanh", f.tanh, exact_tanh, -inf, inf, 2.5, tanh_is_one};
  const Function<T> others[] = {
      {"exp", f.exp, exact_exp, underflow, overflow, 1.5, inf},
      {"log", f.log, exact_log, least, std::numeric_limits<T>::max(), 1, inf},
      {"sqrt", f.sqrt, exact_sqrt, least, std::numeric_limits<T>::max(), 0.5, inf},
      {"softplus", f.softplus, exact_softplus, underflow, std::numeric_limits<T>::max(), 2, inf},
      {"one_minus_exp", f.one_minus_exp, exact_one_minus_exp, -inf, 0, 2, inf},
      {"logsigmoid", f.logsigmoid, exact_logsigmoid, -std::numeric_limits<T>::max(), -underflow, 2, inf}};
  sweep(set, sigmoid, x);
  sweep(set, tanh, x);
  for (const Function<T>& other : others) sweep(set, other, x);
  bounds_and_specials(set, sigmoid, tanh, x);
  specials(set, f);
}

}  // namespace

int main() {
  const auto single = all_exponents<float, uint32_t>(20011);
  const auto float64 = all_exponents<double, uint64_t>(86028157000001);
  for (const statewise::InstructionSet* set : statewise::instruction_sets()) {
    const VectorMath* m = math_of(set->name);
    CHECK(m != nullptr, "%s has no copy here", set->name);
    if (!m) continue;
    check<float>(set->name, m->float32, single, 88.72283f, -103.97f, 17.4f, 9.02f);
    check<double>(set->name, m->float64, float64, 709.78271289338, -745.13, 36.8, 19.07);
  }
  return verdict(checked);
}
