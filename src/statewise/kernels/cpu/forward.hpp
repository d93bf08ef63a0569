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

template <class T>
struct InputProduct {  // W_ih x for a chunk
  Product<T> product;
  void operator()(int64_t piece) const { multiply_piece(product, piece); }
};

template <class T>
struct ForwardChunk {
  T* own_gates;  // memory for its gates, where the tape has none
  const T** x;
  T* gates;
  Span span;
  InputProduct<T> input;
  int64_t ticket;
};

template <class C, class T>
struct ForwardScratch {
  ForwardChunk<T> chunk[2];  // with a helpers the next one is projected while one is being scanned
  T *state[2], *recurrent_input, *c0, *c;
  ForwardScratch(Arena& a, const Job& job, const Sizes<C, T>& z) : chunk{} {
    const int64_t rows = job.largest_group, most = most_chunk_rows(rows);
    for (int i = 0; i <= job.helped; ++i) {
      chunk[i].own_gates = a.take<T>(job.training && !job.segment ? 0 : most * z.columns);
      chunk[i].x = a.take<const T*>(most);
    }
    state[0] = a.take<T>(rows * z.units);
    state[1] = a.take<T>(rows * z.units);
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

// One direction of one layer for one group.
template <class C, class T>
class ForwardPass {
 public:
  ForwardPass(const Job& job, int64_t group, int64_t layer, int d, void* scratch, Helpers* helpers)
      : job_(job),
        group_(group),
        g_(job.group[group]),
        layer_(job.layer[layer]),
        below_(layer > 0 ? job.layer[layer - 1].progress : nullptr),
        w_(layer_.direction[d]),
        z_(job),
        order_{g_, job.T, d == 1},
        steps_(chunk_steps(job.T, job.largest_group)),
        y_column_(d * z_.P),
        y_(layer_.y),
        arena_{static_cast<char*>(scratch)},
        m_(arena_, job, z_),
        helpers_(helpers) {}

  void run() {
    begin();
    const Tape<T> none{};
    if (!job_.segment || !job_.training) {
      advance(0, job_.T, job_.training ? full_tape<C, T>(w_, g_, z_.columns, z_.units) : none);
      return;
    }
    for (int64_t s0 = 0, i = 0; s0 < job_.T; s0 += job_.segment, ++i) {
      keep(i);
      advance(s0, min(s0 + job_.segment, job_.T), none);
    }
  }

  // Segment `i` once more, as it went the first time, for its tape alone: results and outputs stay as they are.
  void again(int64_t i, const Tape<T>& tape) {
    y_.data = nullptr;
    below_ = nullptr;
    silent_ = true;
    begin();
    recall(i);
    advance(i * job_.segment, min((i + 1) * job_.segment, job_.T), tape);
  }

 private:
  // h, as the caller knows it, is the projected one unless the cell carries it over unprojected.
  bool hands_recurrent_input() const { return job_.projected && !C::carries_h; }

  void begin() {
    T* const known = hands_recurrent_input() ? m_.recurrent_input : m_.state[0];
    const int64_t width = hands_recurrent_input() ? z_.P : z_.H,
                  stride = hands_recurrent_input() ? z_.recurrent_input : z_.units;
    take_state(w_.h0, g_, width, known, stride);
    if (!hands_recurrent_input()) copy(m_.state[1], m_.state[0], g_.rows * z_.units);
    if (C::has_c) take_state(w_.c0, g_, z_.H, m_.c0, z_.units);
    now_ = 0;
    c_before_ = m_.c0;
    if (silent_) return;
    if (job_.projected && C::carries_h) {
      project(m_.state[0], g_.rows);
      if (w_.first_recurrent_input)
        for (int64_t j = 0; j < g_.rows; ++j)
          copy(static_cast<T*>(w_.first_recurrent_input) + g_.sorted[j] * z_.P,
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

  // The steps from `s0` to before `s1`, chunk by chunk.
  void advance(int64_t s0, int64_t s1, const Tape<T>& tape) {
    const auto span = [&](int64_t s) { return order_.span(s, min(s + steps_, s1)); };
    int i = 0;
    bool begun = false;  // whether chunk[i] has been handed out
    for (int64_t s = s0; s < s1; s += steps_) {
      ForwardChunk<T>& chunk = m_.chunk[i];
      if (!begun) {
        if (below_) wait_for(below_ + group_, span(s).s1);
        project_input(chunk, span(s), tape);
      }
      begun = helpers_ && s + steps_ < s1 && (!below_ || reached(below_ + group_, span(s + steps_).s1));
      if (begun) project_input(m_.chunk[1 - i], span(s + steps_), tape);
      if (helpers_) finish(*helpers_, chunk.ticket);
      scan(chunk, tape);
      if (begun) i = 1 - i;
    }
  }

  void project_input(ForwardChunk<T>& chunk, const Span& span, const Tape<T>& tape) {
    constexpr int L = lanes<T>;
    chunk.span = span;
    chunk.gates = tape.gates ? tape.gates + (g_.start[span.t0] - tape.first) * z_.columns : chunk.own_gates;
    const T** x = chunk.x;
    for (int64_t t = span.t0; t < span.t1; ++t)
      for (int64_t j = 0; j < g_.count[t]; ++j) *x++ = row_at<const T>(layer_.x, g_, t, j);
    const T* bias = static_cast<const T*>(w_.bias);
    if (job_.unpacked_forward) {
      for (int64_t b = 0; b < z_.blocks.count(); ++b)
        multiply_unpacked<C, T>(z_.blocks, C::from_x, static_cast<const T*>(w_.w_ih), layer_.input, b,
                                order_.rows(span), {nullptr, 0, chunk.x}, bias, {chunk.gates, z_.columns, nullptr});
      return;
    }
    chunk.input.product = {order_.rows(span),
                           {nullptr, 0, chunk.x},
                           contiguous(layer_.input),
                           static_cast<const T*>(w_.columns_ih),
                           z_.blocks.panels(C::from_x),
                           {chunk.gates, z_.columns, nullptr},
                           z_.blocks.end(C::from_x),
                           bias,
                           false};
    if constexpr (C::from_x[3] < 0) {  // the last slot gets nothing from x but its bias
      using V = Vec<T, L>;
      const int64_t tail = z_.blocks.end(C::from_x);
      for (int64_t r = 0; r < chunk.input.product.rows; ++r) {
        T* const gates = chunk.gates + r * z_.columns;
        for (int64_t b = 0; b < z_.blocks.full; ++b) store(gates + (4 * b + 3) * L, load<V>(bias + (4 * b + 3) * L));
        store_first(gates + tail, load_first<V>(bias + tail, z_.blocks.tail_width()), z_.blocks.tail_width());
      }
    }
    chunk.ticket = hand_out_or_do(helpers_, chunk.input, piece_count(chunk.input.product));
  }

  void scan(const ForwardChunk<T>& chunk, const Tape<T>& tape) {
    const Span& p = chunk.span;
    for (int64_t s = p.s0; s < p.s1; ++s) {
      const int64_t t = order_.time(s), count = g_.count[t], row = g_.start[t] - tape.first;
      T* gates = chunk.gates + (g_.start[t] - g_.start[p.t0]) * z_.columns;
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
      if (!silent_) {
        const int64_t staying = min(count, order_.count(s + 1));
        if (hands_recurrent_input())
          give_state(w_.hn, g_, staying, count, z_.P, m_.recurrent_input, z_.recurrent_input);
        else
          give_state(w_.hn, g_, staying, count, z_.H, h, z_.units);
        if (C::has_c) give_state(w_.cn, g_, staying, count, z_.H, c, z_.units);
      }
      c_before_ = c;
      now_ = 1 - now_;
    }
    if (silent_) return;
    if (layer_.copy.data) copy_rows<T>(g_, p.t0, p.t1, y_, layer_.copy, y_column_, z_.P);
    if (job_.D > 1) return;
    if (layer_.mask.data) apply_mask<T>(g_, p.t0, p.t1, layer_.mask, layer_.y, layer_.masked, job_.P);
    if (layer_.progress) publish(layer_.progress + group_, p.s1);
  }

  // One step: block of columns by block, the product with h and the cell.
  void step(int64_t t, int64_t count, int64_t started, T* gates, const T* next, T* c, T* h) {
    constexpr int L = lanes<T>;
    const T* h_before = m_.state[now_];
    const Product<T> product{
        count,
        {job_.projected ? m_.recurrent_input : h_before, job_.projected ? z_.recurrent_input : z_.units, nullptr},
        contiguous(z_.P),
        static_cast<const T*>(w_.columns_hh),
        z_.blocks.panels(C::from_h),
        {gates, z_.columns, nullptr},
        z_.blocks.end(C::from_h),
        nullptr,
        true};
    const StepRows<T> rows{g_,
                           count,
                           t,
                           gates,
                           z_.columns,
                           z_.units,
                           h_before,
                           c_before_,
                           m_.c0,
                           started,
                           c,
                           h,
                           job_.projected || !y_.data ? nullptr : &y_,
                           y_column_};
    for (int64_t b = 0; b < z_.blocks.full; ++b) {
      for (int64_t j = 0; next && j < count; ++j) prefetch(next + j * z_.columns + b * 4 * L, 4 * L * sizeof(T));
      multiply_block(product, b);
      step_block<C, T, L>(rows, b * 4 * L, b * z_.blocks.per_block, z_.H);
    }
    if (z_.blocks.tail) multiply_block(product, z_.blocks.full);
    step_tail<C, T>(rows, z_.blocks);
  }

  // Block `b`, of which the tail is the last, of a step's product.
  void multiply_block(const Product<T>& product, int64_t b) {
    if (job_.unpacked_forward)
      multiply_unpacked<C, T>(z_.blocks, C::from_h, static_cast<const T*>(w_.w_hh), z_.P, b, product.rows, product.a,
                              nullptr, product.c);
    else if (b < z_.blocks.full)
      multiply_panel(product, b);
    else
      multiply_tail(product);
  }

  void project(const T* from, int64_t rows) {
    multiply<T>({rows,
                 {from, z_.units, nullptr},
                 contiguous(z_.H),
                 static_cast<const T*>(w_.columns_hr),
                 plain_panels<T>(z_.P),
                 {m_.recurrent_input, z_.recurrent_input, nullptr},
                 z_.recurrent_input,
                 nullptr,
                 false});
  }

  const Job& job_;
  const int64_t group_;
  const Group& g_;
  const Layer& layer_;
  const int64_t* below_;  // progress of the layer below, or null
  const Direction& w_;
  const Sizes<C, T> z_;
  const Order order_;
  const int64_t steps_, y_column_;
  Sequence y_;
  Arena arena_;
  ForwardScratch<C, T> m_;
  Helpers* const helpers_;
  bool silent_ = false;
  int now_ = 0;
  const T* c_before_ = nullptr;
};

template <class C, class T>
void forward(const Job& job, int64_t group, int64_t first, int64_t last, void* scratch, Helpers* helpers) {
  const Group& g = job.group[group];
  for (int64_t l = first; l < last; ++l) {
    const Layer& layer = job.layer[l];
    for (int d = 0; d < job.D; ++d) ForwardPass<C, T>(job, group, l, d, scratch, helpers).run();
    if (job.D > 1 && layer.mask.data) apply_mask<T>(g, 0, job.T, layer.mask, layer.y, layer.masked, job.D * job.P);
    if (l == job.L - 1) clear_padding<T>(job, g, layer.copy.data ? layer.copy : layer.y, job.D * job.P);
  }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
