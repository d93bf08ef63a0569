// The time loop forward: one group of rows through all layers.
//
// A chunk of steps at a time: W_ih x for the whole chunk by one product, then step by step the product with h, block of
// columns by block, and the cell on each block while it is in cache.

#pragma once

#include "cell.hpp"
#include "mixing.hpp"
#include "norms.hpp"
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
  Given<O>* x_operands;
  T* gates;
  T* raw;  // W_ih x, where it is normalised to make the gates
  Span span;
  InputProduct<T, O> input;
  int64_t ticket;
};

template <class T, class O>
struct ForwardScratch {
  ForwardChunk<T, O> chunk[2];  // with helpers between the steps the next one is projected while one is being scanned
  T *h[2], *recurrent_input;
  T *start[kMaxStates], *state[kMaxStates];  // of the states but the first: as they begin; and where the tape has none
  T* mixed[kMaxStates];                      // likewise
  T* masked;                                 // what W_hh reads, where it is masked
  int64_t x_stride, h_stride;                // of x_operands and h_operands
  Given<O>* h_operands;                      // what a step's product, or a projection, reads
  T *raw_h, *crossing, *normal[kMaxCrossings];  // of a step: see StepRows and Direction
  ForwardScratch(Arena& a, const Job& job, const Sizes<T>& z) : chunk{}, start{}, state{}, mixed{}, normal{} {
    const int64_t rows = job.largest_group, most = most_chunk_rows(job);
    x_stride = operand_stride<O>(job.widest);
    h_stride = operand_stride<O>(max(job.H, job.P));
    for (int i = 0; i <= (job.help == Help::kBetweenSteps); ++i) {
      chunk[i].own_gates = a.take<T>(job.saved == Saved::kSteps ? 0 : most * z.columns);
      chunk[i].x = a.take<const T*>(most);
      chunk[i].x_operands = a.take<Given<O>>(most * x_stride);
    }
    h[0] = a.take<T>(rows * z.units);
    h[1] = a.take<T>(rows * z.units);
    h_operands = a.take<Given<O>>(rows * h_stride);
    recurrent_input = a.take<T>(job.projected ? rows * z.recurrent_input : 0);
    for (int k = 1; k < z.cell.states; ++k) {
      start[k] = a.take<T>(rows * z.units);
      state[k] = a.take<T>(rows * z.units);
      mixed[k] = a.take<T>(job.mixes ? rows * z.units : 0);
    }
    masked = a.take<T>(job.masked ? rows * max(z.units, z.recurrent_input) : 0);
    raw_h = a.take<T>(z.cell.norm_r && job.saved != Saved::kSteps ? rows * z.columns : 0);
    crossing = a.take<T>(z.cell.late ? rows * z.units : 0);
    for (int i = 0; i < z.cell.crossing_states; ++i) normal[i] = a.take<T>(rows * z.units);
  }
};

// One step, block of columns by block: the product with what W_hh reads, and the cell.
template <class T, class O>
struct ForwardStep {
  const Blocks<T>& blocks;
  const Fed& fed;
  void (*cell)(const void* rows, int64_t b);  // a phase of it; null: the product alone
  Weights read;
  bool multiplies;  // whether there is a product
  const T* w_hh;    // as torch lays it out
  Product<T, O> product;
  StepRows<T> rows;
  const T* next;  // where the same step of the next chunk will write its gates; or null
  void operator()(int64_t b) const {
    constexpr int L = lanes<T>;
    const bool full = b < blocks.full;
    for (int64_t j = 0; next && full && j < rows.rows; ++j)
      prefetch(next + j * rows.gates_stride + blocks.first_column(b), blocks.width * L * sizeof(T));
    if (multiplies) multiply(b);
    if (cell) cell(&rows, b);
  }
  void multiply(int64_t b) const {
    if constexpr (plain<O>)
      if (read == Weights::kUnpacked)
        return multiply_unpacked<T>(blocks, fed, w_hh, product.depth.total(), b, product.rows, product.a, nullptr,
                                    product.c);
    multiply_block(product, b);
  }
};

// The first time through a layer, or a part of it once more for its tape alone, which leaves all results as they are.
enum class Run { kFirst, kAgain };

// One direction of one layer for one group.
template <class T, class O>
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
        order_{g_, job.T, is_reverse(job, pass.direction)},
        steps_(chunk_steps(job)),
        x_column_(first_input(job, layer_, pass.direction)),
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
        advance(0, job_.T, full_tape<T>(job_, w_, g_));
        break;
      case Saved::kStates:
        for (int64_t s0 = 0, i = 0; s0 < job_.T; s0 += job_.segment, ++i) {
          keep(i);
          advance(s0, min(s0 + job_.segment, job_.T), none);
        }
    }
    for (int k = 0; k < z_.cell.states; ++k) clear_padding<T>(job_, g_, w_.state[k].passed, 0, width_of(k));
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
    T* const known = z_.reads == Reads::kProjectedH ? m_.recurrent_input : m_.h[0];
    const int64_t width = z_.state_width(), stride = z_.state_stride();
    take_state(job_, w_.state[0].initial, g_, width, known, stride);
    if (z_.reads != Reads::kProjectedH) copy(m_.h[1], m_.h[0], g_.rows * z_.units);
    now_ = 0;
    each_other_state([&](int k) {
      take_state(job_, w_.state[k].initial, g_, z_.H, m_.start[k], z_.units);
      before_[k] = m_.start[k];
    });
    if (!first_) return;
    if (z_.reads == Reads::kProjectionOfH) {
      project(m_.h[0], g_.rows);
      if (w_.first_recurrent_input)
        for (int64_t j = 0; j < g_.rows; ++j)
          copy(static_cast<T*>(w_.first_recurrent_input) + sorted(g_, j) * z_.P,
               m_.recurrent_input + j * z_.recurrent_input, z_.P);
    }
    const int64_t first = order_.reverse ? order_.count(job_.T - 1) : order_.count(0);  // rows without steps
    give_state(job_, w_.state[0].final, g_, first, g_.rows, width, known, stride);
    each_other_state(
        [&](int k) { give_state(job_, w_.state[k].final, g_, first, g_.rows, z_.H, m_.start[k], z_.units); });
  }

  template <class With>
  STATEWISE_INLINE void each_other_state(const With& with) const {
    for (int k = 1; k < z_.cell.states; ++k) with(k);
  }

  // The states before segment `i`, to the tape and back.
  void keep(int64_t i) {
    const auto one = [&](void* kept, const T* from, int64_t width) {
      if (kept) copy(static_cast<T*>(kept) + (i * job_.N + g_.before) * width, from, g_.rows * width);
    };
    one(w_.state[0].kept, m_.h[now_], z_.units);
    each_other_state([&](int k) { one(w_.state[k].kept, before_[k], z_.units); });
    one(w_.kept_recurrent_input, m_.recurrent_input, z_.recurrent_input);
  }

  void recall(int64_t i) {
    const auto one = [&](const void* kept, T* to, int64_t width) {
      if (kept) copy(to, static_cast<const T*>(kept) + (i * job_.N + g_.before) * width, g_.rows * width);
    };
    one(w_.state[0].kept, m_.h[now_], z_.units);
    each_other_state([&](int k) {
      T* const before = job_.mixes ? m_.mixed[k] : m_.state[k];
      one(w_.state[k].kept, before, z_.units);
      if (i > 0) before_[k] = before;
    });
    one(w_.kept_recurrent_input, m_.recurrent_input, z_.recurrent_input);
  }

  // Calls with(progress, steps) for each direction of the layer below that x waits for, and the steps it must have done
  // before x is there for the times of `p`.
  template <class With>
  void each_below(const Span& p, const With& with) const {
    if (!first_ || pass_.layer == 0) return;
    for (int d = 0; d < job_.D; ++d)
      if (const int64_t* progress = job_.layer[pass_.layer - 1].direction[d].progress)
        with(progress + pass_.group, is_reverse(job_, d) ? job_.T - p.t0 : p.t1);
  }

  // The steps from `s0` to before `s1`, chunk by chunk.
  void advance(int64_t s0, int64_t s1, const Tape<T>& tape) {
    const auto span = [&](int64_t s) { return order_.span(s, min(s + steps_, s1)); };
    int i = 0;
    bool begun = false;  // whether chunk[i] has been handed out
    ForwardStep<T, O> todo = prepared();
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
      if (z_.cell.norm_x) normalise_input(chunk);
      scan(todo, chunk, tape);
      if (begun) i = 1 - i;
    }
  }

  void project_input(ForwardChunk<T, O>& chunk, const Span& span, const Tape<T>& tape) {
    const int64_t rows = order_.rows(span);
    chunk.span = span;
    chunk.gates = tape.gates ? tape.gates + (rows_before(g_, span.t0) - tape.first) * z_.columns : chunk.own_gates;
    chunk.raw = z_.cell.norm_x && tape.raw_x ? tape.raw_x + (chunk.gates - tape.gates) : chunk.gates;
    const T** x = chunk.x;
    for (int64_t t = span.t0; t < span.t1; ++t)
      for (int64_t j = 0; j < rows_at(g_, t); ++j) *x++ = row_at<const T>(layer_.x, g_, t, j) + x_column_;
    const T* bias = static_cast<const T*>(w_.bias);
    const RowsOf<const T> numbers{nullptr, 0, chunk.x};
    if constexpr (plain<O>)
      if (job_.read_forward == Weights::kUnpacked) {
        for (int64_t b = 0; b < z_.blocks.count(); ++b)
          multiply_unpacked<T>(z_.blocks, z_.by_x, static_cast<const T*>(w_.w_ih), layer_.input_per_head, b, rows,
                               numbers, bias, {chunk.gates, z_.columns, nullptr});
        return;
      }
    chunk.input.product = {.rows = rows,
                           .a = as_operands<T, O>(numbers, rows, layer_.input_per_head, chunk.x_operands, m_.x_stride),
                           .depth = depth_of<O>(layer_.input_per_head),
                           .b = static_cast<const O*>(w_.columns_ih),
                           .panels = z_.blocks.panels(z_.by_x),
                           .c = {chunk.raw, z_.columns, nullptr},
                           .columns = z_.blocks.end(z_.by_x),
                           .bias = z_.cell.norm_x ? nullptr : bias,
                           .add = false,
                           .unit = static_cast<const T*>(w_.units_ih)};
    for (int64_t r = 0; z_.by_x.count < z_.cell.slots && r < rows; ++r) take_bias(chunk.gates + r * z_.columns, bias);
    chunk.ticket = hand_out_or_do(pass_.helpers, chunk.input, piece_count(chunk.input.product));
  }

  // W_ih x as it was multiplied becomes the gates.
  void normalise_input(const ForwardChunk<T, O>& chunk) const {
    const int64_t rows = order_.rows(chunk.span);
    const T *const gain = static_cast<const T*>(w_.gains_ih), *const bias = static_cast<const T*>(w_.bias);
    each_norm<T>(z_.cell, z_.blocks, z_.by_x, [&](const auto& slots) {
      for (int64_t r = 0; r < rows; ++r)
        normalise<T>(slots, chunk.raw + r * z_.columns, gain, bias, chunk.gates + r * z_.columns);
    });
  }

  // What the slots that get nothing from x begin with.
  STATEWISE_INLINE void take_bias(T* gates, const T* bias) const {
    const int first = z_.by_x.count * z_.blocks.units;
    for (int64_t b = 0; b < z_.blocks.count(); ++b)
      for (int v = first; v < z_.blocks.width; ++v) {
        const auto part = z_.blocks.part(b, v, z_.by_x);
        copy(gates + part.column, bias + part.column, part.lanes);
      }
  }

  void scan(ForwardStep<T, O>& todo, const ForwardChunk<T, O>& chunk, const Tape<T>& tape) {
    const Span& p = chunk.span;
    for (int64_t s = p.s0; s < p.s1; ++s) {
      const int64_t t = order_.time(s), count = rows_at(g_, t), row = rows_before(g_, t) - tape.first;
      T* gates = chunk.gates + (rows_before(g_, t) - rows_before(g_, p.t0)) * z_.columns;
      T* after[kMaxStates] = {m_.h[1 - now_]};
      each_other_state([&](int k) { after[k] = tape.states[k] ? tape.states[k] + row * z_.units : m_.state[k]; });
      const T* const h = after[0];
      // Where the next chunk's gates will be written: the tape is seldom in cache.
      const T* next = tape.gates && s + steps_ < job_.T
                          ? gates + (order_.reverse ? -steps_ : steps_) * g_.rows * z_.columns
                          : nullptr;
      T* const raw = tape.raw_h ? tape.raw_h + row * z_.columns : m_.raw_h;
      const int64_t started = min(count, order_.count(s - 1));
      step(todo, t, count, started, gates, next, after, raw);
      if (job_.mixes) mix(t, count, started, tape, row, after);
      if (job_.projected) {
        if (tape.outputs)
          for (int64_t j = 0; j < count; ++j) copy(tape.outputs + (row + j) * z_.units, h + j * z_.units, z_.units);
        project(h, count);
        for (int64_t j = 0; y_.data && j < count; ++j)
          copy(row_at<T>(y_, g_, t, j) + y_column_, m_.recurrent_input + j * z_.recurrent_input, z_.P);
      }
      if (first_) {
        pass_on(t, count, after);
        const int64_t staying = min(count, order_.count(s + 1));
        give_state(job_, w_.state[0].final, g_, staying, count, z_.state_width(),
                   z_.reads == Reads::kProjectedH ? m_.recurrent_input : h, z_.state_stride());
        each_other_state(
            [&](int k) { give_state(job_, w_.state[k].final, g_, staying, count, z_.H, after[k], z_.units); });
      }
      each_other_state([&](int k) { before_[k] = after[k]; });
      now_ = 1 - now_;
    }
    if (!first_) return;
    if (layer_.mask.data)
      each_row<T>(g_, p, y_column_, layer_.masked, layer_.y, layer_.mask, [&](T* to, const T* y, const T* mask) {
        for (int64_t i = 0; i < z_.P; ++i) to[i] = y[i] * mask[i];
      });
    if (w_.progress) publish(*pass_.helpers, w_.progress + pass_.group, p.s1);
  }

  // The states after the step of time t as they go on, in `after`; and h to y.
  void mix(int64_t t, int64_t count, int64_t started, const Tape<T>& tape, int64_t row, T* (&after)[kMaxStates]) {
    const Mixing<T> mixing{job_, g_, pass_.layer * job_.D + pass_.direction, z_.units};
    mixing.forward(0, t, count, {m_.h[now_], m_.h[now_], started, z_.units}, after[0], after[0]);
    each_other_state([&](int k) {
      T* const to = tape.mixed[k] ? tape.mixed[k] + row * z_.units : m_.mixed[k];
      mixing.forward(k, t, count, {before_[k], m_.start[k], started, z_.units}, after[k], to);
      after[k] = to;
    });
    const auto put_out = [&](const Sequence& to) {
      for (int64_t j = 0; y_.data && to.data && j < count; ++j)
        copy(row_at<T>(to, g_, t, j) + y_column_, after[0] + j * z_.units, z_.P);
    };
    put_out(y_);
    put_out(layer_.copy);
  }

  // The states after the step of time t, to the caller who wants them all.
  void pass_on(int64_t t, int64_t count, T* const (&after)[kMaxStates]) const {
    for (int k = 0; k < z_.cell.states; ++k) {
      const Sequence& to = w_.state[k].passed;
      const bool projected = k == 0 && z_.reads == Reads::kProjectedH;
      const T* const from = projected ? m_.recurrent_input : after[k];
      for (int64_t j = 0; to.data && j < count; ++j)
        copy(row_at<T>(to, g_, t, j), from + j * (projected ? z_.recurrent_input : z_.units), width_of(k));
    }
  }

  int64_t width_of(int k) const { return k == 0 ? z_.state_width() : z_.H; }

  // What is the same for all steps.
  ForwardStep<T, O> prepared() const {
    ForwardStep<T, O> step{.blocks = z_.blocks,
                           .fed = z_.by_h,
                           .cell = job_.steps_of_cell->forward[0],
                           .read = job_.read_forward,
                           .multiplies = z_.cell.recurrent > 0,
                           .w_hh = static_cast<const T*>(w_.w_hh),
                           .product = {},
                           .rows = {.group = g_,
                                    .blocks = {z_.blocks.full, z_.blocks.tail_lanes, z_.H},
                                    .rows = 0,
                                    .t = 0,
                                    .gates = nullptr,
                                    .gates_stride = z_.columns,
                                    .state_stride = z_.units,
                                    .before = {},
                                    .start = {},
                                    .started = 0,
                                    .after = {},
                                    .vectors = static_cast<const T*>(w_.vector_rows),
                                    .crossing = m_.crossing,
                                    .normal = {},
                                    .y = job_.projected || job_.mixes || !y_.data ? nullptr : &y_,
                                    .copy = y_.data && layer_.copy.data && !job_.mixes ? &layer_.copy : nullptr,
                                    .y_column = y_column_},
                           .next = nullptr};
    each_other_state([&](int k) { step.rows.start[k] = m_.start[k]; });
    if (step.multiplies)
      step.product = {.rows = 0,
                      .a = {},
                      .depth = depth_of<O>(z_.P),
                      .b = static_cast<const O*>(w_.columns_hh),
                      .panels = z_.blocks.panels(z_.by_h),
                      .c = {nullptr, z_.columns, nullptr},
                      .columns = z_.blocks.end(z_.by_h),
                      .bias = nullptr,
                      .add = true,
                      .unit = static_cast<const T*>(w_.units_hh)};
    return step;
  }

  void step(ForwardStep<T, O>& step, int64_t t, int64_t count, int64_t started, T* gates, const T* next,
            T* const (&after)[kMaxStates], T* raw) {
    const T* const h_before = m_.h[now_];
    step.next = next;
    step.rows.rows = count;
    step.rows.t = t;
    step.rows.gates = gates;
    step.rows.started = started;
    step.rows.before[0] = h_before;
    step.rows.after[0] = after[0];
    each_other_state([&](int k) {
      step.rows.before[k] = before_[k];
      step.rows.after[k] = after[k];
    });
    if (step.multiplies) {
      RowsOf<const T> reads{job_.projected ? m_.recurrent_input : h_before,
                            job_.projected ? z_.recurrent_input : z_.units, nullptr};
      if (job_.masked) {
        multiply_by_masks<T>(job_, g_, masks(), z_.P, count, reads.base, reads.stride, m_.masked, reads.stride);
        reads.base = m_.masked;
      }
      step.product.rows = count;
      step.product.a = as_operands<T, O>(reads, count, z_.P, m_.h_operands, m_.h_stride);
      step.product.c.base = gates;
    }
    if (is_staged(z_.cell)) return staged(step, raw);
    do_within_step(job_, pass_.helpers, step, z_.blocks.count());
  }

  const T* masks() const { return static_cast<const T*>(w_.recurrent_mask); }

  // A step whose product is normalised before the cell, or that has a second phase.
  void staged(ForwardStep<T, O> step, T* raw) {
    const CellShape& c = z_.cell;
    const int64_t rows = step.rows.rows, blocks = z_.blocks.count();
    if (c.norm_r) {
      step.cell = nullptr;
      step.product.c = {raw, z_.columns, nullptr};
      step.product.add = false;
      do_within_step(job_, pass_.helpers, step, blocks);
      T* const gates = step.rows.gates;
      each_norm<T>(c, z_.blocks, z_.by_h, [&](const auto& slots) {
        for (int64_t j = 0; j < rows; ++j) {
          T* const to = gates + j * z_.columns;
          normalise<T>(slots, raw + j * z_.columns, static_cast<const T*>(w_.gains_hh), to, to);
        }
      });
      step.cell = job_.steps_of_cell->forward[0];
      step.multiplies = false;
    }
    do_within_step(job_, pass_.helpers, step, blocks);
    if (c.phases == 1) return;
    for (int i = 0; i < c.crossing_states; ++i) {
      normalise_state(i, step.rows.after[c.crossing_state[i]], rows);
      step.rows.normal[i] = m_.normal[i];
    }
    step.cell = job_.steps_of_cell->forward[1];
    step.multiplies = c.late > 0;
    if (c.late) {
      if (job_.masked)
        multiply_by_masks<T>(job_, g_, masks(), z_.P, rows, m_.crossing, z_.units, m_.crossing, z_.units);
      step.product.a = as_operands<T, O>({m_.crossing, z_.units, nullptr}, rows, z_.H, m_.h_operands, m_.h_stride);
      step.product.b = static_cast<const O*>(w_.columns_late);
      step.product.panels = z_.blocks.panels(z_.late);
      step.product.columns = z_.blocks.end(z_.late);
      step.product.add = true;
    }
    step.next = nullptr;
    do_within_step(job_, pass_.helpers, step, blocks);
  }

  void normalise_state(int i, const T* state, int64_t rows) {
    const T* const gain = static_cast<const T*>(w_.vector_rows) + gain_row(z_.cell, i) * z_.units;
    for (int64_t j = 0; j < rows; ++j)
      normalise<T>(NormalisedUnits<T>{z_.H}, state + j * z_.units, gain, gain + z_.units, m_.normal[i] + j * z_.units);
  }

  void project(const T* from, int64_t rows) {
    multiply<T, O>({.rows = rows,
                    .a = as_operands<T, O>({from, z_.units, nullptr}, rows, z_.H, m_.h_operands, m_.h_stride),
                    .depth = depth_of<O>(z_.H),
                    .b = static_cast<const O*>(w_.columns_hr),
                    .panels = plain_panels<T>(z_.P),
                    .c = {m_.recurrent_input, z_.recurrent_input, nullptr},
                    .columns = z_.recurrent_input,
                    .bias = nullptr,
                    .add = false,
                    .unit = static_cast<const T*>(w_.units_hr)});
  }

  const Job& job_;
  const Pass pass_;
  const Group& g_;
  const Layer& layer_;
  const bool first_;
  const Direction& w_;
  const Sizes<T> z_;
  const Order order_;
  const int64_t steps_, x_column_, y_column_;
  const Sequence y_;
  Arena arena_;
  ForwardScratch<T, O> m_;
  int now_ = 0;
  const T* before_[kMaxStates]{};  // the states but the first before the next step
};

template <class T, class O>
void forward(const Job& job, const Pass& pass) {
  ForwardPass<T, O>(job, pass, Run::kFirst).run();
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
