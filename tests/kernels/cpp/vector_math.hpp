// What vector_math.cpp, compiled for one instruction set, offers to test_math.cpp. No inline code (see simd.hpp).

#pragma once

#include <stdint.h>

namespace statewise {

template <class T>
struct Functions {
  using Unary = void (*)(const T* x, T* y, int64_t count);
  using Binary = void (*)(const T* a, const T* b, T* y, int64_t count);
  using Ternary = void (*)(const T* a, const T* b, const T* c, T* y, int64_t count);
  Unary sigmoid, tanh, exp, log, softplus, logsigmoid, sqrt, relu, abs, sign, one_minus_exp;
  Binary maximum, minimum, where_positive;
  Ternary share_of_larger, where;
};

struct VectorMath {
  Functions<float> float32;
  Functions<double> float64;
};

}  // namespace statewise
