// A cell's step on the registers of one block: what a cell compiles, the built-in ones (cells.cpp) and a user's own.
//
// The cell C is a struct that the generator prints: its shape, and forward and backward of each phase on vectors.

#pragma once

#include "math.hpp"
#include "operand.hpp"
#include "rows.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// The blocks of a row, as Blocks has them.
struct BlockSizes {
  int64_t full;
  int tail_lanes;
  int64_t hidden;
};

// What one block of one step reads and writes.
template <class T>
struct StepRows {
  const Group& group;
  BlockSizes blocks;
  int64_t rows, t;
  T* gates;
  int64_t gates_stride, state_stride;  // of gates; of all states, and of the vectors
  const T* before[kMaxStates];
  const T* start[kMaxStates];  // rows from `started` on begin with this step: their states, but the first, are here
  int64_t started;
  T* after[kMaxStates];
  const T* vectors;
  T* crossing;                     // (rows, units): what the late product reads
  const T* normal[kMaxCrossings];  // (rows, units): the states that are normalised between the phases
  const Sequence *y, *copy;        // also written, where not null
  int64_t y_column;
};

// What the gradient of one block of one step reads and writes.
template <class T, class E>
struct GradientRows {
  const Group& group;
  BlockSizes blocks;
  int64_t rows, t;
  const T* gates;
  int64_t gates_stride, state_stride;
  const T* before[kMaxStates];  // rows from `started` on begin here: their states are in start
  const T* start[kMaxStates];
  int64_t before_stride;  // of before[0]
  int64_t started;
  const T* after[kMaxStates];  // of all states but the first
  const T* vectors;
  T* dvectors;  // sums of the vectors' gradients, to add to
  T* crossing;  // (rows, units at crossing_stride): what the late product read, made again
  int64_t crossing_stride;
  const T* normal[kMaxCrossings];  // (rows, units): the states as they were normalised
  T* dcrossing[kMaxCrossings];     // (rows, units): their gradients, or that of what the late product read
  T* db[kMaxStates];               // of two phases: the gradients of the states before so far
  T* ds[kMaxStates];               // in: what comes from the step after; out: what passes by the product
  int64_t dh_stride;               // of ds[0]
  const Sequence* dy;              // null where there is none or ds[0] has it already
  int64_t dy_column;
  E* d;
  int64_t d_stride;
};

constexpr int at_least_one(int n) { return n > 0 ? n : 1; }

// One phase for R rows from row `j` on, on the vectors of W lanes of block `b`.
template <class C, int phase, class T, int W, int R>
STATEWISE_INLINE void step_rows(const StepRows<T>& s, int64_t j, int64_t b) {
  using V = Vec<T, W * R>;
  constexpr int U = units_of(C::shape), S = C::shape.slots, K = C::shape.states, N = C::shape.vectors, L = lanes<T>;
  constexpr int X = C::shape.crossing_states;
  constexpr bool reads_h = C::shape.reads_h, first = phase == 0, last = phase == C::shape.phases - 1;
  const int64_t column = b * S * U * L, unit = b * U * L;
  const auto gates = [&](int r) __attribute__((always_inline)) { return s.gates + (j + r) * s.gates_stride + column; };
  const auto at = [&](int r) __attribute__((always_inline)) { return (j + r) * s.state_stride + unit; };
  T* y[R];  // looked up once: for all that the compiler knows, a store below may change where rows lie
  T* copy[R];
  const auto row = [&](const Sequence* to, int r) __attribute__((always_inline)) {
    return to ? row_at<T>(*to, s.group, s.t, j + r) + s.y_column + unit : nullptr;
  };
  unroll<R>(STATEWISE_EACH(r) {
    y[r] = last ? row(s.y, r) : nullptr;
    copy[r] = last && reads_h ? row(s.copy, r) : nullptr;
  });
  V a[U][S], before[U][K], after[U][K], w[U][at_least_one(N)];
  V crossed[U][at_least_one(X)], crossing[U][1];
  unroll<U>(STATEWISE_EACH(i) {
    unroll<S>(
        STATEWISE_EACH(k) { a[i][k] = load_rows<T, W, R>(STATEWISE_EACH(r) { return gates(r) + (k * U + i) * W; }); });
    unroll<K>(STATEWISE_EACH(k) {
      if (k == 0 && reads_h)
        before[i][k] = load_rows<T, W, R>(STATEWISE_EACH(r) { return s.before[0] + at(r) + i * W; });
      if (k > 0)
        before[i][k] = load_rows<T, W, R>(
            STATEWISE_EACH(r) { return (j + r < s.started ? s.before[k] : s.start[k]) + at(r) + i * W; });
    });
    unroll<N>(STATEWISE_EACH(k) {
      w[i][k] = load_rows<T, W, R>(
          [&](int) __attribute__((always_inline)) { return s.vectors + k * s.state_stride + unit + i * W; });
    });
    if constexpr (!first) {
      unroll<K>(STATEWISE_EACH(k) {
        after[i][k] = load_rows<T, W, R>(STATEWISE_EACH(r) { return s.after[k] + at(r) + i * W; });
      });
      unroll<X>(STATEWISE_EACH(k) {
        crossed[i][k] = load_rows<T, W, R>(STATEWISE_EACH(r) { return s.normal[k] + at(r) + i * W; });
      });
    } else if constexpr (!last) {
      unroll<K>(STATEWISE_EACH(k) { after[i][k] = V{}; });  // those that are still to come
    }
  });
  unroll<U>(STATEWISE_EACH(i) {
    C::template forward<phase, T, W * R>(a[i], before[i], w[i], crossed[i], after[i], crossing[i]);
  });
  using Row = Vec<T, W>;
  unroll<U>(STATEWISE_EACH(i) {
    unroll<S>(STATEWISE_EACH(k) {
      split_rows<T, W, R>(a[i][k],
                          [&](int r, Row v) __attribute__((always_inline)) { store(gates(r) + (k * U + i) * W, v); });
    });
    unroll<K>(STATEWISE_EACH(k) {
      if (k > 0)
        split_rows<T, W, R>(after[i][k],
                            [&](int r, Row v) __attribute__((always_inline)) { store(s.after[k] + at(r) + i * W, v); });
    });
    if constexpr (first && C::shape.late > 0)
      split_rows<T, W, R>(crossing[i][0],
                          [&](int r, Row v) __attribute__((always_inline)) { store(s.crossing + at(r) + i * W, v); });
    const int64_t left = s.blocks.hidden - unit - i * W;
    split_rows<T, W, R>(after[i][0], [&](int r, Row v) __attribute__((always_inline)) {
      store(s.after[0] + at(r) + i * W, v);
      const auto store_row = [&](T* to) __attribute__((always_inline)) {
        if (left >= W)
          store(to + i * W, v);
        else
          store_first(to + i * W, v, int(max(left, 0)));
      };
      if (last && y[r]) store_row(y[r]);
      if (last && reads_h && copy[r]) store_row(copy[r]);
    });
  });
}

template <class C, int phase, class T, int W>
STATEWISE_INLINE void step_block(const StepRows<T>& s, int64_t b) {
  constexpr int R = rows_at_once<T, W>;
  int64_t j = 0;
  for (; j + R <= s.rows; j += R) step_rows<C, phase, T, W, R>(s, j, b);
  for (; R > 1 && j < s.rows; ++j) step_rows<C, phase, T, W, 1>(s, j, b);
}

// with(Index<W>()) for the W lanes that the vectors of block `b` have.
template <class T, class With>
STATEWISE_INLINE void with_lanes(const BlockSizes& blocks, int64_t b, const With& with) {
  constexpr int L = lanes<T>;
  if (b < blocks.full) return with(Index<L>());
  if (blocks.tail_lanes * 2 == L) with(Index<L / 2>());
  if constexpr (L >= 4)
    if (blocks.tail_lanes * 4 == L) with(Index<L / 4>());
}

template <class C, int phase, class T>
void step(const void* rows, int64_t b) {
  const StepRows<T>& s = *static_cast<const StepRows<T>*>(rows);
  with_lanes<T>(s.blocks, b, STATEWISE_EACH(lanes_of) { step_block<C, phase, T, decltype(lanes_of){}>(s, b); });
}

template <class C, int phase, class T, int W, class E>
STATEWISE_INLINE void gradient_block(const GradientRows<T, E>& s, int64_t b) {
  using V = Vec<T, W>;
  constexpr int U = units_of(C::shape), S = C::shape.slots, K = C::shape.states, N = C::shape.vectors, L = lanes<T>;
  constexpr int X = C::shape.crossing_states;
  // From the last phase to the first. Between them ds and db wait in memory, and so does what d has so far.
  constexpr bool reads_h = C::shape.reads_h, begins = phase == C::shape.phases - 1, ends = phase == 0;
  constexpr bool late = C::shape.late > 0;
  const int64_t column = b * S * U * L, unit = b * U * L, H = s.blocks.hidden;
  const bool partial = unit + U * W > H;
  V w[U][at_least_one(N)], dw[U][at_least_one(N)];
  unroll<U>(STATEWISE_EACH(i) {
    unroll<N>(STATEWISE_EACH(k) {
      w[i][k] = load<V>(s.vectors + k * s.state_stride + unit + i * W);
      dw[i][k] = V{};
    });
  });
  for (int64_t j = 0; j < s.rows; ++j) {
    const T* gates = s.gates + j * s.gates_stride + column;
    const int64_t at = j * s.state_stride + unit;
    V a[U][S], d[U][S], before[U][K], after[U][K], ds[U][K], db[U][K];
    V crossed[U][at_least_one(X)], dcross[U][at_least_one(X)];
    const T* dy = begins && s.dy ? row_at<const T>(*s.dy, s.group, s.t, j) + s.dy_column + unit : nullptr;
    unroll<U>(STATEWISE_EACH(i) {
      unroll<S>(STATEWISE_EACH(k) { a[i][k] = load<V>(gates + (k * U + i) * W); });
      const int64_t left = H - unit - i * W;
      ds[i][0] = load<V>(s.ds[0] + j * s.dh_stride + unit + i * W);
      if (dy) ds[i][0] += left >= W ? load<V>(dy + i * W) : load_first<V>(dy + i * W, int(max(left, 0)));
      if (reads_h)
        before[i][0] =
            load<V>(j < s.started ? s.before[0] + j * s.before_stride + unit + i * W : s.start[0] + at + i * W);
      unroll<K>(STATEWISE_EACH(k) {
        if (k > 0) {
          before[i][k] = load<V>((j < s.started ? s.before[k] : s.start[k]) + at + i * W);
          after[i][k] = load<V>(s.after[k] + at + i * W);
          ds[i][k] = load<V>(s.ds[k] + at + i * W);
        }
      });
      unroll<X>(STATEWISE_EACH(k) {
        if (begins) crossed[i][k] = load<V>(s.normal[k] + at + i * W);
      });
      if constexpr (!begins) {
        unroll<S>(STATEWISE_EACH(k) { d[i][k] = load<V>(s.d + j * s.d_stride + column + (k * U + i) * W); });
        unroll<K>(STATEWISE_EACH(k) { db[i][k] = load<V>(s.db[k] + at + i * W); });
        if (late) dcross[i][0] = load<V>(s.dcrossing[0] + at + i * W);
      } else if constexpr (!ends) {
        unroll<S>(STATEWISE_EACH(k) { d[i][k] = V{}; });
        unroll<K>(STATEWISE_EACH(k) { db[i][k] = V{}; });
      }
    });
    unroll<U>(STATEWISE_EACH(i) {
      C::template backward<phase, T, W>(a[i], before[i], after[i], w[i], crossed[i], ds[i], db[i], d[i], dw[i],
                                        dcross[i]);
      if constexpr (ends && late) {
        V made[1];
        C::template crossing<T, W>(a[i], before[i], w[i], made);
        store(s.crossing + j * s.crossing_stride + unit + i * W, made[0]);
      }
    });
    unroll<U>(STATEWISE_EACH(i) {
      unroll<S>(STATEWISE_EACH(k) {
        // Zero past the last unit: the products sum over it, and would carry what it comes to where data are infinite.
        V v = d[i][k];
        if (partial) v = keep_first<T, W>(v, int(min(W, H - unit - i * W)));
        store_elements(s.d + j * s.d_stride + column + (k * U + i) * W, v);
      });
      unroll<K>(STATEWISE_EACH(k) {
        T* const to = s.ds[k] + (k == 0 ? j * s.dh_stride + unit : at) + i * W;
        if (!ends) {
          store(to, ds[i][k]);
          store(s.db[k] + at + i * W, db[i][k]);
        } else if (k > 0 || C::shape.carries_h) {
          store(to, db[i][k]);
        }
      });
      unroll<X>(STATEWISE_EACH(k) {
        if (begins) store(s.dcrossing[k] + at + i * W, dcross[i][k]);
      });
    });
  }
  unroll<U>(STATEWISE_EACH(i) {
    unroll<N>(STATEWISE_EACH(k) {
      T* const to = s.dvectors + k * s.state_stride + unit + i * W;
      store(to, load<V>(to) + dw[i][k]);
    });
  });
}

template <class C, int phase, class T, class E>
void gradient(const void* rows, int64_t b) {
  const GradientRows<T, E>& s = *static_cast<const GradientRows<T, E>*>(rows);
  with_lanes<T>(s.blocks, b, STATEWISE_EACH(lanes_of) { gradient_block<C, phase, T, decltype(lanes_of){}, E>(s, b); });
}

template <class C, class T, class E>
constexpr Steps steps() {
  if constexpr (C::shape.phases == 1)
    return {.forward = {step<C, 0, T>, nullptr}, .backward = {gradient<C, 0, T, E>, nullptr}};
  else
    return {.forward = {step<C, 0, T>, step<C, 1, T>}, .backward = {gradient<C, 0, T, E>, gradient<C, 1, T, E>}};
}

template <class C>
constexpr Cell cell() {
#if defined(__AVX512BF16__)  // a copy for products of bfloat16 alone
  if constexpr (is_staged(C::shape))
    return {C::shape, {}, {}};
  else
    return {C::shape, steps<C, float, Bfloat16>(), {}};
#else
  return {C::shape, steps<C, float, float>(), steps<C, double, double>()};
#endif
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise

// What makes a library of the cell `type`.
#define STATEWISE_QUOTE(x) #x
#define STATEWISE_NAME(x) STATEWISE_QUOTE(x)
#define STATEWISE_EXPORT_CELL(type)                                                                                  \
  extern "C" __attribute__((visibility("default"))) const statewise::CompiledCell* statewise_cell() {                \
    static constexpr statewise::Cell made = statewise::STATEWISE_NS::cell<statewise::STATEWISE_NS::type>();          \
    static constexpr statewise::CompiledCell compiled{statewise::kCellVersion, STATEWISE_NAME(STATEWISE_NS), &made}; \
    return &compiled;                                                                                                \
  }
