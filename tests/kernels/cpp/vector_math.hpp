// What vector_math.cpp, compiled for one instruction set, offers to test_math.cpp. No inline code (see simd.hpp).

#pragma once

#include <stdint.h>

namespace statewise {

struct VectorMath {
  void (*exp_float32)(const float* x, float* y, int64_t count);
  void (*sigmoid_float32)(const float* x, float* y, int64_t count);
  void (*tanh_float32)(const float* x, float* y, int64_t count);
  void (*exp_float64)(const double* x, double* y, int64_t count);
  void (*sigmoid_float64)(const double* x, double* y, int64_t count);
  void (*tanh_float64)(const double* x, double* y, int64_t count);
};

}  // namespace statewise
