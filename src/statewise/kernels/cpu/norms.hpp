// Layer normalisation of a row (Ba et al., 2016): of some slots of a row of gates, or of a state.
//
// The mean first, then the squares of what is left: one sum of squares would lose all digits where the mean is large.

#pragma once

#include "layout.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

constexpr double kNormEpsilon = 1e-5;

template <class T>
struct Moments {
  T mean, inverse;  // of the deviation
};

template <class T>
STATEWISE_INLINE T sum_lanes(Vec<T, lanes<T>> v) {
  T sum = 0;
  for (int i = 0; i < lanes<T>; ++i) sum += v[i];
  return sum;
}

STATEWISE_INLINE float square_root(float x) { return __builtin_sqrtf(x); }
STATEWISE_INLINE double square_root(double x) { return __builtin_sqrt(x); }

// What is normalised together: calls each(column, lanes that are units) for all of its vectors. A slot's vectors of a
// block lie side by side, so there are runs of them.
template <class T>
struct NormalisedSlots {
  const Blocks<T>& blocks;
  unsigned slots;  // a bit each
  int64_t size() const { return __builtin_popcount(slots) * blocks.hidden; }
  template <class Each>
  STATEWISE_INLINE void operator()(const Each& each) const {
    constexpr int L = lanes<T>;
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const bool full = b < blocks.full;
      const int64_t of_slot = blocks.units * (full ? L : blocks.tail_lanes);
      const int64_t units = min(blocks.hidden - b * blocks.per_block, blocks.per_block);
      for (int s = 0; s < blocks.slots; ++s) {
        if (!(slots >> s & 1)) continue;
        const int64_t column = blocks.first_column(b) + s * of_slot;
        for (int64_t u = 0; u < units; u += L) each(column + u, int(min(L, units - u)));
      }
    }
  }
};

// Calls with(what is normalised together) for each group of the slots that a weight feeds.
template <class T, class With>
STATEWISE_INLINE void each_norm(const CellShape& c, const Blocks<T>& blocks, const Fed& fed, const With& with) {
  for (int group = 0; group < c.norm_groups; ++group) {
    unsigned slots = 0;
    for (int s = fed.first; s < fed.first + fed.count; ++s) slots |= unsigned(c.norm_group[s] == group) << s;
    if (slots) with(NormalisedSlots<T>{blocks, slots});
  }
}

template <class T>
struct NormalisedUnits {
  int64_t hidden;
  int64_t size() const { return hidden; }
  template <class Each>
  STATEWISE_INLINE void operator()(const Each& each) const {
    constexpr int L = lanes<T>;
    for (int64_t u = 0; u < hidden; u += L) each(u, int(min(L, hidden - u)));
  }
};

template <class T>
STATEWISE_INLINE Vec<T, lanes<T>> some(const T* p, int n) {
  return n == lanes<T> ? load<Vec<T, lanes<T>>>(p) : load_first<Vec<T, lanes<T>>>(p, n);
}

template <class T>
STATEWISE_INLINE void store_some(T* p, Vec<T, lanes<T>> v, int n) {
  if (n == lanes<T>)
    store(p, v);
  else
    store_first(p, v, n);
}

template <class T, class Which>
STATEWISE_INLINE Moments<T> moments_of(const Which& which, const T* row) {
  using V = Vec<T, lanes<T>>;
  V sum{};
  which([&](int64_t at, int n) __attribute__((always_inline)) { sum += some(row + at, n); });
  const T mean = sum_lanes<T>(sum) / T(which.size());
  V squares{};
  which([&](int64_t at, int n) __attribute__((always_inline)) {
    V d = some(row + at, n) - mean;
    if (n < lanes<T>) d = keep_first<T, lanes<T>>(d, n);
    squares = fma<V>(d, d, squares);
  });
  return {mean, T(1) / square_root(sum_lanes<T>(squares) / T(which.size()) + T(kNormEpsilon))};
}

// to = start + normalised * gain.
template <class T, class Which>
STATEWISE_INLINE void normalise(const Which& which, const T* row, const T* gain, const T* start, T* to) {
  using V = Vec<T, lanes<T>>;
  const Moments<T> m = moments_of<T>(which, row);
  which([&](int64_t at, int n) __attribute__((always_inline)) {
    const V normal = (some(row + at, n) - m.mean) * m.inverse;
    store_some(to + at, fma<V>(normal, some(gain + at, n), some(start + at, n)), n);
  });
}

// From d, the gradient of what normalise gave, that of `row`: to `to`, or added to it; and the gradients of gain and,
// if there is one, of bias, which are added up.
template <bool add, class T, class Which>
STATEWISE_INLINE void normalise_backward(const Which& which, const T* row, const T* gain, const T* d, T* to, T* dgain,
                                         T* dbias) {
  using V = Vec<T, lanes<T>>;
  const Moments<T> m = moments_of<T>(which, row);
  V sum{}, products{};
  which([&](int64_t at, int n) __attribute__((always_inline)) {
    const V normal = (some(row + at, n) - m.mean) * m.inverse, g = some(d + at, n), scaled = g * some(gain + at, n);
    sum += scaled;
    products = fma<V>(scaled, normal, products);
    store_some(dgain + at, fma<V>(g, normal, some(dgain + at, n)), n);
    if (dbias) store_some(dbias + at, some(dbias + at, n) + g, n);
  });
  const T mean = sum_lanes<T>(sum) / T(which.size()), slope = sum_lanes<T>(products) / T(which.size());
  which([&](int64_t at, int n) __attribute__((always_inline)) {
    const V normal = (some(row + at, n) - m.mean) * m.inverse, scaled = some(d + at, n) * some(gain + at, n);
    const V found = (scaled - mean - normal * slope) * m.inverse;
    store_some(to + at, add ? some(to + at, n) + found : found, n);
  });
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
