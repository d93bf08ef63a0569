// The GRU cell on vector registers. Description and reference: gru.py.

#pragma once

#include "../kernels/cpu/math.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// The new gate's two products stay apart, because r multiplies one of them. Order: n from x, r, z, n from h, so that
// what comes from x (slots 0 to 2) and what comes from h (slots 1 to 3) are both contiguous.
struct Gru {
  static constexpr int units = 1;
  static constexpr int gates = 3;
  static constexpr bool has_c = false;
  static constexpr bool carries_h = true;
  static constexpr int from_x[4] = {2, 0, 1, -1};  // which gate of the weights, in torch's order r, z, n, feeds a slot
  static constexpr int from_h[4] = {-1, 0, 1, 2};

  // a: the pre-activations, which become n, r, z and, unchanged, W_hn h + b_hn.
  template <class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W> (&a)[4], const Vec<T, W>* h_before, const Vec<T, W>*, Vec<T, W>* h,
                                       Vec<T, W>*) {
    using V = Vec<T, W>;
    a[1] = sigmoid<T, W>(a[1]);
    a[2] = sigmoid<T, W>(a[2]);
    a[0] = tanh<T, W>(fma<V>(a[1], a[3], a[0]));
    h[0] = fma<V>(a[2], h_before[0] - a[0], a[0]);
  }

  // dh becomes the part of the gradient that reaches h before the step past the product.
  template <class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W> (&a)[4], const Vec<T, W>* h_before, const Vec<T, W>*,
                                        const Vec<T, W>*, Vec<T, W>* dh, Vec<T, W>*, Vec<T, W> (&d)[4]) {
    using V = Vec<T, W>;
    const V g = dh[0];
    d[0] = g * (T(1) - a[2]) * (T(1) - a[0] * a[0]);
    d[1] = d[0] * a[3] * a[1] * (T(1) - a[1]);
    d[2] = g * (h_before[0] - a[0]) * a[2] * (T(1) - a[2]);
    d[3] = d[0] * a[1];
    dh[0] = g * a[2];
  }
};

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
