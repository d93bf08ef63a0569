// The LSTM cell on vector registers. Description and reference: lstm.py.

#pragma once

#include "../kernels/cpu/math.hpp"
#include "../kernels/cpu/shape.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

struct Lstm {
  static constexpr CellShape shape{.name = "lstm",
                                   .gates = 4,
                                   .recurrent = 4,
                                   .slots = 4,
                                   .from_x = {0, 1, 2, 3},
                                   .from_h = {0, 1, 2, 3},
                                   .late_first = 0,
                                   .late = 0,
                                   .states = 2,
                                   .vectors = 0,
                                   .phases = 1,
                                   .carries_h = false,
                                   .reads_h = false,
                                   .h_in_slots = false,
                                   .bias_x = true,
                                   .bias_h = true};
  template <int phase, class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W>* a, const Vec<T, W>* before, const Vec<T, W>*, const Vec<T, W>*,
                                       Vec<T, W>* after, Vec<T, W>*) {
    using V = Vec<T, W>;
    a[0] = sigmoid<T, W>(a[0]);
    a[1] = sigmoid<T, W>(a[1]);
    a[2] = tanh<T, W>(a[2]);
    a[3] = sigmoid<T, W>(a[3]);
    after[1] = fma<V>(a[1], before[1], a[0] * a[2]);
    after[0] = a[3] * tanh<T, W>(after[1]);
  }
  template <int phase, class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W>* a, const Vec<T, W>* before, const Vec<T, W>* after,
                                        const Vec<T, W>*, const Vec<T, W>*, Vec<T, W>* ds, Vec<T, W>* db, Vec<T, W>* d,
                                        Vec<T, W>*, Vec<T, W>*) {
    using V = Vec<T, W>;
    const V t = tanh<T, W>(after[1]);
    const V total = fma<V>(ds[0] * a[3], T(1) - t * t, ds[1]);
    d[0] = total * a[2] * a[0] * (T(1) - a[0]);
    d[1] = total * before[1] * a[1] * (T(1) - a[1]);
    d[2] = total * a[0] * (T(1) - a[2] * a[2]);
    d[3] = ds[0] * t * a[3] * (T(1) - a[3]);
    db[1] = total * a[1];
  }
};

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
