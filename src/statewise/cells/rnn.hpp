// The plain recurrent cell on vector registers. Description and reference: rnn.py.

#pragma once

#include "../kernels/cpu/math.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// A cell without gates: the four slots of a block (see kernels/cpu/layout.hpp) are four vectors of units.
struct Ungated {
  static constexpr int units = 4;  // vectors of units a block
  static constexpr int gates = 1;
  static constexpr bool has_c = false;
  static constexpr bool carries_h = false;
  static constexpr int from_x[4] = {0, 0, 0, 0};
  static constexpr int from_h[4] = {0, 0, 0, 0};
};

struct RnnTanh : Ungated {
  template <class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W> (&a)[4], const Vec<T, W>*, const Vec<T, W>*, Vec<T, W>* h,
                                       Vec<T, W>*) {
    for (int i = 0; i < 4; ++i) h[i] = a[i] = tanh<T, W>(a[i]);
  }
  template <class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W> (&a)[4], const Vec<T, W>*, const Vec<T, W>*, const Vec<T, W>*,
                                        Vec<T, W>* dh, Vec<T, W>*, Vec<T, W> (&d)[4]) {
    for (int i = 0; i < 4; ++i) d[i] = dh[i] * (T(1) - a[i] * a[i]);
  }
};

struct RnnRelu : Ungated {
  template <class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W> (&a)[4], const Vec<T, W>*, const Vec<T, W>*, Vec<T, W>* h,
                                       Vec<T, W>*) {
    for (int i = 0; i < 4; ++i) h[i] = a[i] = a[i] <= T(0) ? Vec<T, W>{} : a[i];  // NaN stays NaN, as in torch
  }
  template <class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W> (&a)[4], const Vec<T, W>*, const Vec<T, W>*, const Vec<T, W>*,
                                        Vec<T, W>* dh, Vec<T, W>*, Vec<T, W> (&d)[4]) {
    for (int i = 0; i < 4; ++i) d[i] = a[i] <= T(0) ? Vec<T, W>{} : dh[i];
  }
};

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
