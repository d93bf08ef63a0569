// One instruction set's copy of math.hpp behind plain functions, for test_math.cpp.

#include "vector_math.hpp"

#include "math.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// f of the vectors that lie at `arguments`, all `count` numbers long.
template <class T, class F, class... Pointers>
void each(const F& f, T* y, int64_t count, Pointers... arguments) {
  using V = Vec<T, lanes<T>>;
  for (int64_t i = 0; i < count; i += lanes<T>) {
    const int few = int(min(lanes<T>, count - i));
    store_first(y + i, f(load_first<V>(arguments + i, few)...), few);
  }
}

#define STATEWISE_FUNCTION(name)                                                                                     \
  template <class T>                                                                                                 \
  void name##_of(const T* x, T* y, int64_t count) {                                                                  \
    each([](auto v) __attribute__((always_inline)) { return name<T, lanes<T>>(v); }, y, count, x);                   \
  }                                                                                                                  \
  template <class T>                                                                                                 \
  void name##_of(const T* a, const T* b, T* y, int64_t count) {                                                      \
    each([](auto u, auto v) __attribute__((always_inline)) { return name<T, lanes<T>>(u, v); }, y, count, a, b);     \
  }                                                                                                                  \
  template <class T>                                                                                                 \
  void name##_of(const T* a, const T* b, const T* c, T* y, int64_t count) {                                          \
    each([](auto u, auto v, auto w) __attribute__((always_inline)) { return name<T, lanes<T>>(u, v, w); }, y, count, \
         a, b, c);                                                                                                   \
  }
STATEWISE_FUNCTION(sigmoid)
STATEWISE_FUNCTION(tanh)
STATEWISE_FUNCTION(exp)
STATEWISE_FUNCTION(log)
STATEWISE_FUNCTION(softplus)
STATEWISE_FUNCTION(logsigmoid)
STATEWISE_FUNCTION(sqrt)
STATEWISE_FUNCTION(relu)
STATEWISE_FUNCTION(abs)
STATEWISE_FUNCTION(sign)
STATEWISE_FUNCTION(one_minus_exp)
STATEWISE_FUNCTION(maximum)
STATEWISE_FUNCTION(minimum)
STATEWISE_FUNCTION(where_positive)
STATEWISE_FUNCTION(share_of_larger)
STATEWISE_FUNCTION(where)

#define STATEWISE_FUNCTIONS(T)                                 \
  {sigmoid_of<T>, tanh_of<T>,           exp_of<T>,             \
   log_of<T>,     softplus_of<T>,       logsigmoid_of<T>,      \
   sqrt_of<T>,    relu_of<T>,           abs_of<T>,             \
   sign_of<T>,    one_minus_exp_of<T>,  maximum_of<T>,         \
   minimum_of<T>, where_positive_of<T>, share_of_larger_of<T>, \
   where_of<T>}

}  // namespace

extern const VectorMath vector_math;
const VectorMath vector_math{STATEWISE_FUNCTIONS(float), STATEWISE_FUNCTIONS(double)};

}  // namespace STATEWISE_NS
}  // namespace statewise
