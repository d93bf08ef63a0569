// The LSTM cell on vector registers. Description and reference: lstm.py.

#pragma once

#include "../kernels/cpu/math.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

struct Lstm {
  static constexpr int units = 1;
  static constexpr int gates = 4;
  static constexpr bool has_c = true;
  static constexpr bool carries_h = false;
  static constexpr int from_x[4] = {0, 1, 2, 3};  // slots i, f, g, o
  static constexpr int from_h[4] = {0, 1, 2, 3};

  // a: the pre-activations, which become the gates.
  template <class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W> (&a)[4], const Vec<T, W>*, const Vec<T, W>* c_before, Vec<T, W>* h,
                                       Vec<T, W>* c) {
    a[0] = sigmoid<T, W>(a[0]);
    a[1] = sigmoid<T, W>(a[1]);
    a[2] = tanh<T, W>(a[2]);
    a[3] = sigmoid<T, W>(a[3]);
    c[0] = fma<Vec<T, W>>(a[1], c_before[0], a[0] * a[2]);
    h[0] = a[3] * tanh<T, W>(c[0]);
  }

  // dh, dc: the gradients of the states after the step; dc becomes that of c before it. d: of the pre-activations.
  template <class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W> (&a)[4], const Vec<T, W>*, const Vec<T, W>* c_before,
                                        const Vec<T, W>* c, Vec<T, W>* dh, Vec<T, W>* dc, Vec<T, W> (&d)[4]) {
    using V = Vec<T, W>;
    const V t = tanh<T, W>(c[0]);
    const V total = fma<V>(dh[0] * a[3], T(1) - t * t, dc[0]);
    d[0] = total * a[2] * a[0] * (T(1) - a[0]);
    d[1] = total * c_before[0] * a[1] * (T(1) - a[1]);
    d[2] = total * a[0] * (T(1) - a[2] * a[2]);
    d[3] = dh[0] * t * a[3] * (T(1) - a[3]);
    dc[0] = total * a[1];
  }
};

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
