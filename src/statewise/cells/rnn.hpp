// The plain recurrent cell on vector registers. Description and reference: rnn.py.

#pragma once

#include "../kernels/cpu/math.hpp"
#include "../kernels/cpu/shape.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

constexpr CellShape plain_shape(const char* name) {
  return {.name = name,
          .gates = 1,
          .recurrent = 1,
          .slots = 1,
          .from_x = {0},
          .from_h = {0},
          .late_first = 0,
          .late = 0,
          .states = 1,
          .vectors = 0,
          .phases = 1,
          .carries_h = false,
          .reads_h = false,
          .h_in_slots = true,
          .bias_x = true,
          .bias_h = true};
}

struct RnnTanh {
  static constexpr CellShape shape = plain_shape("rnn_tanh");
  template <int phase, class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W>* a, const Vec<T, W>*, const Vec<T, W>*, const Vec<T, W>*,
                                       Vec<T, W>* after, Vec<T, W>*) {
    after[0] = a[0] = tanh<T, W>(a[0]);
  }
  template <int phase, class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W>* a, const Vec<T, W>*, const Vec<T, W>*, const Vec<T, W>*,
                                        const Vec<T, W>*, Vec<T, W>* ds, Vec<T, W>*, Vec<T, W>* d, Vec<T, W>*,
                                        Vec<T, W>*) {
    d[0] = ds[0] * (T(1) - a[0] * a[0]);
  }
};

struct RnnRelu {
  static constexpr CellShape shape = plain_shape("rnn_relu");
  template <int phase, class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W>* a, const Vec<T, W>*, const Vec<T, W>*, const Vec<T, W>*,
                                       Vec<T, W>* after, Vec<T, W>*) {
    after[0] = a[0] = a[0] <= T(0) ? Vec<T, W>{} : a[0];  // NaN stays NaN, as in torch
  }
  template <int phase, class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W>* a, const Vec<T, W>*, const Vec<T, W>*, const Vec<T, W>*,
                                        const Vec<T, W>*, Vec<T, W>* ds, Vec<T, W>*, Vec<T, W>* d, Vec<T, W>*,
                                        Vec<T, W>*) {
    d[0] = a[0] <= T(0) ? Vec<T, W>{} : ds[0];
  }
};

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
