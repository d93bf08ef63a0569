// What is done with the states after a step, whatever the cell: zoneout (Krueger et al., 2017), and bounds.
//
// The noise is that of noise.py, to the bit: computed where it is needed, from a seed and the place, and kept nowhere.

#pragma once

#include "scan.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

constexpr uint64_t kGolden64 = 0x9E3779B97F4A7C15;
constexpr uint32_t kGolden32 = 0x9E3779B9;

STATEWISE_INLINE uint64_t mix64(uint64_t a) {
  a = (a ^ a >> 30) * 0xBF58476D1CE4E5B9;
  a = (a ^ a >> 27) * 0x94D049BB133111EB;
  return a ^ a >> 31;
}

// Of one state of one direction of one layer.
struct Noise {
  uint64_t key;
  uint32_t threshold;
  Noise(const Job& job, int64_t scan, int state)
      : key(mix64(job.seed + uint64_t(8 * scan + state + 1) * kGolden64)),
        threshold(uint32_t(__builtin_rint(job.zoneout[state] * (1 << 24)))) {}
  uint64_t base(uint64_t step, uint64_t row) const { return mix64(key ^ (step << 32 | row)); }
};

// All bits set in the lanes whose units, from `unit` on, keep what they had.
template <class T>
STATEWISE_INLINE IntVec<T, lanes<T>> keeps(uint64_t base, uint32_t threshold, int64_t unit) {
  constexpr int L = lanes<T>;
  using U = typename VectorOf<uint32_t, L>::type;
  U a;
  for (int i = 0; i < L; ++i) a[i] = uint32_t(i) * kGolden32;
  a = (a + (uint32_t(base) + uint32_t(unit) * kGolden32)) ^ uint32_t(base >> 32);
  a = (a ^ a >> 16) * 0x85EBCA6B;
  a = (a ^ a >> 13) * 0xC2B2AE35;
  a = (a ^ a >> 16) >> 8;
  return __builtin_convertvector((typename VectorOf<int32_t, L>::type)(a < threshold), IntVec<T, L>);
}

template <class T>
STATEWISE_INLINE Vec<T, lanes<T>> choose(IntVec<T, lanes<T>> mask, Vec<T, lanes<T>> a, Vec<T, lanes<T>> b) {
  using I = IntVec<T, lanes<T>>;
  return (Vec<T, lanes<T>>)(((I)a & mask) | ((I)b & ~mask));
}

// Where a step's rows of one state are.
template <class T>
struct StateRows {
  const T* before;
  const T* start;  // of rows from `started` on
  int64_t started, stride;
  STATEWISE_INLINE const T* old(int64_t j) const { return (j < started ? before : start) + j * stride; }
};

// The states of one direction of one layer.
template <class T>
struct Mixing {
  const Job& job;
  const Group& group;
  int64_t scan;  // layer * D + direction
  int64_t units;

  // The base of a row's noise at time t.
  uint64_t base(const Noise& noise, int64_t t, int64_t j) const {
    const int64_t n = original(group, j);
    return noise.base(uint64_t(t + (job.starts ? job.starts[n] : 0)), uint64_t(job.noise_rows ? job.noise_rows[n] : n));
  }

  // `to` = the state k after the step of time t, from what the cell made of it; may be the same memory as either.
  void forward(int k, int64_t t, int64_t rows, const StateRows<T>& from, const T* made, T* to) const {
    constexpr int L = lanes<T>;
    using V = Vec<T, L>;
    const Noise noise(job, scan, k);
    const T p = T(job.zoneout[k]);
    const V most = broadcast<V>(T(job.clip)), least = -most;
    const auto all = [&](const auto& mixed) __attribute__((always_inline)) {
      for (int64_t j = 0; j < rows; ++j) {
        const uint64_t b = job.draws && p > 0 ? base(noise, t, j) : 0;
        const T* const old = from.old(j);
        for (int64_t u = 0; u < units; u += L) {
          V v = mixed(b, u, load<V>(made + j * units + u), old);
          if (job.clip > 0) v = at_least(least, at_most(most, v));
          store(to + j * units + u, v);
        }
      }
    };
    if (p == 0)
      all([](uint64_t, int64_t, V v, const T*) __attribute__((always_inline)) { return v; });
    else if (job.draws)
      all([&](uint64_t b, int64_t u, V v, const T* old) __attribute__((always_inline)) {
        return choose<T>(keeps<T>(b, noise.threshold, u), load<V>(old + u), v);
      });
    else
      all([&](uint64_t, int64_t u, V v, const T* old)
              __attribute__((always_inline)) { return fma<V>(broadcast<V>(p), load<V>(old + u) - v, v); });
  }

  // From ds, the gradient of the state k after the step of time t: in ds that of what the cell made, in d_old that of
  // the state before, apart from what passes by the cell. mixed(j): the state after the step, where there are bounds.
  template <class Mixed>
  void backward(int k, int64_t t, int64_t rows, const Mixed& mixed, T* ds, int64_t stride, T* d_old) const {
    constexpr int L = lanes<T>;
    using V = Vec<T, L>;
    const Noise noise(job, scan, k);
    const T p = T(job.zoneout[k]);
    const V steepest = broadcast<V>(T(job.gradient_clip)), most = broadcast<V>(T(job.clip));
    for (int64_t j = 0; j < rows; ++j) {
      const uint64_t b = job.draws && p > 0 ? base(noise, t, j) : 0;
      const T* const state = job.clip > 0 ? mixed(j) : nullptr;
      for (int64_t u = 0; u < units; u += L) {
        V g = load<V>(ds + j * stride + u), to_old{};
        if (job.gradient_clip > 0) g = at_least(-steepest, at_most(steepest, g));
        if (state) {
          const int few = int(min(L, job.H - u));
          const V y = few == L ? load<V>(state + u) : load_first<V>(state + u, int(max(few, 0)));
          g = choose<T>((y < most) & (y > -most), g, V{});
        }
        if (p > 0 && job.draws) {
          const auto kept = keeps<T>(b, noise.threshold, u);
          to_old = choose<T>(kept, g, V{});
          g = choose<T>(kept, V{}, g);
        } else if (p > 0) {
          to_old = g * p;
          g = g - to_old;
        }
        store(ds + j * stride + u, g);
        store(d_old + j * units + u, to_old);
      }
    }
  }
};

// Rows times the masks of their batch rows, (N, heads, width): what W_hh reads, with dropout in the recurrence.
template <class T>
void multiply_by_masks(const Job& job, const Group& g, const T* masks, int64_t width, int64_t rows, const T* from,
                       int64_t from_stride, T* to, int64_t to_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* const mask = masks + original(g, r) * job.heads * width;
    for (int64_t i = 0; i < width; ++i) to[r * to_stride + i] = from[r * from_stride + i] * mask[i];
  }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
