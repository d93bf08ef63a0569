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

// D W for rows D of gates' gradients and W as whatever job.read_backward says.
template <class C, class T, class O>
struct GateProduct {
  const Blocks<C, T>* blocks;
  const int (*from)[4];
  Weights read;
  const T* w;  // as torch lays it out, `width` wide
  int64_t width;
  Product<T, O> packed;
  int64_t pieces() const { return read == Weights::kUnpacked ? 1 : piece_count(packed); }
  void operator()(int64_t i) const {
    if constexpr (!paired<O>)
      if (read == Weights::kUnpacked)
        return multiply_rows_unpacked<C, T>(*blocks, *from, w, width, packed.rows, packed.a, packed.c, packed.add);
    multiply_piece(packed, i);
  }
};

// What a chunk's steps leave to be done over all of its rows: the gradients of x and of the weights.
template <class C, class T, class O>
struct ChunkProducts {
  const Blocks<C, T>* blocks;
  GateProduct<C, T, O> dx;
  Outer<T, O> ih, hh, hr;
  T* sum_b;
  int64_t dx_pieces, ih_pieces, hh_pieces, hr_pieces;

  int64_t pieces() const { return dx_pieces + ih_pieces + hh_pieces + hr_pieces + (sum_b != nullptr); }

  void operator()(int64_t i) const {
    if (i < dx_pieces) return dx(i);
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
    const int64_t columns = min(4 * L, hr.d_stride - i * 4 * L);
    alignas(64) O copies[operands<O>(kSumRows) * 4 * L];
    for (int64_t r = 0; r < hr.rows; r += kSumRows) {
      const int64_t rows = min(kSumRows, hr.rows - r);
      const PanelOfD<O> d(hr.d + r * hr.d_stride + i * 4 * L, hr.d_stride, rows, int(columns / L), copies);
      outer<T, O>({operands<O>(rows), hr.a + r / elements<O> * hr.a_stride, hr.a_stride, hr.width, d.rows, d.stride,
                   columns, hr.sum + i * 4 * L, hr.d_stride, hr.add || r > 0});
    }
  }
};

template <class T>
struct Report {  // tells the owners of the layer below how far dx is
  Helpers* helpers;
  int64_t* progress;
  int64_t steps;
  void operator()(int64_t) const { publish(*helpers, progress, steps); }
};

template <class C, class T, class O>
struct BackwardChunk {
  Element<O>*d, *dp;   // rows of the gradients of gates and of projections
  O *x, *h, *outputs;  // and of what the weights read
  T* h_before;         // the latter's h once more, where the cell reads it and the product takes pairs
  T** dx;
  ChunkProducts<C, T, O> products;
  Report<T> report;
  int64_t ticket;
};

template <class C, class T, class O>
struct BackwardScratch {
  static constexpr int kHelpedChunks = 3;  // with helpers between the steps: how many may wait for their products
  BackwardChunk<C, T, O> chunk[kHelpedChunks];
  int chunks;
  int64_t x_stride, h_stride, d_stride;
  T *dh, *dm, *dc, *h0, *c0;
  const T** read;  // rows to be gathered
  Tape<T> segment;
  void* forward;  // scratch for computing a segment again
  BackwardScratch(Arena& arena, const Job& job, const Sizes<C, T>& z)
      : chunk{}, chunks(job.help == Help::kBetweenSteps ? kHelpedChunks : 1), segment{}, forward(nullptr) {
    const int64_t rows = job.largest_group, most = most_chunk_rows(job);
    d_stride = spread<Element<O>>(z.columns);
    const int64_t operand_rows = operands<O>(most);
    x_stride = spread<T>(job.widest);
    h_stride = spread<T>(max(z.recurrent_input, job.projected ? 0 : z.units));
    for (int i = 0; i < chunks; ++i) {
      chunk[i].d = arena.take<Element<O>>(most * d_stride);
      chunk[i].x = arena.take<O>(operand_rows * x_stride);
      chunk[i].h = arena.take<O>(operand_rows * h_stride);
      chunk[i].h_before = arena.take<T>(paired<O> && z.reads == Reads::kH && C::carries_h ? most * h_stride : 0);
      chunk[i].dp = arena.take<Element<O>>(job.projected ? most * z.recurrent_input : 0);
      chunk[i].outputs = arena.take<O>(job.projected ? operand_rows * spread<T>(z.units) : 0);
      chunk[i].dx = arena.take<T*>(most);
    }
    read = arena.take<const T*>(most);
    dh = arena.take<T>(rows * max(z.units, z.recurrent_input));
    dm = arena.take<T>(job.projected ? rows * z.units : 0);
    dc = arena.take<T>(C::has_c ? rows * z.units : 0);
    h0 = arena.take<T>(C::carries_h ? rows * z.units : 0);
    c0 = arena.take<T>(C::has_c ? rows * z.units : 0);
    if (job.saved != Saved::kStates) return;
    const int64_t again = min(job.segment, job.T) * rows;
    segment.gates = arena.take<T>(again * z.columns);
    segment.cells = C::has_c ? arena.take<T>(again * z.units) : nullptr;
    segment.outputs = job.projected ? arena.take<T>(again * z.units) : nullptr;
    Arena inner{nullptr};
    ForwardScratch<C, T, O>(inner, job, z);
    forward = arena.take<char>(inner.used);
  }
};

// What the gradient of one block of one step reads and writes.
template <class T, class E>
struct GradientRows {
  const Group& group;
  int64_t rows, t;
  const T* gates;
  int64_t gates_stride, state_stride;
  const T *h_before, *h_start;  // of cells that carry h; rows from `started` on begin here
  int64_t h_before_stride;
  const T *c_before, *c_start, *c;  // of cells with c
  int64_t started;
  T* dh;  // in: what comes from the step after; out: what passes by the product
  int64_t dh_stride;
  T* dc;
  const Sequence* dy;  // null where there is none or dh has it already
  int64_t dy_column;
  E* d;
  int64_t d_stride;
};

template <class C, class T, int W, class E>
STATEWISE_INLINE void gradient_block(const GradientRows<T, E>& s, int64_t column, int64_t unit, int64_t H) {
  using V = Vec<T, W>;
  constexpr int U = C::units;
  const bool partial = unit + U * W > H;
  for (int64_t j = 0; j < s.rows; ++j) {
    const T* gates = s.gates + j * s.gates_stride + column;
    const int64_t at = j * s.state_stride + unit;
    V a[4], d[4], h_before[U], c_before[U], c[U], dh[U], dc[U];
    for (int i = 0; i < 4; ++i) a[i] = load<V>(gates + i * W);
    const T* dy = s.dy ? row_at<const T>(*s.dy, s.group, s.t, j) + s.dy_column + unit : nullptr;
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
    for (int i = 0; i < 4; ++i) {
      // Zero past the last unit: the products sum over it, and would carry what it comes to where data are infinite.
      if (partial) d[i] = keep_first<T, W>(d[i], int(min(W, H - unit - (U == 4 ? i * W : 0))));
      store_elements(s.d + j * s.d_stride + column + i * W, d[i]);
    }
    for (int i = 0; i < U; ++i) {
      if (C::carries_h) store(s.dh + j * s.dh_stride + unit + i * W, dh[i]);
      if (C::has_c) store(s.dc + at + i * W, dc[i]);
    }
  }
}

// The gradient of one step, block by block.
template <class C, class T, class E>
struct GradientStep {
  const Blocks<C, T>& blocks;
  GradientRows<T, E> rows;
  void operator()(int64_t b) const {
    constexpr int L = lanes<T>;
    if (b < blocks.full) return block<L>(b);
    if (blocks.tail == 2) block<L / 2>(b);
    if constexpr (L >= 4)
      if (blocks.tail == 1) block<L / 4>(b);
  }

 private:
  template <int W>
  STATEWISE_INLINE void block(int64_t b) const {
    const int64_t column = b * 4 * lanes<T>, unit = b * blocks.per_block;
    gradient_block<C, T, W>(rows, column, unit, blocks.hidden);
  }
};

// One direction of one layer for one group.
template <class C, class T, class O>
class BackwardPass {
 public:
  BackwardPass(const Job& job, const Pass& pass)
      : job_(job),
        pass_(pass),
        g_(job.group[pass.group]),
        layer_(job.layer[pass.layer]),
        w_(layer_.direction[pass.direction]),
        z_(job),
        order_{g_, job.T, pass.direction == 1},
        steps_(chunk_steps(job)),
        column_(pass.direction * z_.P),
        arena_{static_cast<char*>(pass.scratch)},
        m_(arena_, job, z_) {}

  void run() {
    begin();
    if (job_.saved == Saved::kSteps)
      retreat(0, job_.T, full_tape<C, T>(w_, g_, z_.columns, z_.units), {nullptr, nullptr});
    else
      for (int64_t i = (job_.T - 1) / job_.segment; i >= 0 && job_.T > 0; --i) {
        const int64_t s0 = i * job_.segment, s1 = min(s0 + job_.segment, job_.T);
        Tape<T> tape = m_.segment;
        tape.first = rows_before(g_, order_.span(s0, s1).t0);
        Pass forward = pass_;
        forward.scratch = m_.forward;
        ForwardPass<C, T, O>(job_, forward, Run::kAgain).again(i, tape);
        retreat(s0, s1, tape, {kept(w_.kept_h, i), kept(w_.kept_c, i)});
      }
    if (pass_.helpers) finish(*pass_.helpers, last_ticket_);
    end();
    if (pass_.layer == 0 && !w_.adds_dx) clear_padding<T>(job_, g_, w_.dx, 0, layer_.input);
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
    if (z_.reads == Reads::kProjectionOfH) {
      take_state(w_.dhn, g_, z_.H, m_.dm, z_.units);
      clear(m_.dh, g_.rows * dh_stride());
    } else {
      take_state(w_.dhn, g_, z_.P, m_.dh, dh_stride());
    }
    if (z_.reads == Reads::kProjectedH) clear(m_.dm, g_.rows * z_.units);  // W_hr's product leaves the padding alone
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
      BackwardChunk<C, T, O>& chunk = m_.chunk[next_chunk_];
      if (pass_.helpers) finish(*pass_.helpers, chunk.ticket);
      next_chunk_ = (next_chunk_ + 1) % m_.chunks;
      take_dy(p);
      if (w_.dw_hh || (C::carries_h && z_.reads == Reads::kH)) copy_h(chunk, p, tape);
      for (int64_t s = p.s1 - 1; s >= p.s0; --s) step(chunk, p, s, s0, tape, before);
      hand_out_products(chunk, p, tape);
    }
  }

  // What the layer above leaves for the times of `p` in this direction's columns of dy: waits for it, adds what its two
  // directions computed side by side, and passes it through the dropout.
  void take_dy(const Span& p) {
    for (int d = 0; d < job_.D && pass_.layer + 1 < job_.L; ++d)
      if (const int64_t* progress = job_.layer[pass_.layer + 1].direction[d].progress)
        wait_for(*pass_.helpers, progress + pass_.group, d == 0 ? job_.T - p.t0 : p.t1);
    if (!layer_.mask.data && !layer_.dy_beside.data) return;
    each_row<T>(g_, p, column_, layer_.dy, layer_.dy_beside, layer_.mask, [&](T* dy, const T* beside, const T* mask) {
      for (int64_t i = 0; beside && i < z_.P; ++i) dy[i] += beside[i];
      for (int64_t i = 0; mask && i < z_.P; ++i) dy[i] *= mask[i];
    });
  }

  // What W_hh read, for its gradient, and for a cell that reads it too.
  void copy_h(BackwardChunk<C, T, O>& chunk, const Span& p, const Tape<T>& tape) {
    const bool in_gates = C::units == 4 && z_.reads == Reads::kH && job_.saved == Saved::kSteps;
    const bool ours = z_.reads == Reads::kProjectionOfH;  // whose h0 it is: rows by descending length, or the caller's
    const void* h0 = ours ? w_.first_recurrent_input : w_.h0;
    for (int64_t s = p.s0; s < p.s1; ++s) {
      const int64_t t = order_.time(s);
      for (int64_t j = 0; j < rows_at(g_, t); ++j) {
        const T*& h = m_.read[rows_before(g_, t) - rows_before(g_, p.t0) + j];
        if (j < order_.count(s - 1) && in_gates)
          h = tape.gates + (rows_before(g_, order_.time(s - 1)) + j) * z_.columns;
        else if (j < order_.count(s - 1))
          h = row_at<const T>(layer_.y, g_, order_.time(s - 1), j) + column_;
        else if (h0)
          h = static_cast<const T*>(h0) + (ours ? sorted(g_, j) : original(g_, j)) * z_.P;
        else
          h = nullptr;
      }
    }
    gather_rows(m_.read, order_.rows(p), z_.P, chunk.h, m_.h_stride);
    if constexpr (paired<O> && C::carries_h)
      if (z_.reads == Reads::kH) gather_rows(m_.read, order_.rows(p), z_.P, chunk.h_before, m_.h_stride);
  }

  // first: the first step on the tape.
  void step(BackwardChunk<C, T, O>& chunk, const Span& p, int64_t s, int64_t first, const Tape<T>& tape,
            const Before& before) {
    const int64_t t = order_.time(s), count = rows_at(g_, t), r = rows_before(g_, t) - rows_before(g_, p.t0);
    const auto row_of = [&](int64_t step) { return rows_before(g_, order_.time(step)) - tape.first; };
    const int64_t row = row_of(s);
    const bool earlier = s > first;
    if (job_.projected) {
      for (int64_t j = 0; layer_.dy.data && j < count; ++j) {
        const T* dy = row_at<const T>(layer_.dy, g_, t, j) + column_;
        for (int64_t i = 0; i < z_.P; ++i) m_.dh[j * z_.recurrent_input + i] += dy[i];
      }
      unproject(chunk.dp + r * z_.recurrent_input, count);
    }
    const bool outputs = z_.reads == Reads::kProjectionOfH;  // h is on the tape, for y is its projection
    const T* h_before = nullptr;
    if constexpr (C::carries_h && paired<O>)
      h_before = chunk.h_before + r * m_.h_stride;
    else if constexpr (C::carries_h)
      h_before = chunk.h + r * m_.h_stride;
    const GradientStep<C, T, Element<O>> gradients{
        .blocks = z_.blocks,
        .rows = {.group = g_,
                 .rows = count,
                 .t = t,
                 .gates = tape.gates + row * z_.columns,
                 .gates_stride = z_.columns,
                 .state_stride = z_.units,
                 .h_before = !outputs  ? h_before
                             : earlier ? tape.outputs + row_of(s - 1) * z_.units
                                       : before.h,
                 .h_start = m_.h0,
                 .h_before_stride = outputs ? z_.units : m_.h_stride,
                 .c_before = C::has_c && earlier ? tape.cells + row_of(s - 1) * z_.units : before.c,
                 .c_start = m_.c0,
                 .c = C::has_c ? tape.cells + row * z_.units : nullptr,
                 .started = min(count, order_.count(s - 1)),
                 .dh = job_.projected ? m_.dm : m_.dh,
                 .dh_stride = z_.units,
                 .dc = m_.dc,
                 .dy = job_.projected || !layer_.dy.data ? nullptr : &layer_.dy,
                 .dy_column = column_,
                 .d = chunk.d + r * m_.d_stride,
                 .d_stride = m_.d_stride}};
    do_within_step(job_, pass_.helpers, gradients, z_.blocks.count());
    if (earlier) prefetch_step(s, first, tape);
    if (s > 0 || w_.dh0 || job_.projected) carry(count, gradients.rows.d);
  }

  // dh = d W_hh, the gradient of what W_hh read, on top of what the cell let pass.
  void carry(int64_t count, const Element<O>* d) {
    const GateProduct<C, T, O> product{.blocks = &z_.blocks,
                                       .from = &C::from_h,
                                       .read = job_.read_backward,
                                       .w = static_cast<const T*>(w_.w_hh),
                                       .width = z_.P,
                                       .packed = {.rows = count,
                                                  .a = operand_rows(d, m_.d_stride),
                                                  .depth = z_.blocks.template depth<O>(C::from_h),
                                                  .b = static_cast<const O*>(w_.rows_hh),
                                                  .panels = row_panels<T, O>(z_.P),
                                                  .c = {m_.dh, dh_stride(), nullptr},
                                                  .columns = z_.recurrent_input,
                                                  .bias = nullptr,
                                                  .add = C::carries_h && !job_.projected}};
    do_within_step(job_, pass_.helpers, product, product.pieces());
  }

  // Rows of elements as rows of operands.
  static RowsOf<const O> operand_rows(const Element<O>* rows, int64_t stride) {
    return {reinterpret_cast<const O*>(rows), stride / elements<O>, nullptr};
  }

  // What the step before `s` will read.
  void prefetch_step(int64_t s, int64_t first, const Tape<T>& tape) const {
    const int64_t t = order_.time(s - 1), rows = rows_at(g_, t);
    prefetch(tape.gates + (rows_before(g_, t) - tape.first) * z_.columns, rows * z_.columns * sizeof(T));
    if (C::has_c && s - 1 > first)
      prefetch(tape.cells + (rows_before(g_, order_.time(s - 2)) - tape.first) * z_.units, rows * z_.units * sizeof(T));
    if (layer_.dy.data)
      for (int64_t j = 0; j < rows; ++j) prefetch(row_at<const T>(layer_.dy, g_, t, j) + column_, z_.P * sizeof(T));
  }

  // dm = dp W_hr, on top of what the cell let pass, where dp is dh as the product takes it.
  void unproject(Element<O>* dp, int64_t rows) {
    constexpr int L = lanes<T>;
    for (int64_t k = 0; k < rows * z_.recurrent_input; k += L) store_elements(dp + k, load<Vec<T, L>>(m_.dh + k));
    multiply<T, O>({.rows = rows,
                    .a = operand_rows(dp, z_.recurrent_input),
                    .depth = contiguous(operands<O>(z_.P)),
                    .b = static_cast<const O*>(w_.rows_hr),
                    .panels = plain_panels<T>(z_.H),
                    .c = {m_.dm, z_.units, nullptr},
                    .columns = z_.units,
                    .bias = nullptr,
                    .add = C::carries_h});
  }

  void hand_out_products(BackwardChunk<C, T, O>& chunk, const Span& p, const Tape<T>& tape) {
    const int64_t rows = order_.rows(p), I = layer_.input;
    ChunkProducts<C, T, O>& todo = chunk.products;
    todo = {};
    todo.blocks = &z_.blocks;
    if (w_.dx.data) {
      T** dx = chunk.dx;
      for (int64_t t = p.t0; t < p.t1; ++t)
        for (int64_t j = 0; j < rows_at(g_, t); ++j) *dx++ = row_at<T>(w_.dx, g_, t, j);
      todo.dx = {.blocks = &z_.blocks,
                 .from = &C::from_x,
                 .read = job_.read_backward,
                 .w = static_cast<const T*>(w_.w_ih),
                 .width = I,
                 .packed = {.rows = rows,
                            .a = operand_rows(chunk.d, m_.d_stride),
                            .depth = z_.blocks.template depth<O>(C::from_x),
                            .b = static_cast<const O*>(w_.rows_ih),
                            .panels = row_panels<T, O>(I),
                            .c = {nullptr, 0, chunk.dx},
                            .columns = I,
                            .bias = nullptr,
                            .add = w_.adds_dx}};
      todo.dx_pieces = todo.dx.pieces();
    }
    todo.ih = {.rows = rows,
               .d = chunk.d,
               .a = chunk.x,
               .d_stride = m_.d_stride,
               .a_stride = m_.x_stride,
               .sum = partial_ih(),
               .width = I,
               .direct = layer_.direct_ih,
               .add = summed_};
    if (todo.ih.sum) {
      const T** x = m_.read;
      for (int64_t t = p.t0; t < p.t1; ++t)
        for (int64_t j = 0; j < rows_at(g_, t); ++j) *x++ = row_at<const T>(layer_.x, g_, t, j);
      gather_rows(m_.read, rows, I, chunk.x, m_.x_stride);
      todo.ih_pieces = panel_count<T>(z_.blocks.panels(C::from_x));
    }
    if (T* sum = partial_hh()) {
      todo.hh = {.rows = rows,
                 .d = chunk.d,
                 .a = chunk.h,
                 .d_stride = m_.d_stride,
                 .a_stride = m_.h_stride,
                 .sum = sum,
                 .width = z_.P,
                 .direct = layer_.direct_hh,
                 .add = summed_};
      todo.hh_pieces = panel_count<T>(z_.blocks.panels(C::from_h));
    }
    if (T* sum = partial_hr()) {
      const T* outputs = tape.outputs + (rows_before(g_, p.t0) - tape.first) * z_.units;
      const int64_t stride = spread<T>(z_.units);
      gather(outputs, z_.units, rows, z_.H, chunk.outputs, stride);
      todo.hr = {.rows = rows,
                 .d = chunk.dp,
                 .a = chunk.outputs,
                 .d_stride = z_.recurrent_input,
                 .a_stride = stride,
                 .sum = sum,
                 .width = z_.H,
                 .direct = false,
                 .add = summed_};
      todo.hr_pieces = panel_count<T>(plain_panels<T>(z_.P));
    }
    todo.sum_b = partial_b();
    chunk.ticket = last_ticket_ = hand_out_or_do(pass_.helpers, todo, rows > 0 ? todo.pieces() : 0);
    if (w_.progress) {
      chunk.report = {pass_.helpers, w_.progress + pass_.group, job_.T - p.s0};
      chunk.ticket = last_ticket_ = hand_out_or_do(pass_.helpers, chunk.report, 1);
    }
    summed_ = summed_ || rows > 0;
  }

  // gather_rows of rows at equal distances.
  void gather(const T* from, int64_t from_stride, int64_t rows, int64_t width, O* to, int64_t stride) {
    for (int64_t r = 0; r < rows; ++r) m_.read[r] = from + r * from_stride;
    gather_rows(m_.read, rows, width, to, stride);
  }

  // This group's partials of the weights' gradients, or null. The first direct one is the gradient itself.
  T* partial_ih() const { return partial(layer_.direct_ih, w_.dw_ih, w_.sum_ih, layer_.input); }
  T* partial_hh() const { return partial(layer_.direct_hh, w_.dw_hh, w_.sum_hh, z_.P); }
  T* partial(bool direct, void* dw, void* sums, int64_t width) const {
    if (!dw) return nullptr;
    if (direct && pass_.group == 0) return static_cast<T*>(dw);
    return static_cast<T*>(sums) + (pass_.group - direct) * partial_size(z_.blocks, direct, width);
  }
  T* partial_hr() const { return w_.sum_hr ? static_cast<T*>(w_.sum_hr) + pass_.group * job_.layout.sum_hr : nullptr; }
  T* partial_b() const { return w_.sum_b ? static_cast<T*>(w_.sum_b) + pass_.group * job_.layout.sum_b : nullptr; }

  void end() {
    if (!summed_) {
      if (T* sum = partial_ih()) clear(sum, partial_size(z_.blocks, layer_.direct_ih, layer_.input));
      if (T* sum = partial_hh()) clear(sum, partial_size(z_.blocks, layer_.direct_hh, z_.P));
      if (T* sum = partial_hr()) clear(sum, job_.layout.sum_hr);
      if (T* sum = partial_b()) clear(sum, job_.layout.sum_b);
    }
    if (z_.reads == Reads::kProjectionOfH) {  // the first thing W_hh read was W_hr h0
      BackwardChunk<C, T, O>& chunk = m_.chunk[0];
      unproject(chunk.dp, g_.rows);
      if (T* sum = partial_hr()) {
        const int64_t stride = spread<T>(z_.units);
        gather(m_.h0, z_.units, g_.rows, z_.H, chunk.outputs, stride);
        ChunkProducts<C, T, O> first{};
        first.hr = {.rows = g_.rows,
                    .d = chunk.dp,
                    .a = chunk.outputs,
                    .d_stride = z_.recurrent_input,
                    .a_stride = stride,
                    .sum = sum,
                    .width = z_.H,
                    .direct = false,
                    .add = true};
        for (int64_t i = 0; i < panel_count<T>(plain_panels<T>(z_.P)); ++i) first.outer_projection(i);
      }
      give_state(w_.dh0, g_, 0, g_.rows, z_.H, m_.dm, z_.units);
    } else {
      give_state(w_.dh0, g_, 0, g_.rows, z_.P, m_.dh, dh_stride());
    }
    if (C::has_c) give_state(w_.dc0, g_, 0, g_.rows, z_.H, m_.dc, z_.units);
  }

  const Job& job_;
  const Pass pass_;
  const Group& g_;
  const Layer& layer_;
  const Direction& w_;
  const Sizes<C, T> z_;
  const Order order_;
  const int64_t steps_, column_;
  Arena arena_;
  BackwardScratch<C, T, O> m_;
  int next_chunk_ = 0;
  int64_t last_ticket_ = 0;
  bool summed_ = false;  // whether the partials have begun
};

template <class C, class T, class O>
void backward(const Job& job, const Pass& pass) {
  BackwardPass<C, T, O>(job, pass).run();
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
