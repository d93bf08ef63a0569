// The time loop forward: one group of rows through all layers.
//
// A chunk of steps at a time: W_ih x for the whole chunk by one product, then step by step the product with h, block of
// columns by block, and the cell on each block while it is in cache.

#pragma once

#include "scan.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

template <class C, class T>
struct ForwardScratch {
  T *gates, *state[2], *fed, *c0, *c;
  const T** x;
  ForwardScratch(Arena& a, const Job& job, const Sizes<C, T>& z) {
    const int64_t rows = job.largest_group, chunk = most_chunk_rows(rows);
    gates = a.take<T>(job.training ? 0 : chunk * z.columns);
    state[0] = a.take<T>(rows * z.units);
    state[1] = a.take<T>(rows * z.units);
    fed = a.take<T>(job.projected ? rows * z.fed : 0);
    c0 = a.take<T>(C::has_c ? rows * z.units : 0);
    c = a.take<T>(C::has_c && !job.training ? rows * z.units : 0);
    x = a.take<const T*>(chunk);
  }
};

// What one block of one step reads and writes, besides the gates.
template <class T>
struct StepRows {
  const Group& group;
  int64_t rows, t;
  T* gates;
  int64_t gates_stride, state_stride;  // of gates; of all states
  const T* h_before;
  const T *c_before, *c_start;  // rows from `started` on begin with this step: their c is in c_start
  int64_t started;
  T *c, *h;
  const Sequence* y;  // also written, where not null
  int64_t y_column;
};

// The cell on the slots of W lanes from column `column` on, units [unit, unit + C::units * W) of which H exist.
template <class C, class T, int W>
STATEWISE_INLINE void step_block(const StepRows<T>& s, int64_t column, int64_t unit, int64_t H) {
  using V = Vec<T, W>;
  constexpr int U = C::units;
  for (int64_t j = 0; j < s.rows; ++j) {
    T* gates = s.gates + j * s.gates_stride + column;
    const int64_t at = j * s.state_stride + unit;
    V a[4], h_before[U], c_before[U], h[U], c[U];
    for (int i = 0; i < 4; ++i) a[i] = load<V>(gates + i * W);
    for (int i = 0; i < U; ++i) {
      if (C::carries_h) h_before[i] = load<V>(s.h_before + at + i * W);
      if (C::has_c) c_before[i] = load<V>((j < s.started ? s.c_before : s.c_start) + at + i * W);
    }
    C::template forward<T, W>(a, h_before, c_before, h, c);
    for (int i = 0; i < 4; ++i) store(gates + i * W, a[i]);
    for (int i = 0; i < U; ++i) {
      store(s.h + at + i * W, h[i]);
      if (C::has_c) store(s.c + at + i * W, c[i]);
    }
    if (s.y) {
      T* y = row_at<T>(*s.y, s.group, s.t, j) + s.y_column + unit;
      for (int i = 0; i < U; ++i) {
        const int64_t left = H - unit - i * W;
        if (left >= W)
          store(y + i * W, h[i]);
        else
          store_first(y + i * W, h[i], int(max(left, 0)));
      }
    }
  }
}

template <class C, class T>
void step_tail(const StepRows<T>& s, const Blocks<C, T>& blocks) {
  constexpr int L = lanes<T>;
  const int64_t column = blocks.full * 4 * L, unit = blocks.full * blocks.per_block;
  if (blocks.tail == 2) step_block<C, T, L / 2>(s, column, unit, blocks.hidden);
  if constexpr (L >= 4)
    if (blocks.tail == 1) step_block<C, T, L / 4>(s, column, unit, blocks.hidden);
}

template <class C, class T>
void forward_direction(const Job& job, const Group& g, const Layer& layer, int d, void* scratch) {
  constexpr int L = lanes<T>;
  const Sizes<C, T> z(job);
  const Direction& w = layer.direction[d];
  const Order order{g, job.T, d == 1};
  Arena arena{static_cast<char*>(scratch)};
  ForwardScratch<C, T> m(arena, job, z);
  const int64_t y_column = d * z.P, steps = chunk_steps(g.rows);
  const T* bias = static_cast<const T*>(w.bias);

  const bool hands_fed = job.projected && !C::carries_h;  // whether h, as the caller knows it, is the projected one
  T* const known = hands_fed ? m.fed : m.state[0];
  const int64_t known_width = hands_fed ? z.P : z.H, known_stride = hands_fed ? z.fed : z.units;
  take_state(w.h0, g, known_width, known, known_stride);
  if (!hands_fed) copy(m.state[1], m.state[0], g.rows * z.units);
  if (C::has_c) take_state(w.c0, g, z.H, m.c0, z.units);

  const auto project = [&](const T* from, int64_t rows) {
    multiply<T>({rows,
                 {from, z.units, nullptr},
                 contiguous(z.H),
                 static_cast<const T*>(w.columns_hr),
                 plain_panels<T>(z.P),
                 {m.fed, z.fed, nullptr},
                 z.fed,
                 nullptr,
                 false});
  };
  if (job.projected && C::carries_h) {
    project(m.state[0], g.rows);
    if (w.fed0)
      for (int64_t j = 0; j < g.rows; ++j) copy(static_cast<T*>(w.fed0) + g.sorted[j] * z.P, m.fed + j * z.fed, z.P);
  }
  give_state(w.hn, g, order.reverse ? order.count(job.T - 1) : order.count(0), g.rows, known_width, known,
             known_stride);
  if (C::has_c)
    give_state(w.cn, g, order.reverse ? order.count(job.T - 1) : order.count(0), g.rows, z.H, m.c0, z.units);

  int now = 0;
  const T* c_before = m.c0;
  for (int64_t s0 = 0; s0 < job.T; s0 += steps) {
    const int64_t s1 = min(s0 + steps, job.T);
    const int64_t t0 = order.reverse ? job.T - s1 : s0, t1 = order.reverse ? job.T - s0 : s1;
    const int64_t rows = g.start[t1] - g.start[t0];
    T* chunk = job.training ? static_cast<T*>(w.gates) + (g.first + g.start[t0]) * z.columns : m.gates;
    const T** x = m.x;
    for (int64_t t = t0; t < t1; ++t)
      for (int64_t j = 0; j < g.count[t]; ++j) *x++ = row_at<const T>(layer.x, g, t, j);
    multiply<T>({rows,
                 {nullptr, 0, m.x},
                 contiguous(layer.input),
                 static_cast<const T*>(w.columns_ih),
                 z.blocks.panels(C::from_x),
                 {chunk, z.columns, nullptr},
                 z.columns,
                 bias,
                 false});
    if constexpr (C::from_x[3] < 0)  // the last slot gets nothing from x but its bias
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t b = 0; b < z.blocks.full; ++b)
          store(chunk + r * z.columns + (4 * b + 3) * L, load<Vec<T, L>>(bias + (4 * b + 3) * L));

    for (int64_t s = s0; s < s1; ++s) {
      const int64_t t = order.time(s), count = g.count[t];
      const int64_t row = g.first + g.start[t];
      T* gates = chunk + (g.start[t] - g.start[t0]) * z.columns;
      T* c = !C::has_c ? nullptr : job.training ? static_cast<T*>(w.cells) + row * z.units : m.c;
      const T* h_before = m.state[now];
      T* h = m.state[1 - now];
      const Product<T> product{count,
                               {job.projected ? m.fed : h_before, job.projected ? z.fed : z.units, nullptr},
                               contiguous(z.P),
                               static_cast<const T*>(w.columns_hh),
                               z.blocks.panels(C::from_h),
                               {gates, z.columns, nullptr},
                               z.columns,
                               nullptr,
                               true};
      const StepRows<T> step{g,
                             count,
                             t,
                             gates,
                             z.columns,
                             z.units,
                             h_before,
                             c_before,
                             m.c0,
                             min(count, order.count(s - 1)),
                             c,
                             h,
                             job.projected ? nullptr : &layer.y,
                             y_column};
      for (int64_t b = 0; b < z.blocks.full; ++b) {
        multiply_panel(product, b);
        step_block<C, T, L>(step, b * 4 * L, b * z.blocks.per_block, z.H);
      }
      multiply_tail(product);
      step_tail<C, T>(step, z.blocks);
      if (job.projected) {
        if (job.training)
          for (int64_t j = 0; j < count; ++j)
            copy(static_cast<T*>(w.outputs) + (row + j) * z.units, h + j * z.units, z.units);
        project(h, count);
        for (int64_t j = 0; j < count; ++j) copy(row_at<T>(layer.y, g, t, j) + y_column, m.fed + j * z.fed, z.P);
      }
      const int64_t staying = min(count, order.count(s + 1));
      give_state(w.hn, g, staying, count, known_width, hands_fed ? m.fed : h, known_stride);
      if (C::has_c) give_state(w.cn, g, staying, count, z.H, c, z.units);
      c_before = c;
      now = 1 - now;
    }
  }
}

template <class C, class T>
void forward(const Job& job, int64_t group, void* scratch) {
  const Group& g = job.group[group];
  for (int64_t l = 0; l < job.L; ++l) {
    const Layer& layer = job.layer[l];
    for (int d = 0; d < job.D; ++d) forward_direction<C, T>(job, g, layer, d, scratch);
    if (layer.mask.data) apply_mask<T>(job, g, layer.mask, layer.y, layer.masked, job.D * job.P);
  }
  clear_padding<T>(job, g, job.layer[job.L - 1].y, job.D * job.P);
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
