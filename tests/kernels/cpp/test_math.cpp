// exp, sigmoid and tanh of math.hpp against the C library's in long double, in units in the last place (ulp), over all
// exponents and both signs; and what they make of zeros, infinities and NaN.

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

// What surrounds the places where sigmoid and tanh come to 0 and 1, closely.
template <class T>
std::vector<T> tails() {
  std::vector<T> all;
  const double last = std::log(double(std::numeric_limits<T>::max()));
  for (const double place : {last, last - 1, 18.0, 10.0, 38.0, 20.0})
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
void check(const char* set, const Function<T>& exp, const Function<T>& sigmoid, const Function<T>& tanh,
           const std::vector<T>& x) {
  for (const Function<T>& f : {exp, sigmoid, tanh}) sweep(set, f, x);
  bounds_and_specials(set, sigmoid, tanh, x);
}

}  // namespace

int main() {
  const auto single = all_exponents<float, uint32_t>(20011);
  const auto float64 = all_exponents<double, uint64_t>(86028157000001);
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (const statewise::InstructionSet* set : statewise::instruction_sets()) {
    const VectorMath* m = math_of(set->name);
    CHECK(m != nullptr, "%s has no copy here", set->name);
    if (!m) continue;
    // exp(-x) overflows from -88.722839 and -709.782712893384 on, and sigmoid is 0 from there on, as torch's.
    check<float>(set->name, {"exp", m->exp_float32, exact_exp, -87, 87, 1.5, inf},
                 {"sigmoid", m->sigmoid_float32, exact_sigmoid, -88.72283f, inf, 2.5, 17.4f},
                 {"tanh", m->tanh_float32, exact_tanh, -inf, inf, 2.5, 9.02f}, single);
    check<double>(set->name, {"exp", m->exp_float64, exact_exp, -700, 700, 1.5, inf},
                  {"sigmoid", m->sigmoid_float64, exact_sigmoid, -709.78271289338, inf, 2.5, 36.8},
                  {"tanh", m->tanh_float64, exact_tanh, -inf, inf, 2.5, 19.07}, float64);
  }
  return verdict(checked);
}
