// The time loop forward: one group of rows through all layers.
//
// A chunk of steps at a time: W_ih x for the whole chunk by one product, then step by step the product with h, block of
// columns by block, and the cell on each block while it is in cache.

#pragma once

#include "scan.hpp"
#include "unpacked.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

template <class T, class O>
struct InputProduct {  // W_ih x for a chunk
  Product<T, O> product;
  void operator()(int64_t piece) const { multiply_piece(product, piece); }
};

template <class T, class O>
struct ForwardChunk {
  T* own_gates;  // memory for its gates, where the tape has none
  const T** x;
  O* x_operands;
  T* gates;
  Span span;
  InputProduct<T, O> input;
  int64_t ticket;
};

template <class C, class T, class O>
struct ForwardScratch {
  ForwardChunk<T, O> chunk[2];  // with helpers between the steps the next one is projected while one is being scanned
  T *state[2], *recurrent_input, *c0, *c;
  int64_t x_stride, h_stride;  // of x_operands and h_operands
  O* h_operands;               // what a step's product, or a projection, reads
  ForwardScratch(Arena& a, const Job& job, const Sizes<C, T>& z) : chunk{} {
    const int64_t rows = job.largest_group, most = most_chunk_rows(job);
    x_stride = operand_stride<O>(job.widest);
    h_stride = operand_stride<O>(max(job.H, job.P));
    for (int i = 0; i <= (job.help == Help::kBetweenSteps); ++i) {
      chunk[i].own_gates = a.take<T>(job.saved == Saved::kSteps ? 0 : most * z.columns);
      chunk[i].x = a.take<const T*>(most);
      chunk[i].x_operands = a.take<O>(most * x_stride);
    }
    state[0] = a.take<T>(rows * z.units);
    state[1] = a.take<T>(rows * z.units);
    h_operands = a.take<O>(rows * h_stride);
    recurrent_input = a.take<T>(job.projected ? rows * z.recurrent_input : 0);
    c0 = a.take<T>(C::has_c ? rows * z.units : 0);
    c = a.take<T>(C::has_c ? rows * z.units : 0);
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
  const Sequence *y, *copy;  // also written, where not null
  int64_t y_column;
};

// The cell for R rows from row `j` on, on the slots of W lanes from column `column` on: units [unit, unit + C::units *
// W), of which H exist.
template <class C, class T, int W, int R>
STATEWISE_INLINE void step_rows(const StepRows<T>& s, int64_t j, int64_t column, int64_t unit, int64_t H) {
  using V = Vec<T, W * R>;
  constexpr int U = C::units;
  const auto gates = [&](int r) __attribute__((always_inline)) { return s.gates + (j + r) * s.gates_stride + column; };
  const auto at = [&](int r) __attribute__((always_inline)) { return (j + r) * s.state_stride + unit; };
  T* y[R];  // looked up once: for all that the compiler knows, a store below may change where rows lie
  T* copy[R];
  const auto row = [&](const Sequence* to, int r) __attribute__((always_inline)) {
    return to ? row_at<T>(*to, s.group, s.t, j + r) + s.y_column + unit : nullptr;
  };
  unroll<R>(STATEWISE_EACH(r) {
    y[r] = row(s.y, r);
    if (C::carries_h) copy[r] = row(s.copy, r);
  });
  V a[4], h_before[U], c_before[U], h[U], c[U];
  unroll<4>(STATEWISE_EACH(i) { a[i] = load_rows<T, W, R>(STATEWISE_EACH(r) { return gates(r) + i * W; }); });
  unroll<U>(STATEWISE_EACH(i) {
    if (C::carries_h) h_before[i] = load_rows<T, W, R>(STATEWISE_EACH(r) { return s.h_before + at(r) + i * W; });
    if (C::has_c)
      c_before[i] = load_rows<T, W, R>(
          STATEWISE_EACH(r) { return (j + r < s.started ? s.c_before : s.c_start) + at(r) + i * W; });
  });
  C::template forward<T, W * R>(a, h_before, c_before, h, c);
  using Row = Vec<T, W>;
  unroll<4>(STATEWISE_EACH(i) {
    split_rows<T, W, R>(a[i], [&](int r, Row v) __attribute__((always_inline)) { store(gates(r) + i * W, v); });
  });
  unroll<U>(STATEWISE_EACH(i) {
    if (C::has_c)
      split_rows<T, W, R>(c[i], [&](int r, Row v) __attribute__((always_inline)) { store(s.c + at(r) + i * W, v); });
    const int64_t left = H - unit - i * W;
    split_rows<T, W, R>(h[i], [&](int r, Row v) __attribute__((always_inline)) {
      store(s.h + at(r) + i * W, v);
      const auto store_row = [&](T* to) __attribute__((always_inline)) {
        if (left >= W)
          store(to + i * W, v);
        else
          store_first(to + i * W, v, int(max(left, 0)));
      };
      if (y[r]) store_row(y[r]);
      if (C::carries_h && copy[r]) store_row(copy[r]);
    });
  });
}

template <class C, class T, int W>
STATEWISE_INLINE void step_block(const StepRows<T>& s, int64_t column, int64_t unit, int64_t H) {
  constexpr int R = rows_at_once<T, W>;
  int64_t j = 0;
  for (; j + R <= s.rows; j += R) step_rows<C, T, W, R>(s, j, column, unit, H);
  for (; R > 1 && j < s.rows; ++j) step_rows<C, T, W, 1>(s, j, column, unit, H);
}

template <class C, class T>
void step_tail(const StepRows<T>& s, const Blocks<C, T>& blocks) {
  constexpr int L = lanes<T>;
  const int64_t column = blocks.full * 4 * L, unit = blocks.full * blocks.per_block;
  if (blocks.tail == 2) step_block<C, T, L / 2>(s, column, unit, blocks.hidden);
  if constexpr (L >= 4)
    if (blocks.tail == 1) step_block<C, T, L / 4>(s, column, unit, blocks.hidden);
}

// One step, block of columns by block: the product with what W_hh reads, and the cell.
template <class C, class T, class O>
struct ForwardStep {
  const Blocks<C, T>& blocks;
  Weights read;
  const T* w_hh;  // as torch lays it out
  Product<T, O> product;
  StepRows<T> rows;
  const T* next;  // where the same step of the next chunk will write its gates; or null
  void operator()(int64_t b) const {
    constexpr int L = lanes<T>;
    const int64_t column = b * 4 * L;
    const bool full = b < blocks.full;
    for (int64_t j = 0; next && full && j < rows.rows; ++j)
      prefetch(next + j * rows.gates_stride + column, 4 * L * sizeof(T));
    multiply(b);
    if (full)
      step_block<C, T, L>(rows, column, b * blocks.per_block, blocks.hidden);
    else
      step_tail<C, T>(rows, blocks);
  }
  void multiply(int64_t b) const {
    if constexpr (!paired<O>)
      if (read == Weights::kUnpacked)
        return multiply_unpacked<C, T>(blocks, C::from_h, w_hh, product.depth.total(), b, product.rows, product.a,
                                       nullptr, product.c);
    if (b < blocks.full)
      multiply_panel(product, b);
    else
      multiply_tail(product);
  }
};

// The first time through a layer, or a part of it once more for its tape alone, which leaves all results as they are.
enum class Run { kFirst, kAgain };

// One direction of one layer for one group.
template <class C, class T, class O>
class ForwardPass {
 public:
  ForwardPass(const Job& job, const Pass& pass, Run run)
      : job_(job),
        pass_(pass),
        g_(job.group[pass.group]),
        layer_(job.layer[pass.layer]),
        first_(run == Run::kFirst),
        w_(layer_.direction[pass.direction]),
        z_(job),
        order_{g_, job.T, pass.direction == 1},
        steps_(chunk_steps(job)),
        y_column_(pass.direction * z_.P),
        y_(first_ ? layer_.y : Sequence{}),
        arena_{static_cast<char*>(pass.scratch)},
        m_(arena_, job, z_) {}

  void run() {
    begin();
    const Tape<T> none{};
    switch (job_.saved) {
      case Saved::kNothing:
        advance(0, job_.T, none);
        break;
      case Saved::kSteps:
        advance(0, job_.T, full_tape<C, T>(w_, g_, z_.columns, z_.units));
        break;
      case Saved::kStates:
        for (int64_t s0 = 0, i = 0; s0 < job_.T; s0 += job_.segment, ++i) {
          keep(i);
          advance(s0, min(s0 + job_.segment, job_.T), none);
        }
    }
    if (pass_.layer == job_.L - 1) clear_padding<T>(job_, g_, layer_.copy.data ? layer_.copy : y_, y_column_, z_.P);
  }

  // Segment `i` as it went the first time.
  void again(int64_t i, const Tape<T>& tape) {
    begin();
    recall(i);
    advance(i * job_.segment, min((i + 1) * job_.segment, job_.T), tape);
  }

 private:
  void begin() {
    T* const known = z_.reads == Reads::kProjectedH ? m_.recurrent_input : m_.state[0];
    const int64_t width = z_.state_width(), stride = z_.state_stride();
    take_state(w_.h0, g_, width, known, stride);
    if (z_.reads != Reads::kProjectedH) copy(m_.state[1], m_.state[0], g_.rows * z_.units);
    if (C::has_c) take_state(w_.c0, g_, z_.H, m_.c0, z_.units);
    now_ = 0;
    c_before_ = m_.c0;
    if (!first_) return;
    if (z_.reads == Reads::kProjectionOfH) {
      project(m_.state[0], g_.rows);
      if (w_.first_recurrent_input)
        for (int64_t j = 0; j < g_.rows; ++j)
          copy(static_cast<T*>(w_.first_recurrent_input) + sorted(g_, j) * z_.P,
               m_.recurrent_input + j * z_.recurrent_input, z_.P);
    }
    const int64_t first = order_.reverse ? order_.count(job_.T - 1) : order_.count(0);  // rows without steps
    give_state(w_.hn, g_, first, g_.rows, width, known, stride);
    if (C::has_c) give_state(w_.cn, g_, first, g_.rows, z_.H, m_.c0, z_.units);
  }

  // The states before segment `i`, to the tape and back.
  void keep(int64_t i) {
    const auto one = [&](void* kept, const T* from, int64_t width) {
      if (kept) copy(static_cast<T*>(kept) + (i * job_.N + g_.before) * width, from, g_.rows * width);
    };
    one(w_.kept_h, m_.state[now_], z_.units);
    one(w_.kept_c, c_before_, z_.units);
    one(w_.kept_recurrent_input, m_.recurrent_input, z_.recurrent_input);
  }

  void recall(int64_t i) {
    const auto one = [&](const void* kept, T* to, int64_t width) {
      if (kept) copy(to, static_cast<const T*>(kept) + (i * job_.N + g_.before) * width, g_.rows * width);
    };
    one(w_.kept_h, m_.state[now_], z_.units);
    one(w_.kept_c, m_.c, z_.units);
    one(w_.kept_recurrent_input, m_.recurrent_input, z_.recurrent_input);
    if (i > 0) c_before_ = m_.c;
  }

  // Calls with(progress, steps) for each direction of the layer below that x waits for, and the steps it must have done
  // before x is there for the times of `p`.
  template <class With>
  void each_below(const Span& p, const With& with) const {
    if (!first_ || pass_.layer == 0) return;
    for (int d = 0; d < job_.D; ++d)
      if (const int64_t* progress = job_.layer[pass_.layer - 1].direction[d].progress)
        with(progress + pass_.group, d == 0 ? p.t1 : job_.T - p.t0);
  }

  // The steps from `s0` to before `s1`, chunk by chunk.
  void advance(int64_t s0, int64_t s1, const Tape<T>& tape) {
    const auto span = [&](int64_t s) { return order_.span(s, min(s + steps_, s1)); };
    int i = 0;
    bool begun = false;  // whether chunk[i] has been handed out
    for (int64_t s = s0; s < s1; s += steps_) {
      ForwardChunk<T, O>& chunk = m_.chunk[i];
      if (!begun) {
        each_below(span(s), [&](const int64_t* progress, int64_t steps) { wait_for(*pass_.helpers, progress, steps); });
        project_input(chunk, span(s), tape);
      }
      begun = job_.help == Help::kBetweenSteps && s + steps_ < s1;
      if (begun)
        each_below(span(s + steps_),
                   [&](const int64_t* progress, int64_t steps) { begun = begun && reached(progress, steps); });
      if (begun) project_input(m_.chunk[1 - i], span(s + steps_), tape);
      if (pass_.helpers) finish(*pass_.helpers, chunk.ticket);
      scan(chunk, tape);
      if (begun) i = 1 - i;
    }
  }

  void project_input(ForwardChunk<T, O>& chunk, const Span& span, const Tape<T>& tape) {
    constexpr int L = lanes<T>;
    const int64_t rows = order_.rows(span);
    chunk.span = span;
    chunk.gates = tape.gates ? tape.gates + (rows_before(g_, span.t0) - tape.first) * z_.columns : chunk.own_gates;
    const T** x = chunk.x;
    for (int64_t t = span.t0; t < span.t1; ++t)
      for (int64_t j = 0; j < rows_at(g_, t); ++j) *x++ = row_at<const T>(layer_.x, g_, t, j);
    const T* bias = static_cast<const T*>(w_.bias);
    const RowsOf<const T> numbers{nullptr, 0, chunk.x};
    if constexpr (!paired<O>)
      if (job_.read_forward == Weights::kUnpacked) {
        for (int64_t b = 0; b < z_.blocks.count(); ++b)
          multiply_unpacked<C, T>(z_.blocks, C::from_x, static_cast<const T*>(w_.w_ih), layer_.input, b, rows, numbers,
                                  bias, {chunk.gates, z_.columns, nullptr});
        return;
      }
    chunk.input.product = {.rows = rows,
                           .a = as_operands<T, O>(numbers, rows, layer_.input, chunk.x_operands, m_.x_stride),
                           .depth = contiguous(operands<O>(layer_.input)),
                           .b = static_cast<const O*>(w_.columns_ih),
                           .panels = z_.blocks.panels(C::from_x),
                           .c = {chunk.gates, z_.columns, nullptr},
                           .columns = z_.blocks.end(C::from_x),
                           .bias = bias,
                           .add = false};
    if constexpr (C::from_x[3] < 0) {  // the last slot gets nothing from x but its bias
      using V = Vec<T, L>;
      const int64_t tail = z_.blocks.end(C::from_x);
      for (int64_t r = 0; r < rows; ++r) {
        T* const gates = chunk.gates + r * z_.columns;
        for (int64_t b = 0; b < z_.blocks.full; ++b) store(gates + (4 * b + 3) * L, load<V>(bias + (4 * b + 3) * L));
        store_first(gates + tail, load_first<V>(bias + tail, z_.blocks.tail_width()), z_.blocks.tail_width());
      }
    }
    chunk.ticket = hand_out_or_do(pass_.helpers, chunk.input, piece_count(chunk.input.product));
  }

  void scan(const ForwardChunk<T, O>& chunk, const Tape<T>& tape) {
    const Span& p = chunk.span;
    for (int64_t s = p.s0; s < p.s1; ++s) {
      const int64_t t = order_.time(s), count = rows_at(g_, t), row = rows_before(g_, t) - tape.first;
      T* gates = chunk.gates + (rows_before(g_, t) - rows_before(g_, p.t0)) * z_.columns;
      T* c = !C::has_c ? nullptr : tape.cells ? tape.cells + row * z_.units : m_.c;
      T* h = m_.state[1 - now_];
      // Where the next chunk's gates will be written: the tape is seldom in cache.
      const T* next = tape.gates && s + steps_ < job_.T
                          ? gates + (order_.reverse ? -steps_ : steps_) * g_.rows * z_.columns
                          : nullptr;
      step(t, count, min(count, order_.count(s - 1)), gates, next, c, h);
      if (job_.projected) {
        if (tape.outputs)
          for (int64_t j = 0; j < count; ++j) copy(tape.outputs + (row + j) * z_.units, h + j * z_.units, z_.units);
        project(h, count);
        for (int64_t j = 0; y_.data && j < count; ++j)
          copy(row_at<T>(y_, g_, t, j) + y_column_, m_.recurrent_input + j * z_.recurrent_input, z_.P);
      }
      if (first_) {
        const int64_t staying = min(count, order_.count(s + 1));
        give_state(w_.hn, g_, staying, count, z_.state_width(), z_.reads == Reads::kProjectedH ? m_.recurrent_input : h,
                   z_.state_stride());
        if (C::has_c) give_state(w_.cn, g_, staying, count, z_.H, c, z_.units);
      }
      c_before_ = c;
      now_ = 1 - now_;
    }
    if (!first_) return;
    if (layer_.mask.data)
      each_row<T>(g_, p, y_column_, layer_.masked, layer_.y, layer_.mask, [&](T* to, const T* y, const T* mask) {
        for (int64_t i = 0; i < z_.P; ++i) to[i] = y[i] * mask[i];
      });
    if (w_.progress) publish(*pass_.helpers, w_.progress + pass_.group, p.s1);
  }

  void step(int64_t t, int64_t count, int64_t started, T* gates, const T* next, T* c, T* h) {
    const T* h_before = m_.state[now_];
    const RowsOf<const T> reads{job_.projected ? m_.recurrent_input : h_before,
                                job_.projected ? z_.recurrent_input : z_.units, nullptr};
    const ForwardStep<C, T, O> step{.blocks = z_.blocks,
                                    .read = job_.read_forward,
                                    .w_hh = static_cast<const T*>(w_.w_hh),
                                    .product = {.rows = count,
                                                .a = as_operands<T, O>(reads, count, z_.P, m_.h_operands, m_.h_stride),
                                                .depth = contiguous(operands<O>(z_.P)),
                                                .b = static_cast<const O*>(w_.columns_hh),
                                                .panels = z_.blocks.panels(C::from_h),
                                                .c = {gates, z_.columns, nullptr},
                                                .columns = z_.blocks.end(C::from_h),
                                                .bias = nullptr,
                                                .add = true},
                                    .rows = {.group = g_,
                                             .rows = count,
                                             .t = t,
                                             .gates = gates,
                                             .gates_stride = z_.columns,
                                             .state_stride = z_.units,
                                             .h_before = h_before,
                                             .c_before = c_before_,
                                             .c_start = m_.c0,
                                             .started = started,
                                             .c = c,
                                             .h = h,
                                             .y = job_.projected || !y_.data ? nullptr : &y_,
                                             .copy = y_.data && layer_.copy.data ? &layer_.copy : nullptr,
                                             .y_column = y_column_},
                                    .next = next};
    do_within_step(job_, pass_.helpers, step, z_.blocks.count());
  }

  void project(const T* from, int64_t rows) {
    multiply<T, O>({.rows = rows,
                    .a = as_operands<T, O>({from, z_.units, nullptr}, rows, z_.H, m_.h_operands, m_.h_stride),
                    .depth = contiguous(operands<O>(z_.H)),
                    .b = static_cast<const O*>(w_.columns_hr),
                    .panels = plain_panels<T>(z_.P),
                    .c = {m_.recurrent_input, z_.recurrent_input, nullptr},
                    .columns = z_.recurrent_input,
                    .bias = nullptr,
                    .add = false});
  }

  const Job& job_;
  const Pass pass_;
  const Group& g_;
  const Layer& layer_;
  const bool first_;
  const Direction& w_;
  const Sizes<C, T> z_;
  const Order order_;
  const int64_t steps_, y_column_;
  const Sequence y_;
  Arena arena_;
  ForwardScratch<C, T, O> m_;
  int now_ = 0;
  const T* c_before_ = nullptr;
};

template <class C, class T, class O>
void forward(const Job& job, const Pass& pass) {
  ForwardPass<C, T, O>(job, pass, Run::kFirst).run();
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
