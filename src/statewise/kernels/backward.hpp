// The time loop backward: one group of rows through all layers, from the last step of the last layer to the first.
//
// A chunk of steps at a time: step by step the cell's gradient and the product that carries it to the step before; then
// the gradients of the weights and of x by products over the whole chunk, while its gates' gradients are in cache. The
// saved gates are only read, so backward may run twice.

#pragma once

#include "scan.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

template <class C, class T>
struct BackwardScratch {
  T *d, *panel, *x, *h, *dh, *dm, *dp, *dc, *h0, *c0;
  int64_t x_stride, h_stride, d_stride;
  T** rows;
  BackwardScratch(Arena& arena, const Job& job, const Sizes<C, T>& z) {
    const int64_t rows = job.largest_group, chunk = most_chunk_rows(rows);
    d_stride = spread<T>(z.columns);
    x_stride = spread<T>(job.widest + 1);
    h_stride = spread<T>(max(z.P + 1, job.projected ? 0 : z.units));
    d = arena.take<T>(chunk * d_stride);
    panel = arena.take<T>(chunk * 4 * lanes<T>);
    x = arena.take<T>(chunk * max(x_stride, spread<T>(z.units)));
    h = arena.take<T>(chunk * h_stride);
    dh = arena.take<T>(rows * max(z.units, z.fed));
    dm = arena.take<T>(job.projected ? rows * z.units : 0);
    dp = arena.take<T>(job.projected ? chunk * z.fed : 0);
    dc = arena.take<T>(C::has_c ? rows * z.units : 0);
    h0 = arena.take<T>(C::carries_h ? rows * z.units : 0);
    c0 = arena.take<T>(C::has_c ? rows * z.units : 0);
    this->rows = arena.take<T*>(chunk);
  }
};

// What the gradient of one block of one step reads and writes.
template <class T>
struct GradientRows {
  const Group* group;
  int64_t rows, t;
  const T* gates;
  int64_t gates_stride, state_stride;
  const T *h_before, *h_start;  // elementwise h; rows from `started` on begin here
  int64_t h_before_stride;
  const T *c_before, *c_start, *c;
  int64_t started;
  T* dh;  // in: what comes from the step after; out: what passes by the product
  int64_t dh_stride;
  T* dc;
  const Sequence* dy;  // null where dh has it already
  int64_t dy_column;
  T* d;
  int64_t d_stride;
};

template <class C, class T, int W>
STATEWISE_INLINE void gradient_block(const GradientRows<T>& s, int64_t column, int64_t unit, int64_t H) {
  using V = Vec<T, W>;
  constexpr int U = C::units;
  for (int64_t j = 0; j < s.rows; ++j) {
    const T* gates = s.gates + j * s.gates_stride + column;
    const int64_t at = j * s.state_stride + unit;
    V a[4], d[4], h_before[U], c_before[U], c[U], dh[U], dc[U];
    for (int i = 0; i < 4; ++i) a[i] = load<V>(gates + i * W);
    const T* dy = s.dy && s.dy->data ? row_at<const T>(*s.dy, *s.group, s.t, j) + s.dy_column + unit : nullptr;
    for (int i = 0; i < U; ++i) {
      const int64_t left = H - unit - i * W;
      dh[i] = load<V>(s.dh + j * s.dh_stride + unit + i * W);
      if (dy) dh[i] += left >= W ? load<V>(dy + i * W) : load_first<V>(dy + i * W, int(max(left, 0)));
      if (C::carries_h)
        h_before[i] =
            load<V>(j < s.started ? s.h_before + j * s.h_before_stride + unit + i * W : s.h_start + at + i * W);
      if (C::has_c) {
        c_before[i] = load<V>((j < s.started ? s.c_before : s.c_start) + at + i * W);
        c[i] = load<V>(s.c + at + i * W);
        dc[i] = load<V>(s.dc + at + i * W);
      }
    }
    C::template backward<T, W>(a, h_before, c_before, c, dh, dc, d);
    for (int i = 0; i < 4; ++i) store(s.d + j * s.d_stride + column + i * W, d[i]);
    for (int i = 0; i < U; ++i) {
      if (C::carries_h) store(s.dh + j * s.dh_stride + unit + i * W, dh[i]);
      if (C::has_c) store(s.dc + at + i * W, dc[i]);
    }
  }
}

template <class C, class T>
void gradient_step(const GradientRows<T>& s, const Blocks<C, T>& blocks) {
  constexpr int L = lanes<T>;
  for (int64_t b = 0; b < blocks.full; ++b) gradient_block<C, T, L>(s, b * 4 * L, b * blocks.per_block, blocks.hidden);
  const int64_t column = blocks.full * 4 * L, unit = blocks.full * blocks.per_block;
  if (blocks.tail == 2) gradient_block<C, T, L / 2>(s, column, unit, blocks.hidden);
  if constexpr (L >= 4)
    if (blocks.tail == 1) gradient_block<C, T, L / 4>(s, column, unit, blocks.hidden);
}

constexpr int64_t kPanelReach = 256 << 10;  // bytes: 64 pages

// sum += A^T * D over `rows` rows, for all of D's panels. A is a copy; of D each panel is copied too where its rows lie
// so far apart that they would fill the first level's TLB.
template <class T>
void add_outer(int64_t rows, const T* a, int64_t a_stride, int64_t a_columns, const T* d, int64_t d_stride,
               const Panels& p, T* panel, T* sum, int64_t sum_stride, bool add) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  const bool far = rows * d_stride * int64_t(sizeof(T)) > kPanelReach;
  const auto one = [&](int64_t column, int vectors) {
    if (far)
      for (int64_t r = 0; r < rows; ++r)
        for (int n = 0; n < vectors; ++n)
          store(panel + (r * vectors + n) * L, load<V>(d + r * d_stride + column + n * L));
    outer<T>(vectors, rows, a, a_stride, a_columns, far ? panel : d + column, far ? vectors * L : d_stride,
             sum + column, sum_stride, add);
  };
  for (int64_t i = 0; i < p.full; ++i) one((i * 4 + p.skip) * L, p.used);
  if (p.tail) one(p.full * 4 * L, p.tail);
}

template <class C, class T>
void backward_direction(const Job& job, int64_t group, const Layer& layer, int d, void* scratch) {
  const Sizes<C, T> z(job);
  const Group& g = job.group[group];
  const Direction& w = layer.direction[d];
  const Order order{g, job.T, d == 1};
  Arena arena{static_cast<char*>(scratch)};
  BackwardScratch<C, T> m(arena, job, z);
  const int64_t column = d * z.P, steps = chunk_steps(g.rows), I = layer.input;
  const auto share = [&](void* sum, int64_t size) { return sum ? static_cast<T*>(sum) + group * size : nullptr; };
  T* const sum_ih = share(w.sum_ih, job.layout.sum_ih);
  T* const sum_hh = share(w.sum_hh, job.layout.sum_hh);
  T* const sum_hr = share(w.sum_hr, job.layout.sum_hr);
  // A column of ones beside x gives the gradient of b_ih, one beside h that of b_hh where the two differ.
  const int64_t x_columns = I + job.bias, h_columns = z.P + (job.bias && C::carries_h);

  T* const output = job.projected ? m.dm : m.dh;  // the gradient of what the cell puts out
  const int64_t dh_stride = job.projected ? z.fed : z.units;
  if (job.projected && C::carries_h) {
    take_state(w.dhn, g, z.H, m.dm, z.units);
    clear(m.dh, g.rows * dh_stride);
  } else {
    take_state(w.dhn, g, z.P, m.dh, dh_stride);
  }
  if (job.projected && !C::carries_h) clear(m.dm, g.rows * z.units);  // W_hr's product leaves the padding alone
  if (C::carries_h) take_state(w.h0, g, z.H, m.h0, z.units);
  if (C::has_c) {
    take_state(w.dcn, g, z.H, m.dc, z.units);
    take_state(w.c0, g, z.H, m.c0, z.units);
  }
  const auto unproject = [&](const T* dp, int64_t rows) {  // dm = dp * W_hr, on top of what the cell let pass
    multiply<T>({rows,
                 {dp, z.fed, nullptr},
                 contiguous(z.P),
                 static_cast<const T*>(w.rows_hr),
                 plain_panels<T>(z.H),
                 {m.dm, z.units, nullptr},
                 z.units,
                 nullptr,
                 C::carries_h});
  };
  const auto row_of_step = [&](int64_t s) { return g.first + g.start[order.time(s)]; };

  bool add = false;
  for (int64_t s1 = job.T; s1 > 0; s1 -= min(s1, steps)) {
    const int64_t s0 = max(0, s1 - steps);
    const int64_t t0 = order.reverse ? job.T - s1 : s0, t1 = order.reverse ? job.T - s0 : s1;
    const int64_t rows = g.start[t1] - g.start[t0];
    const auto chunk_row = [&](int64_t t) { return g.start[t] - g.start[t0]; };

    if (sum_hh || (C::carries_h && !job.projected)) {  // what W_hh read
      const void* h0 = job.projected && C::carries_h ? w.fed0 : w.h0;
      for (int64_t s = s0; s < s1; ++s) {
        const int64_t t = order.time(s);
        for (int64_t j = 0; j < g.count[t]; ++j) {
          T* h = m.h + (chunk_row(t) + j) * m.h_stride;
          if (j < order.count(s - 1))
            copy(h, row_at<const T>(layer.y, g, order.time(s - 1), j) + column, z.P);
          else if (h0)
            copy(h, static_cast<const T*>(h0) + (h0 == w.h0 ? g.original[j] : g.sorted[j]) * z.P, z.P);
          else
            clear(h, z.P);
          clear(h + z.P, m.h_stride - z.P);
          h[z.P] = T(1);
        }
      }
    }

    for (int64_t s = s1 - 1; s >= s0; --s) {
      const int64_t t = order.time(s), count = g.count[t], row = row_of_step(s), r = chunk_row(t);
      if (job.projected) {
        T* dp = m.dp + r * z.fed;
        for (int64_t j = 0; j < count; ++j) {
          copy(dp + j * z.fed, m.dh + j * z.fed, z.fed);
          if (!layer.dy.data) continue;
          const T* dy = row_at<const T>(layer.dy, g, t, j) + column;
          for (int64_t i = 0; i < z.P; ++i) dp[j * z.fed + i] += dy[i];
        }
        unproject(dp, count);
      }
      GradientRows<T> step{};
      step.group = &g;
      step.rows = count;
      step.t = t;
      step.gates = static_cast<const T*>(w.gates) + row * z.columns;
      step.gates_stride = z.columns;
      step.state_stride = z.units;
      step.started = min(count, order.count(s - 1));
      if constexpr (C::carries_h) {
        step.h_start = m.h0;
        step.h_before = m.h + r * m.h_stride;
        step.h_before_stride = m.h_stride;
        if (job.projected) {
          step.h_before = static_cast<const T*>(w.outputs) + (s > 0 ? row_of_step(s - 1) : 0) * z.units;
          step.h_before_stride = z.units;
        }
      }
      if constexpr (C::has_c) {
        step.c_start = m.c0;
        step.c_before = static_cast<const T*>(w.cells) + (s > 0 ? row_of_step(s - 1) : 0) * z.units;
        step.c = static_cast<const T*>(w.cells) + row * z.units;
        step.dc = m.dc;
      }
      step.dh = output;
      step.dh_stride = job.projected ? z.units : dh_stride;
      step.dy = job.projected ? nullptr : &layer.dy;
      step.dy_column = column;
      step.d = m.d + r * m.d_stride;
      step.d_stride = m.d_stride;
      gradient_step<C, T>(step, z.blocks);
      if (s > 0) {
        const int64_t before = order.time(s - 1), rows_before = g.count[before];
        prefetch(static_cast<const T*>(w.gates) + row_of_step(s - 1) * z.columns, rows_before * z.columns * sizeof(T));
        if (C::has_c && s > 1)
          prefetch(static_cast<const T*>(w.cells) + row_of_step(s - 2) * z.units, rows_before * z.units * sizeof(T));
        if (layer.dy.data)
          for (int64_t j = 0; j < rows_before; ++j)
            prefetch(row_at<const T>(layer.dy, g, before, j) + column, z.P * sizeof(T));
      }
      if (s > 0 || w.dh0 || job.projected)
        multiply<T>({count,
                     {step.d, m.d_stride, nullptr},
                     z.blocks.depth(C::from_h),
                     static_cast<const T*>(w.rows_hh),
                     plain_panels<T>(z.P),
                     {m.dh, dh_stride, nullptr},
                     z.fed,
                     nullptr,
                     C::carries_h && !job.projected});
    }

    const RowsOf<const T> gradients{m.d, m.d_stride, nullptr};
    if (layer.dx.data) {
      T** dx = m.rows;
      for (int64_t t = t0; t < t1; ++t)
        for (int64_t j = 0; j < g.count[t]; ++j) *dx++ = row_at<T>(layer.dx, g, t, j);
      multiply<T>({rows,
                   gradients,
                   z.blocks.depth(C::from_x),
                   static_cast<const T*>(w.rows_ih),
                   plain_panels<T>(I),
                   {nullptr, 0, m.rows},
                   I,
                   nullptr,
                   d == 1});
    }
    if (sum_hh)
      add_outer<T>(rows, m.h, m.h_stride, h_columns, m.d, m.d_stride, z.blocks.panels(C::from_h), m.panel, sum_hh,
                   z.columns, add);
    if (sum_hr) {
      const T* outputs = static_cast<const T*>(w.outputs) + (g.first + g.start[t0]) * z.units;
      const int64_t stride = spread<T>(z.units);
      for (int64_t r = 0; r < rows; ++r) copy(m.x + r * stride, outputs + r * z.units, z.H);
      add_outer<T>(rows, m.x, stride, z.H, m.dp, z.fed, plain_panels<T>(z.P), m.panel, sum_hr, z.fed, add);
    }
    if (sum_ih) {
      T* x = m.x;
      for (int64_t t = t0; t < t1; ++t)
        for (int64_t j = 0; j < g.count[t]; ++j, x += m.x_stride) {
          copy(x, row_at<const T>(layer.x, g, t, j), I);
          x[I] = T(1);
        }
      add_outer<T>(rows, m.x, m.x_stride, x_columns, m.d, m.d_stride, z.blocks.panels(C::from_x), m.panel, sum_ih,
                   z.columns, add);
    }
    add = add || rows > 0;
  }

  if (!add) {
    if (sum_ih) clear(sum_ih, job.layout.sum_ih);
    if (sum_hh) clear(sum_hh, job.layout.sum_hh);
    if (sum_hr) clear(sum_hr, job.layout.sum_hr);
  }
  if (job.projected && C::carries_h) {  // the first thing W_hh read was W_hr h0
    if (sum_hr)
      add_outer<T>(g.rows, m.h0, z.units, z.H, m.dh, dh_stride, plain_panels<T>(z.P), m.panel, sum_hr, z.fed, true);
    unproject(m.dh, g.rows);
    give_state(w.dh0, g, 0, g.rows, z.H, m.dm, z.units);
  } else {
    give_state(w.dh0, g, 0, g.rows, z.P, m.dh, dh_stride);
  }
  if (C::has_c) give_state(w.dc0, g, 0, g.rows, z.H, m.dc, z.units);
}

template <class C, class T>
void backward(const Job& job, int64_t group, void* scratch) {
  const Group& g = job.group[group];
  for (int64_t l = job.L - 1; l >= 0; --l) {
    const Layer& layer = job.layer[l];
    if (layer.mask.data) apply_mask<T>(job, g, layer.mask, layer.dy, layer.dy, job.D * job.P);
    for (int d = 0; d < job.D; ++d) backward_direction<C, T>(job, group, layer, d, scratch);
  }
  clear_padding<T>(job, g, job.layer[0].dx, job.layer[0].input);
}

// The groups' shares of one weight's gradient, added in their order and laid out as torch does: the inverse of
// pack_columns. `sum` has a row for each of W's columns.
template <class C, class T>
void reduce_weight(const Blocks<C, T>& blocks, const int (&from)[4], const T* sum, int64_t groups, int64_t size,
                   int64_t width, T* dw) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  const int64_t stride = blocks.columns();
  const auto slot = [&](int64_t first_unit, int s, int width_of_slot, int64_t column) {
    const int64_t u = first_unit + (C::units == 4 ? int64_t(s) * width_of_slot : 0);
    const int64_t units = from[s] < 0 ? 0 : max(0, min(width_of_slot, blocks.hidden - u));
    T* to = dw + (from[s] * blocks.hidden + u) * width;
    int64_t k = 0;
    if (units == L) {
      for (; k + L <= width; k += L) {
        V r[L];
        for (int i = 0; i < L; ++i) {
          r[i] = load<V>(sum + (k + i) * stride + column);
          for (int64_t g = 1; g < groups; ++g) r[i] += load<V>(sum + g * size + (k + i) * stride + column);
        }
        transpose<T>(r);
        for (int i = 0; i < L; ++i) store(to + i * width + k, r[i]);
      }
    }
    for (; k < width; ++k)
      for (int64_t i = 0; i < units; ++i) {
        T v = sum[k * stride + column + i];
        for (int64_t g = 1; g < groups; ++g) v += sum[g * size + k * stride + column + i];
        to[i * width + k] = v;
      }
  };
  for (int64_t b = 0; b < blocks.full; ++b)
    for (int s = 0; s < 4; ++s) slot(b * blocks.per_block, s, L, (b * 4 + s) * L);
  for (int s = 0; blocks.tail && s < 4; ++s)
    slot(blocks.full * blocks.per_block, s, blocks.tail_width(), blocks.full * 4 * L + s * blocks.tail_width());
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
