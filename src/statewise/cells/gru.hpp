// The GRU cell on vector registers. Description and reference: gru.py.

#pragma once

#include "../kernels/cpu/math.hpp"
#include "../kernels/cpu/shape.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

struct Gru {
  static constexpr CellShape shape{.name = "gru",
                                   .gates = 3,
                                   .recurrent = 3,
                                   .slots = 4,
                                   .from_x = {2, 0, 1, -1},
                                   .from_h = {-1, 0, 1, 2},
                                   .late_first = 0,
                                   .late = 0,
                                   .states = 1,
                                   .vectors = 0,
                                   .phases = 1,
                                   .carries_h = true,
                                   .reads_h = true,
                                   .h_in_slots = false,
                                   .bias_x = true,
                                   .bias_h = true};
  template <int phase, class T, int W>
  static STATEWISE_INLINE void forward(Vec<T, W>* a, const Vec<T, W>* before, const Vec<T, W>*, const Vec<T, W>*,
                                       Vec<T, W>* after, Vec<T, W>*) {
    using V = Vec<T, W>;
    a[1] = sigmoid<T, W>(a[1]);
    a[2] = sigmoid<T, W>(a[2]);
    a[0] = tanh<T, W>(fma<V>(a[1], a[3], a[0]));
    after[0] = fma<V>(a[2], before[0] - a[0], a[0]);
  }
  template <int phase, class T, int W>
  static STATEWISE_INLINE void backward(const Vec<T, W>* a, const Vec<T, W>* before, const Vec<T, W>*,
                                        const Vec<T, W>*, const Vec<T, W>*, Vec<T, W>* ds, Vec<T, W>* db, Vec<T, W>* d,
                                        Vec<T, W>*, Vec<T, W>*) {
    using V = Vec<T, W>;
    const V g = ds[0];
    d[0] = g * (T(1) - a[2]) * (T(1) - a[0] * a[0]);
    d[1] = d[0] * a[3] * a[1] * (T(1) - a[1]);
    d[2] = g * (before[0] - a[0]) * a[2] * (T(1) - a[2]);
    d[3] = d[0] * a[1];
    db[0] = g * a[2];
  }
};

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
