// One instruction set's copy of math.hpp behind plain functions, for test_math.cpp.

#include "vector_math.hpp"

#include "math.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

template <class T, class F>
void each(const T* x, T* y, int64_t count, const F& f) {
  using V = Vec<T, lanes<T>>;
  for (int64_t i = 0; i < count; i += lanes<T>) {
    const int few = int(min(lanes<T>, count - i));
    store_first(y + i, f(load_first<V>(x + i, few)), few);
  }
}

template <class T>
void exp_of(const T* x, T* y, int64_t count) {
  each(x, y, count, [](auto v) __attribute__((always_inline)) {
    decltype(v) power, e;
    split_exp<T, lanes<T>>(v, power, e);
    return fma(power, e, power);
  });
}

template <class T>
void sigmoid_of(const T* x, T* y, int64_t count) {
  each(x, y, count, [](auto v) __attribute__((always_inline)) { return sigmoid<T, lanes<T>>(v); });
}

template <class T>
void tanh_of(const T* x, T* y, int64_t count) {
  each(x, y, count, [](auto v) __attribute__((always_inline)) { return tanh<T, lanes<T>>(v); });
}

}  // namespace

extern const VectorMath vector_math;
const VectorMath vector_math{exp_of<float>,  sigmoid_of<float>,  tanh_of<float>,
                             exp_of<double>, sigmoid_of<double>, tanh_of<double>};

}  // namespace STATEWISE_NS
}  // namespace statewise
