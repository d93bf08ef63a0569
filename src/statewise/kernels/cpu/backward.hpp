// The time loop backward: one group of rows through all layers, from the last step of the last layer to the first.
//
// A chunk of steps at a time: step by step the cell's gradient and the product that carries it to the step before; then
// the gradients of the weights and of x by products over the whole chunk, while its gates' gradients are in cache. The
// saved gates are only read, so backward may run twice.

#pragma once

#include "forward.hpp"
#include "weights.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// What a chunk's steps leave to be done over all of its rows: the gradients of x and of the weights.
template <class C, class T>
struct ChunkProducts {
  const Blocks<C, T>* blocks;
  Product<T> dx;
  Outer<T> ih, hh, hr;
  T* sum_b;
  int64_t dx_pieces, ih_pieces, hh_pieces, hr_pieces;

  int64_t pieces() const { return dx_pieces + ih_pieces + hh_pieces + hr_pieces + (sum_b != nullptr); }

  void operator()(int64_t i) const {
    if (i < dx_pieces) return multiply_piece(dx, i);
    i -= dx_pieces;
    if (i < hh_pieces) return outer_piece(hh, *blocks, C::from_h, i);
    i -= hh_pieces;
    if (i < ih_pieces) return outer_piece(ih, *blocks, C::from_x, i);
    i -= ih_pieces;
    if (i < hr_pieces) return outer_projection(i);
    sum_columns(ih.rows, ih.d, ih.d_stride, blocks->columns(), sum_b, ih.add);
  }

  void outer_projection(int64_t i) const {
    constexpr int L = lanes<T>;
    for (int64_t r = 0; r < hr.rows; r += kSumRows)
      outer<T>({min(kSumRows, hr.rows - r), hr.a + r * hr.a_stride, hr.a_stride, hr.width,
                hr.d + r * hr.d_stride + i * 4 * L, hr.d_stride, min(4 * L, hr.d_stride - i * 4 * L),
                hr.sum + i * 4 * L, hr.d_stride, hr.add || r > 0});
  }
};

template <class T>
struct Report {  // tells the owner of the next layer how far dx is
  int64_t* progress;
  int64_t steps;
  void operator()(int64_t) const { publish(progress, steps); }
};

template <class C, class T>
struct BackwardChunk {
  T *d, *x, *h, *dp, *outputs;  // rows of gates' gradients, and copies of what the weights read
  T** dx;
  ChunkProducts<C, T> products;
  Report<T> report;
  int64_t ticket;
};

template <class C, class T>
struct BackwardScratch {
  static constexpr int kHelpedChunks = 3;  // with a helpers: how many may wait for their products
  BackwardChunk<C, T> chunk[kHelpedChunks];
  int chunks;
  int64_t x_stride, h_stride, d_stride;
  T *dh, *dm, *dc, *h0, *c0;
  Tape<T> segment;
  void* forward;  // scratch for computing a segment again
  BackwardScratch(Arena& arena, const Job& job, const Sizes<C, T>& z)
      : chunk{}, chunks(job.helped ? kHelpedChunks : 1), segment{}, forward(nullptr) {
    const int64_t rows = job.largest_group, most = most_chunk_rows(rows);
    d_stride = spread<T>(z.columns);
    x_stride = spread<T>(job.widest);
    h_stride = spread<T>(max(z.recurrent_input, job.projected ? 0 : z.units));
    for (int i = 0; i < chunks; ++i) {
      chunk[i].d = arena.take<T>(most * d_stride);
      chunk[i].x = arena.take<T>(most * x_stride);
      chunk[i].h = arena.take<T>(most * h_stride);
      chunk[i].dp = arena.take<T>(job.projected ? most * z.recurrent_input : 0);
      chunk[i].outputs = arena.take<T>(job.projected ? most * spread<T>(z.units) : 0);
      chunk[i].dx = arena.take<T*>(most);
    }
    dh = arena.take<T>(rows * max(z.units, z.recurrent_input));
    dm = arena.take<T>(job.projected ? rows * z.units : 0);
    dc = arena.take<T>(C::has_c ? rows * z.units : 0);
    h0 = arena.take<T>(C::carries_h ? rows * z.units : 0);
    c0 = arena.take<T>(C::has_c ? rows * z.units : 0);
    if (!job.segment) return;
    const int64_t again = min(job.segment, job.T) * rows;
    segment.gates = arena.take<T>(again * z.columns);
    segment.cells = C::has_c ? arena.take<T>(again * z.units) : nullptr;
    segment.outputs = job.projected ? arena.take<T>(again * z.units) : nullptr;
    Arena inner{nullptr};
    ForwardScratch<C, T>(inner, job, z);
    forward = arena.take<char>(inner.used);
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

// The lanes of a block past the last unit, set to zero: the products sum over them, and would carry what they come to
// where the row's data are infinite.
template <class C, class T, int W>
STATEWISE_INLINE void clear_lanes(const GradientRows<T>& s, int64_t column, int64_t unit, int64_t H) {
  for (int i = 0; i < 4; ++i) {
    const int64_t left = H - unit - (C::units == 4 ? i * W : 0);
    for (int64_t j = 0; j < s.rows && left < W; ++j) {
      T* d = s.d + j * s.d_stride + column + i * W;
      store(d, load_first<Vec<T, W>>(d, int(max(left, 0))));
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
  if (blocks.units() == blocks.hidden) return;
  if (!blocks.tail) clear_lanes<C, T, L>(s, column - 4 * L, unit - blocks.per_block, blocks.hidden);
  if (blocks.tail == 2) clear_lanes<C, T, L / 2>(s, column, unit, blocks.hidden);
  if constexpr (L >= 4)
    if (blocks.tail == 1) clear_lanes<C, T, L / 4>(s, column, unit, blocks.hidden);
}

// One direction of one layer for one group.
template <class C, class T>
class BackwardPass {
 public:
  BackwardPass(const Job& job, int64_t group, int64_t layer, int d, void* scratch, Helpers* helpers)
      : job_(job),
        group_(group),
        index_(layer),
        d_(d),
        g_(job.group[group]),
        layer_(job.layer[layer]),
        above_(layer + 1 < job.L ? job.layer[layer + 1].progress : nullptr),
        w_(layer_.direction[d]),
        z_(job),
        order_{g_, job.T, d == 1},
        steps_(chunk_steps(job.T, job.largest_group)),
        column_(d * z_.P),
        arena_{static_cast<char*>(scratch)},
        m_(arena_, job, z_),
        helpers_(helpers) {}

  void run() {
    begin();
    if (!job_.segment)
      retreat(0, job_.T, full_tape<C, T>(w_, g_, z_.columns, z_.units), {nullptr, nullptr});
    else
      for (int64_t i = (job_.T - 1) / job_.segment; i >= 0 && job_.T > 0; --i) {
        const int64_t s0 = i * job_.segment, s1 = min(s0 + job_.segment, job_.T);
        Tape<T> tape = m_.segment;
        tape.first = g_.start[order_.span(s0, s1).t0];
        ForwardPass<C, T>(job_, group_, index_, d_, m_.forward, helpers_).again(i, tape);
        retreat(s0, s1, tape, {kept(w_.kept_h, i), kept(w_.kept_c, i)});
      }
    if (helpers_) finish(*helpers_, last_ticket_);
    end();
  }

 private:
  struct Before {  // the states before the first step of a tape that isn't the sequence's first
    const T *h, *c;
  };

  const T* kept(const void* states, int64_t i) const {
    return states ? static_cast<const T*>(states) + (i * job_.N + g_.before) * z_.units : nullptr;
  }

  int64_t dh_stride() const { return job_.projected ? z_.recurrent_input : z_.units; }

  void begin() {
    if (job_.projected && C::carries_h) {
      take_state(w_.dhn, g_, z_.H, m_.dm, z_.units);
      clear(m_.dh, g_.rows * dh_stride());
    } else {
      take_state(w_.dhn, g_, z_.P, m_.dh, dh_stride());
    }
    if (job_.projected && !C::carries_h) clear(m_.dm, g_.rows * z_.units);  // W_hr's product leaves the padding alone
    if (C::carries_h) take_state(w_.h0, g_, z_.H, m_.h0, z_.units);
    if (C::has_c) {
      take_state(w_.dcn, g_, z_.H, m_.dc, z_.units);
      take_state(w_.c0, g_, z_.H, m_.c0, z_.units);
    }
  }

  // The steps from `s1` back to `s0`, chunk by chunk.
  void retreat(int64_t s0, int64_t s1, const Tape<T>& tape, const Before& before) {
    const int64_t chunks = (s1 - s0 + steps_ - 1) / steps_;
    for (int64_t i = chunks - 1; i >= 0; --i) {
      const Span p = order_.span(s0 + i * steps_, min(s0 + (i + 1) * steps_, s1));
      BackwardChunk<C, T>& chunk = m_.chunk[next_chunk_];
      if (helpers_) finish(*helpers_, chunk.ticket);
      next_chunk_ = (next_chunk_ + 1) % m_.chunks;
      if (above_) wait_for(above_ + group_, job_.T - p.s0);
      if (layer_.mask.data && job_.D == 1) apply_mask<T>(g_, p.t0, p.t1, layer_.mask, layer_.dy, layer_.dy, job_.P);
      if (w_.dw_hh || (C::carries_h && !job_.projected)) copy_h(chunk, p, tape);
      for (int64_t s = p.s1 - 1; s >= p.s0; --s) step(chunk, p, s, s0, tape, before);
      hand_out_products(chunk, p, tape);
    }
  }

  // What W_hh read.
  void copy_h(BackwardChunk<C, T>& chunk, const Span& p, const Tape<T>& tape) {
    const bool in_gates = C::units == 4 && !job_.projected && !job_.segment;
    const void* h0 = job_.projected && C::carries_h ? w_.first_recurrent_input : w_.h0;
    for (int64_t s = p.s0; s < p.s1; ++s) {
      const int64_t t = order_.time(s);
      for (int64_t j = 0; j < g_.count[t]; ++j) {
        T* h = chunk.h + (g_.start[t] - g_.start[p.t0] + j) * m_.h_stride;
        if (j < order_.count(s - 1) && in_gates)
          copy(h, tape.gates + (g_.start[order_.time(s - 1)] + j) * z_.columns, z_.P);
        else if (j < order_.count(s - 1))
          copy(h, row_at<const T>(layer_.y, g_, order_.time(s - 1), j) + column_, z_.P);
        else if (h0)
          copy(h, static_cast<const T*>(h0) + (h0 == w_.h0 ? g_.original[j] : g_.sorted[j]) * z_.P, z_.P);
        else
          clear(h, z_.P);
        clear(h + z_.P, m_.h_stride - z_.P);
      }
    }
  }

  // first: the first step on the tape.
  void step(BackwardChunk<C, T>& chunk, const Span& p, int64_t s, int64_t first, const Tape<T>& tape,
            const Before& before) {
    const int64_t t = order_.time(s), count = g_.count[t], r = g_.start[t] - g_.start[p.t0];
    const auto row_of = [&](int64_t step) { return g_.start[order_.time(step)] - tape.first; };
    const int64_t row = row_of(s);
    const bool earlier = s > first;
    if (job_.projected) {
      T* dp = chunk.dp + r * z_.recurrent_input;
      for (int64_t j = 0; j < count; ++j) {
        copy(dp + j * z_.recurrent_input, m_.dh + j * z_.recurrent_input, z_.recurrent_input);
        if (!layer_.dy.data) continue;
        const T* dy = row_at<const T>(layer_.dy, g_, t, j) + column_;
        for (int64_t i = 0; i < z_.P; ++i) dp[j * z_.recurrent_input + i] += dy[i];
      }
      unproject(dp, count);
    }
    GradientRows<T> rows{};
    rows.group = &g_;
    rows.rows = count;
    rows.t = t;
    rows.gates = tape.gates + row * z_.columns;
    rows.gates_stride = z_.columns;
    rows.state_stride = z_.units;
    rows.started = min(count, order_.count(s - 1));
    if constexpr (C::carries_h) {
      rows.h_start = m_.h0;
      rows.h_before = chunk.h + r * m_.h_stride;
      rows.h_before_stride = m_.h_stride;
      if (job_.projected) {
        rows.h_before = earlier ? tape.outputs + row_of(s - 1) * z_.units : before.h;
        rows.h_before_stride = z_.units;
      }
    }
    if constexpr (C::has_c) {
      rows.c_start = m_.c0;
      rows.c_before = earlier ? tape.cells + row_of(s - 1) * z_.units : before.c;
      rows.c = tape.cells + row * z_.units;
      rows.dc = m_.dc;
    }
    rows.dh = job_.projected ? m_.dm : m_.dh;
    rows.dh_stride = z_.units;
    rows.dy = job_.projected ? nullptr : &layer_.dy;
    rows.dy_column = column_;
    rows.d = chunk.d + r * m_.d_stride;
    rows.d_stride = m_.d_stride;
    gradient_step<C, T>(rows, z_.blocks);
    if (earlier) prefetch_step(s, first, tape);
    if (s > 0 || w_.dh0 || job_.projected) carry(count, rows.d);
  }

  // dh = d W_hh, the gradient of what W_hh read, on top of what the cell let pass.
  void carry(int64_t count, const T* d) {
    const bool add = C::carries_h && !job_.projected;
    if (job_.unpacked_backward)
      multiply_rows_unpacked<C, T>(z_.blocks, C::from_h, static_cast<const T*>(w_.w_hh), z_.P, count,
                                   {d, m_.d_stride, nullptr}, {m_.dh, dh_stride(), nullptr}, add);
    else
      multiply<T>({count,
                   {d, m_.d_stride, nullptr},
                   z_.blocks.depth(C::from_h),
                   static_cast<const T*>(w_.rows_hh),
                   plain_panels<T>(z_.P),
                   {m_.dh, dh_stride(), nullptr},
                   z_.recurrent_input,
                   nullptr,
                   add});
  }

  // What the step before `s` will read.
  void prefetch_step(int64_t s, int64_t first, const Tape<T>& tape) const {
    const int64_t t = order_.time(s - 1), rows = g_.count[t];
    prefetch(tape.gates + (g_.start[t] - tape.first) * z_.columns, rows * z_.columns * sizeof(T));
    if (C::has_c && s - 1 > first)
      prefetch(tape.cells + (g_.start[order_.time(s - 2)] - tape.first) * z_.units, rows * z_.units * sizeof(T));
    if (layer_.dy.data)
      for (int64_t j = 0; j < rows; ++j) prefetch(row_at<const T>(layer_.dy, g_, t, j) + column_, z_.P * sizeof(T));
  }

  // dm = dp W_hr, on top of what the cell let pass.
  void unproject(const T* dp, int64_t rows) {
    multiply<T>({rows,
                 {dp, z_.recurrent_input, nullptr},
                 contiguous(z_.P),
                 static_cast<const T*>(w_.rows_hr),
                 plain_panels<T>(z_.H),
                 {m_.dm, z_.units, nullptr},
                 z_.units,
                 nullptr,
                 C::carries_h});
  }

  void hand_out_products(BackwardChunk<C, T>& chunk, const Span& p, const Tape<T>& tape) {
    const int64_t rows = order_.rows(p), I = layer_.input;
    ChunkProducts<C, T>& todo = chunk.products;
    todo = {};
    todo.blocks = &z_.blocks;
    if (layer_.dx.data) {
      T** dx = chunk.dx;
      for (int64_t t = p.t0; t < p.t1; ++t)
        for (int64_t j = 0; j < g_.count[t]; ++j) *dx++ = row_at<T>(layer_.dx, g_, t, j);
      todo.dx = {rows,
                 {chunk.d, m_.d_stride, nullptr},
                 z_.blocks.depth(C::from_x),
                 static_cast<const T*>(w_.rows_ih),
                 plain_panels<T>(I),
                 {nullptr, 0, chunk.dx},
                 I,
                 nullptr,
                 d_ == 1};
      if (job_.unpacked_backward)
        multiply_rows_unpacked<C, T>(z_.blocks, C::from_x, static_cast<const T*>(w_.w_ih), I, rows, todo.dx.a,
                                     todo.dx.c, todo.dx.add);
      else
        todo.dx_pieces = piece_count(todo.dx);
    }
    todo.ih = {rows, chunk.d, chunk.x, m_.d_stride, m_.x_stride, nullptr, I, layer_.direct_ih, summed_};
    if (T* sum = partial_ih()) {
      T* x = chunk.x;
      const int64_t padding = round_up(I, lanes<T>) - I;
      for (int64_t t = p.t0; t < p.t1; ++t)
        for (int64_t j = 0; j < g_.count[t]; ++j, x += m_.x_stride) {
          copy(x, row_at<const T>(layer_.x, g_, t, j), I);
          clear(x + I, padding);
        }
      todo.ih.sum = sum;
      todo.ih_pieces = panel_count<T>(z_.blocks.panels(C::from_x));
    }
    if (T* sum = partial_hh()) {
      todo.hh = {rows, chunk.d, chunk.h, m_.d_stride, m_.h_stride, sum, z_.P, layer_.direct_hh, summed_};
      todo.hh_pieces = panel_count<T>(z_.blocks.panels(C::from_h));
    }
    if (T* sum = partial_hr()) {
      const T* outputs = tape.outputs + (g_.start[p.t0] - tape.first) * z_.units;
      const int64_t stride = spread<T>(z_.units);
      for (int64_t r = 0; r < rows; ++r) copy(chunk.outputs + r * stride, outputs + r * z_.units, z_.H);
      todo.hr = {rows, chunk.dp, chunk.outputs, z_.recurrent_input, stride, sum, z_.H, false, summed_};
      todo.hr_pieces = panel_count<T>(plain_panels<T>(z_.P));
    }
    todo.sum_b = partial_b();
    chunk.ticket = last_ticket_ = hand_out_or_do(helpers_, todo, rows > 0 ? todo.pieces() : 0);
    if (layer_.progress) {
      chunk.report = {layer_.progress + group_, job_.T - p.s0};
      chunk.ticket = last_ticket_ = hand_out_or_do(helpers_, chunk.report, 1);
    }
    summed_ = summed_ || rows > 0;
  }

  // This group's partials of the weights' gradients, or null. The first direct one is the gradient itself.
  T* partial_ih() const { return partial(layer_.direct_ih, w_.dw_ih, w_.sum_ih, layer_.input); }
  T* partial_hh() const { return partial(layer_.direct_hh, w_.dw_hh, w_.sum_hh, z_.P); }
  T* partial(bool direct, void* dw, void* sums, int64_t width) const {
    if (!dw) return nullptr;
    if (direct && group_ == 0) return static_cast<T*>(dw);
    return static_cast<T*>(sums) + (group_ - direct) * partial_size(z_.blocks, direct, width);
  }
  T* partial_hr() const { return w_.sum_hr ? static_cast<T*>(w_.sum_hr) + group_ * job_.layout.sum_hr : nullptr; }
  T* partial_b() const { return w_.sum_b ? static_cast<T*>(w_.sum_b) + group_ * job_.layout.sum_b : nullptr; }

  void end() {
    if (!summed_) {
      if (T* sum = partial_ih()) clear(sum, partial_size(z_.blocks, layer_.direct_ih, layer_.input));
      if (T* sum = partial_hh()) clear(sum, partial_size(z_.blocks, layer_.direct_hh, z_.P));
      if (T* sum = partial_hr()) clear(sum, job_.layout.sum_hr);
      if (T* sum = partial_b()) clear(sum, job_.layout.sum_b);
    }
    if (job_.projected && C::carries_h) {  // the first thing W_hh read was W_hr h0
      if (T* sum = partial_hr()) {
        ChunkProducts<C, T> first{};
        first.hr = {g_.rows, m_.dh, m_.h0, z_.recurrent_input, z_.units, sum, z_.H, false, true};
        for (int64_t i = 0; i < panel_count<T>(plain_panels<T>(z_.P)); ++i) first.outer_projection(i);
      }
      unproject(m_.dh, g_.rows);
      give_state(w_.dh0, g_, 0, g_.rows, z_.H, m_.dm, z_.units);
    } else {
      give_state(w_.dh0, g_, 0, g_.rows, z_.P, m_.dh, dh_stride());
    }
    if (C::has_c) give_state(w_.dc0, g_, 0, g_.rows, z_.H, m_.dc, z_.units);
  }

  const Job& job_;
  const int64_t group_, index_;
  const int d_;
  const Group& g_;
  const Layer& layer_;
  const int64_t* const above_;  // progress of the layer above, or null
  const Direction& w_;
  const Sizes<C, T> z_;
  const Order order_;
  const int64_t steps_, column_;
  Arena arena_;
  BackwardScratch<C, T> m_;
  Helpers* const helpers_;
  int next_chunk_ = 0;
  int64_t last_ticket_ = 0;
  bool summed_ = false;  // whether the partials have begun
};

template <class C, class T>
void backward(const Job& job, int64_t group, int64_t first, int64_t last, void* scratch, Helpers* helpers) {
  const Group& g = job.group[group];
  for (int64_t l = last - 1; l >= first; --l) {
    const Layer& layer = job.layer[l];
    if (layer.mask.data && job.D > 1) apply_mask<T>(g, 0, job.T, layer.mask, layer.dy, layer.dy, job.D * job.P);
    for (int d = 0; d < job.D; ++d) BackwardPass<C, T>(job, group, l, d, scratch, helpers).run();
    if (l == 0) clear_padding<T>(job, g, layer.dx, layer.input);
  }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
