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
template <class T, class O>
struct GateProduct {
  const Blocks<T>* blocks;
  const Fed* fed;
  Weights read;
  const T* w;  // as torch lays it out, `width` wide
  int64_t width;
  Product<T, O> packed;
  int64_t pieces() const { return read == Weights::kUnpacked ? 1 : piece_count(packed); }
  void operator()(int64_t i) const {
    if constexpr (!paired<O>)
      if (read == Weights::kUnpacked)
        return multiply_rows_unpacked<T>(*blocks, *fed, w, width, packed.rows, packed.a, packed.c, packed.add);
    multiply_piece(packed, i);
  }
};

// What a chunk's steps leave to be done over all of its rows: the gradients of x and of the weights.
template <class T, class O>
struct ChunkProducts {
  const Sizes<T>* sizes;
  GateProduct<T, O> dx;
  Outer<T, O> ih, hh, late, hr;
  const Element<O>* d;  // of the gates, also where the products read what a norm makes of it
  T* sum_b;
  int64_t dx_pieces, ih_pieces, hh_pieces, late_pieces, hr_pieces;

  int64_t pieces() const { return dx_pieces + ih_pieces + hh_pieces + late_pieces + hr_pieces + (sum_b != nullptr); }

  void operator()(int64_t i) const {
    if (i < dx_pieces) return dx(i);
    i -= dx_pieces;
    if (i < hh_pieces) return outer_piece(hh, sizes->blocks, sizes->by_h, i);
    i -= hh_pieces;
    if (i < ih_pieces) return outer_piece(ih, sizes->blocks, sizes->by_x, i);
    i -= ih_pieces;
    if (i < late_pieces) return outer_piece(late, sizes->blocks, sizes->late, i);
    i -= late_pieces;
    if (i < hr_pieces) return outer_projection(i);
    sum_columns(ih.rows, d, ih.d_stride, sizes->columns, sum_b, ih.add);
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

template <class T, class O>
struct BackwardChunk {
  Element<O>*d, *dp;   // rows of the gradients of gates and of projections
  T *d_x, *d_h;        // of the products that are normalised; d where they aren't
  T* crossing;         // rows of what the late product read
  O *x, *h, *outputs;  // and of what the weights read
  T* h_before;         // the latter's h once more, where the cell reads it and the product something else
  T** dx;
  ChunkProducts<T, O> products;
  Report<T> report;
  int64_t ticket;
};

template <class T, class O>
struct BackwardScratch {
  static constexpr int kHelpedChunks = 3;  // with helpers between the steps: how many may wait for their products
  BackwardChunk<T, O> chunk[kHelpedChunks];
  int chunks;
  int64_t x_stride, h_stride, d_stride;
  T *dh, *dm;
  T* ds[kMaxStates];     // of the states but the first
  T* start[kMaxStates];  // the states as they begin
  T* dvectors;           // of a chunk
  T* d_old[kMaxStates];  // what passes by the cell to the states before, where states are mixed
  T* d_read;             // of what W_hh read, where that is masked
  T *dgains, *dcrossing[kMaxCrossings], *normal[kMaxCrossings], *db[kMaxStates];  // of cells that are staged
  const T** read;                                                                 // rows to be gathered
  Tape<T> segment;
  void* forward;  // scratch for computing a segment again
  BackwardScratch(Arena& arena, const Job& job, const Sizes<T>& z)
      : chunk{},
        chunks(job.help == Help::kBetweenSteps ? kHelpedChunks : 1),
        ds{},
        start{},
        d_old{},
        dcrossing{},
        normal{},
        db{},
        segment{},
        forward(nullptr) {
    const int64_t rows = job.largest_group, most = most_chunk_rows(job);
    const CellShape& c = z.cell;
    d_stride = spread<Element<O>>(z.columns);
    const int64_t operand_rows = operands<O>(most);
    x_stride = spread<T>(job.widest);
    h_stride = spread<T>(max(z.recurrent_input, job.projected ? 0 : z.units));
    for (int i = 0; i < chunks; ++i) {
      chunk[i].d = arena.take<Element<O>>(most * d_stride);
      chunk[i].x = arena.take<O>(operand_rows * x_stride);
      chunk[i].h = arena.take<O>(needs_h(c) ? operand_rows * h_stride : 0);
      const bool twice = (paired<O> || job.masked) && z.reads == Reads::kH && c.reads_h;
      chunk[i].h_before = arena.take<T>(twice ? most * h_stride : 0);
      chunk[i].dp = arena.take<Element<O>>(job.projected ? most * z.recurrent_input : 0);
      chunk[i].outputs = arena.take<O>(job.projected ? operand_rows * spread<T>(z.units) : 0);
      chunk[i].dx = arena.take<T*>(most);
      chunk[i].d_x = c.norm_x ? arena.take<T>(most * d_stride) : nullptr;
      chunk[i].d_h = c.norm_r ? arena.take<T>(most * d_stride) : nullptr;
      chunk[i].crossing = arena.take<T>(c.late ? most * h_stride : 0);
    }
    read = arena.take<const T*>(most);
    dh = arena.take<T>(rows * max(z.units, z.recurrent_input));
    dm = arena.take<T>(job.projected ? rows * z.units : 0);
    start[0] = arena.take<T>(c.reads_h ? rows * z.units : 0);
    for (int k = 1; k < c.states; ++k) {
      ds[k] = arena.take<T>(rows * z.units);
      start[k] = arena.take<T>(rows * z.units);
    }
    for (int k = 0; k < c.states; ++k) d_old[k] = arena.take<T>(job.adds_to_states ? rows * z.units : 0);
    d_read = arena.take<T>(job.masked ? rows * max(z.units, z.recurrent_input) : 0);
    dvectors = arena.take<T>(vector_rows(c) * z.units);
    dgains = arena.take<T>(2 * (c.norm_x || c.norm_r) * z.columns);
    for (int i = 0; i < max(c.crossing_states, c.late > 0); ++i) dcrossing[i] = arena.take<T>(rows * z.units);
    for (int i = 0; i < c.crossing_states; ++i) normal[i] = arena.take<T>(rows * z.units);
    for (int k = 0; c.phases > 1 && k < c.states; ++k) db[k] = arena.take<T>(rows * z.units);
    if (job.saved != Saved::kStates) return;
    const int64_t again = min(job.segment, job.T) * rows;
    segment.gates = arena.take<T>(again * z.columns);
    if (c.norm_x) segment.raw_x = arena.take<T>(again * z.columns);
    if (c.norm_r) segment.raw_h = arena.take<T>(again * z.columns);
    for (int k = 1; k < c.states; ++k) {
      segment.states[k] = arena.take<T>(again * z.units);
      segment.mixed[k] = job.mixes ? arena.take<T>(again * z.units) : nullptr;
    }
    segment.outputs = job.projected ? arena.take<T>(again * z.units) : nullptr;
    Arena inner{nullptr};
    ForwardScratch<T, O>(inner, job, z);
    forward = arena.take<char>(inner.used);
  }
};

// The gradient of one step, block by block.
template <class T, class E>
struct GradientStep {
  void (*cell)(const void* rows, int64_t b);
  GradientRows<T, E> rows;
  void operator()(int64_t b) const { cell(&rows, b); }
};

// One direction of one layer for one group.
template <class T, class O>
class BackwardPass {
 public:
  BackwardPass(const Job& job, const Pass& pass)
      : job_(job),
        pass_(pass),
        g_(job.group[pass.group]),
        layer_(job.layer[pass.layer]),
        w_(layer_.direction[pass.direction]),
        z_(job),
        order_{g_, job.T, is_reverse(job, pass.direction)},
        steps_(chunk_steps(job)),
        x_column_(first_input(job, layer_, pass.direction)),
        column_(pass.direction * z_.P),
        arena_{static_cast<char*>(pass.scratch)},
        m_(arena_, job, z_) {}

  void run() {
    begin();
    if (job_.saved == Saved::kSteps)
      retreat(0, job_.T, full_tape<T>(job_, w_, g_), {});
    else
      for (int64_t i = (job_.T - 1) / job_.segment; i >= 0 && job_.T > 0; --i) {
        const int64_t s0 = i * job_.segment, s1 = min(s0 + job_.segment, job_.T);
        Tape<T> tape = m_.segment;
        tape.first = rows_before(g_, order_.span(s0, s1).t0);
        Pass forward = pass_;
        forward.scratch = m_.forward;
        ForwardPass<T, O>(job_, forward, Run::kAgain).again(i, tape);
        Before before{};
        for (int k = 0; k < z_.cell.states; ++k) before.state[k] = kept(w_.state[k].kept, i);
        retreat(s0, s1, tape, before);
      }
    if (pass_.helpers) finish(*pass_.helpers, last_ticket_);
    end();
    if (pass_.layer == 0 && !w_.adds_dx) clear_padding<T>(job_, g_, w_.dx, x_column_, layer_.input_per_head);
  }

 private:
  struct Before {  // the states before the first step of a tape that isn't the sequence's first
    const T* state[kMaxStates];
  };

  const T* kept(const void* states, int64_t i) const {
    return states ? static_cast<const T*>(states) + (i * job_.N + g_.before) * z_.units : nullptr;
  }

  int64_t dh_stride() const { return job_.projected ? z_.recurrent_input : z_.units; }

  void begin() {
    const State& h = w_.state[0];
    if (z_.reads == Reads::kProjectionOfH) {
      take_state(job_, h.dfinal, g_, z_.H, m_.dm, z_.units);
      clear(m_.dh, g_.rows * dh_stride());
    } else {
      take_state(job_, h.dfinal, g_, z_.P, m_.dh, dh_stride());
    }
    if (z_.reads == Reads::kProjectedH) clear(m_.dm, g_.rows * z_.units);  // W_hr's product leaves the padding alone
    if (z_.cell.reads_h) take_state(job_, h.initial, g_, z_.H, m_.start[0], z_.units);
    for (int k = 1; k < z_.cell.states; ++k) {
      take_state(job_, w_.state[k].dfinal, g_, z_.H, m_.ds[k], z_.units);
      take_state(job_, w_.state[k].initial, g_, z_.H, m_.start[k], z_.units);
    }
    if (T* sum = partial_v()) clear(sum, job_.layout.sum_v);
    if (T* sum = partial_n()) clear(sum, job_.layout.sum_n);
    clear(m_.dvectors, job_.layout.sum_v);
    clear(m_.dgains, job_.layout.sum_n);
  }

  // The steps from `s1` back to `s0`, chunk by chunk.
  void retreat(int64_t s0, int64_t s1, const Tape<T>& tape, const Before& before) {
    const int64_t chunks = (s1 - s0 + steps_ - 1) / steps_;
    GradientStep<T, Element<O>> gradients = prepared();
    for (int64_t i = chunks - 1; i >= 0; --i) {
      const Span p = order_.span(s0 + i * steps_, min(s0 + (i + 1) * steps_, s1));
      BackwardChunk<T, O>& chunk = m_.chunk[next_chunk_];
      if (pass_.helpers) finish(*pass_.helpers, chunk.ticket);
      next_chunk_ = (next_chunk_ + 1) % m_.chunks;
      take_dy(p);
      if (w_.dw_hh || (z_.cell.reads_h && z_.reads == Reads::kH)) copy_h(chunk, p, tape);
      for (int64_t s = p.s1 - 1; s >= p.s0; --s) step(gradients, chunk, p, s, s0, tape, before);
      normalise_input(chunk, p, tape);
      add_up(partial_v(), m_.dvectors, job_.layout.sum_v);
      add_up(partial_n(), m_.dgains, job_.layout.sum_n);
      hand_out_products(chunk, p, tape);
    }
  }

  // The chunk's part of the vectors' or gains' gradients, to the total: two levels, as for the biases.
  static void add_up(T* sum, T* part, int64_t size) {
    constexpr int L = lanes<T>;
    using V = Vec<T, L>;
    for (int64_t k = 0; sum && k < size; k += L) store(sum + k, load<V>(sum + k) + load<V>(part + k));
    if (sum) clear(part, size);
  }

  // The gradients of W_ih x, where that is normalised, of a chunk's steps.
  void normalise_input(BackwardChunk<T, O>& chunk, const Span& p, const Tape<T>& tape) {
    if constexpr (!paired<O>) {
      if (!z_.cell.norm_x) return;
      const T* const raw = tape.raw_x + (rows_before(g_, p.t0) - tape.first) * z_.columns;
      const int64_t rows = order_.rows(p);
      each_norm<T>(z_.cell, z_.blocks, z_.by_x, [&](const auto& slots) {
        for (int64_t r = 0; r < rows; ++r)
          normalise_backward<false, T>(slots, raw + r * z_.columns, static_cast<const T*>(w_.gains_ih),
                                       chunk.d + r * m_.d_stride, chunk.d_x + r * m_.d_stride, m_.dgains, nullptr);
      });
      clear_padding_of(chunk.d_x, rows, z_.by_x);
    }
  }

  // Products sum over whole blocks, whose padding a norm leaves as it is.
  void clear_padding_of(T* rows_of_d, int64_t rows, const Fed& fed) const {
    const int64_t b = z_.blocks.count() - 1;
    for (int v = 0; v < z_.blocks.width; ++v) {
      const auto part = z_.blocks.part(b, v, fed);
      for (int64_t r = 0; r < rows; ++r)
        clear(rows_of_d + r * m_.d_stride + part.column + part.units, part.lanes - part.units);
    }
  }

  // What the layer above leaves for the times of `p` in this direction's columns of dy: waits for it, adds what its two
  // directions computed side by side, and passes it through the dropout.
  void take_dy(const Span& p) {
    for (int d = 0; d < job_.D && pass_.layer + 1 < job_.L; ++d)
      if (const int64_t* progress = job_.layer[pass_.layer + 1].direction[d].progress)
        wait_for(*pass_.helpers, progress + pass_.group, is_reverse(job_, d) ? p.t1 : job_.T - p.t0);
    if (!layer_.mask.data && !layer_.dy_beside.data) return;
    each_row<T>(g_, p, column_, layer_.dy, layer_.dy_beside, layer_.mask, [&](T* dy, const T* beside, const T* mask) {
      for (int64_t i = 0; beside && i < z_.P; ++i) dy[i] += beside[i];
      for (int64_t i = 0; mask && i < z_.P; ++i) dy[i] *= mask[i];
    });
  }

  // What W_hh read, for its gradient, and for a cell that reads it too.
  void copy_h(BackwardChunk<T, O>& chunk, const Span& p, const Tape<T>& tape) {
    const bool in_gates = z_.cell.h_in_slots && !job_.mixes && z_.reads == Reads::kH && job_.saved == Saved::kSteps;
    const bool ours = z_.reads == Reads::kProjectionOfH;  // whose h0 it is: rows by descending length, or the caller's
    const void* h0 = ours ? w_.first_recurrent_input : w_.state[0].initial;
    for (int64_t s = p.s0; s < p.s1; ++s) {
      const int64_t t = order_.time(s);
      for (int64_t j = 0; j < rows_at(g_, t); ++j) {
        const T*& h = m_.read[rows_before(g_, t) - rows_before(g_, p.t0) + j];
        if (j < order_.count(s - 1) && in_gates)
          h = tape.gates + (rows_before(g_, order_.time(s - 1)) + j) * z_.columns;
        else if (j < order_.count(s - 1))
          h = row_at<const T>(layer_.y, g_, order_.time(s - 1), j) + column_;
        else if (h0)
          h = static_cast<const T*>(h0) + (ours ? sorted(g_, j) : original(g_, j) * job_.heads) * z_.P;
        else
          h = nullptr;
      }
    }
    gather_rows(m_.read, order_.rows(p), z_.P, chunk.h, m_.h_stride);
    if constexpr (!paired<O>) {
      for (int64_t t = p.t0; job_.masked && t < p.t1; ++t) {
        T* const rows = chunk.h + (rows_before(g_, t) - rows_before(g_, p.t0)) * m_.h_stride;
        multiply_by_masks<T>(job_, g_, masks(), z_.P, rows_at(g_, t), rows, m_.h_stride, rows, m_.h_stride);
      }
    }
    if (paired<O> || job_.masked)
      if (z_.cell.reads_h && z_.reads == Reads::kH)
        gather_rows(m_.read, order_.rows(p), z_.P, chunk.h_before, m_.h_stride);
  }

  // What is the same for all steps.
  GradientStep<T, Element<O>> prepared() const {
    GradientStep<T, Element<O>> gradients{
        .cell = job_.steps_of_cell->backward[0],
        .rows = {.group = g_,
                 .blocks = {z_.blocks.full, z_.blocks.tail_lanes, z_.H},
                 .rows = 0,
                 .t = 0,
                 .gates = nullptr,
                 .gates_stride = z_.columns,
                 .state_stride = z_.units,
                 .before = {},
                 .start = {m_.start[0]},
                 .before_stride = z_.reads == Reads::kProjectionOfH ? z_.units : m_.h_stride,
                 .started = 0,
                 .after = {},
                 .vectors = static_cast<const T*>(w_.vector_rows),
                 .dvectors = m_.dvectors,
                 .crossing = nullptr,
                 .crossing_stride = m_.h_stride,
                 .normal = {},
                 .dcrossing = {},
                 .db = {},
                 .ds = {job_.projected ? m_.dm : m_.dh},
                 .dh_stride = z_.units,
                 .dy = job_.projected || job_.adds_to_states || !layer_.dy.data ? nullptr : &layer_.dy,
                 .dy_column = column_,
                 .d = nullptr,
                 .d_stride = m_.d_stride}};
    for (int k = 1; k < z_.cell.states; ++k) {
      gradients.rows.start[k] = m_.start[k];
      gradients.rows.ds[k] = m_.ds[k];
    }
    return gradients;
  }

  // first: the first step on the tape.
  void step(GradientStep<T, Element<O>>& gradients, BackwardChunk<T, O>& chunk, const Span& p, int64_t s, int64_t first,
            const Tape<T>& tape, const Before& before) {
    const int64_t t = order_.time(s), count = rows_at(g_, t), r = rows_before(g_, t) - rows_before(g_, p.t0);
    const auto row_of = [&](int64_t step) { return rows_before(g_, order_.time(step)) - tape.first; };
    const int64_t row = row_of(s);
    const bool earlier = s > first;
    if (job_.projected || job_.adds_to_states) take_gradients(t, count);
    if (job_.projected) {
      unproject(chunk.dp + r * z_.recurrent_input, count);
      if (!z_.cell.recurrent) clear(m_.dh, count * z_.recurrent_input);
    }
    if (job_.adds_to_states && !job_.projected) unmix(t, count, tape, row);
    const bool outputs = z_.reads == Reads::kProjectionOfH;  // h is on the tape, for y is its projection
    const T* h_before = before.state[0];
    if (!outputs) {
      if constexpr (paired<O>)
        h_before = chunk.h_before + r * m_.h_stride;
      else
        h_before = (job_.masked ? chunk.h_before : chunk.h) + r * m_.h_stride;
    } else if (earlier) {
      h_before = tape.outputs + row_of(s - 1) * z_.units;
    }
    GradientRows<T, Element<O>>& rows = gradients.rows;
    rows.rows = count;
    rows.t = t;
    rows.gates = tape.gates + row * z_.columns;
    rows.before[0] = h_before;
    rows.started = min(count, order_.count(s - 1));
    rows.d = chunk.d + r * m_.d_stride;
    rows.crossing = chunk.crossing + r * m_.h_stride;
    for (int k = 1; k < z_.cell.states; ++k) {
      const T* const states = job_.mixes ? tape.mixed[k] : tape.states[k];
      rows.before[k] = earlier ? states + row_of(s - 1) * z_.units : before.state[k];
      rows.after[k] = tape.states[k] + row * z_.units;
    }
    const Element<O>* d = rows.d;
    if (is_staged(z_.cell)) {
      T* const d_h = chunk.d_h ? chunk.d_h + r * m_.d_stride : nullptr;
      d = staged(gradients, tape.raw_h ? tape.raw_h + row * z_.columns : nullptr, d_h);
    } else {
      do_within_step(job_, pass_.helpers, gradients, z_.blocks.count());
    }
    if (earlier) prefetch_step(s, first, tape);
    if (job_.mixes) pass_by(count);
    if (z_.cell.recurrent && (s > 0 || w_.state[0].dinitial || job_.projected)) carry(count, d);
  }

  // What comes in at the step of time t from without: on top of the states' gradients.
  void take_gradients(int64_t t, int64_t count) {
    const auto add = [&](const Sequence& from, int64_t column, int64_t width, T* to, int64_t stride) {
      for (int64_t j = 0; from.data && j < count; ++j) {
        const T* d = row_at<const T>(from, g_, t, j) + column;
        for (int64_t i = 0; i < width; ++i) to[j * stride + i] += d[i];
      }
    };
    add(layer_.dy, column_, z_.P, m_.dh, dh_stride());
    if (z_.reads == Reads::kProjectionOfH)
      add(w_.state[0].dpassed, 0, z_.H, m_.dm, z_.units);
    else
      add(w_.state[0].dpassed, 0, z_.P, m_.dh, dh_stride());
    for (int k = 1; k < z_.cell.states; ++k) add(w_.state[k].dpassed, 0, z_.H, m_.ds[k], z_.units);
  }

  // From the gradients of the states as they went on those of what the cell made.
  void unmix(int64_t t, int64_t count, const Tape<T>& tape, int64_t row) {
    const Mixing<T> mixing{job_, g_, pass_.layer * job_.D + pass_.direction, z_.units};
    const auto h = [&](int64_t j) { return row_at<const T>(layer_.y, g_, t, j) + column_; };
    mixing.backward(0, t, count, h, m_.dh, dh_stride(), m_.d_old[0]);
    for (int k = 1; k < z_.cell.states; ++k) {
      const auto state = [&](int64_t j) {
        return (tape.mixed[k] ? tape.mixed[k] : tape.states[k]) + (row + j) * z_.units;
      };
      mixing.backward(k, t, count, state, m_.ds[k], z_.units, m_.d_old[k]);
    }
  }

  // What of the states passed by the cell, on top of what the cell let pass; of h that is all where it doesn't carry h.
  void pass_by(int64_t count) {
    constexpr int L = lanes<T>;
    using V = Vec<T, L>;
    for (int k = 0; k < z_.cell.states; ++k) {
      T* const to = k == 0 ? m_.dh : m_.ds[k];
      const bool add = k > 0 || z_.cell.carries_h;
      for (int64_t i = 0; i < count * z_.units; i += L) {
        const V v = load<V>(m_.d_old[k] + i);
        store(to + i, add ? load<V>(to + i) + v : v);
      }
    }
  }

  const T* masks() const { return static_cast<const T*>(w_.recurrent_mask); }

  // A step of two phases, or whose product was normalised; the gradients of what h fed.
  const Element<O>* staged(GradientStep<T, Element<O>> gradients, const T* raw, T* d_h) {
    if constexpr (paired<O>) {
      return gradients.rows.d;  // there are no such kernels
    } else {
      const CellShape& c = z_.cell;
      GradientRows<T, T>& s = gradients.rows;
      const int64_t rows = s.rows;
      if (c.phases > 1) {
        for (int k = 0; k < c.states; ++k) s.db[k] = m_.db[k];
        s.dcrossing[0] = m_.dcrossing[0];
        for (int i = 0; i < c.crossing_states; ++i) {
          s.normal[i] = m_.normal[i];
          s.dcrossing[i] = m_.dcrossing[i];
          each_crossing(i, s, [&](const auto& units, const T* state, const T* gain, int64_t j) {
            normalise<T>(units, state, gain, gain + z_.units, m_.normal[i] + j * z_.units);
          });
        }
        gradients.cell = job_.steps_of_cell->backward[1];
        do_within_step(job_, pass_.helpers, gradients, z_.blocks.count());
        gradients.cell = job_.steps_of_cell->backward[0];
        for (int i = 0; i < c.crossing_states; ++i) {
          const int k = c.crossing_state[i];
          T* const dgain = m_.dvectors + gain_row(c, i) * z_.units;
          each_crossing(i, s, [&](const auto& units, const T* state, const T* gain, int64_t j) {
            normalise_backward<true, T>(units, state, gain, m_.dcrossing[i] + j * z_.units, s.ds[k] + j * z_.units,
                                        dgain, dgain + z_.units);
          });
        }
        if (c.late) product_backward(z_.late, w_.rows_late, s.d, rows, m_.dcrossing[0], z_.units, false);
        if (c.late && job_.masked)
          multiply_by_masks<T>(job_, g_, masks(), z_.P, rows, m_.dcrossing[0], z_.units, m_.dcrossing[0], z_.units);
      }
      do_within_step(job_, pass_.helpers, gradients, z_.blocks.count());
      if (c.late && job_.masked)
        multiply_by_masks<T>(job_, g_, masks(), z_.P, rows, s.crossing, m_.h_stride, s.crossing, m_.h_stride);
      if (!c.norm_r) return s.d;
      each_norm<T>(c, z_.blocks, z_.by_h, [&](const auto& slots) {
        for (int64_t j = 0; j < rows; ++j)
          normalise_backward<false, T>(slots, raw + j * z_.columns, static_cast<const T*>(w_.gains_hh),
                                       s.d + j * m_.d_stride, d_h + j * m_.d_stride, m_.dgains + z_.columns, nullptr);
      });
      clear_padding_of(d_h, rows, z_.by_h);
      return d_h;
    }
  }

  template <class Each>
  void each_crossing(int i, const GradientRows<T, Element<O>>& s, const Each& each) const {
    const T* const gain = static_cast<const T*>(w_.vector_rows) + gain_row(z_.cell, i) * z_.units;
    for (int64_t j = 0; j < s.rows; ++j)
      each(NormalisedUnits<T>{z_.H}, s.after[z_.cell.crossing_state[i]] + j * z_.units, gain, j);
  }

  // dh = d W_hh, the gradient of what W_hh read, on top of what the cell let pass.
  void carry(int64_t count, const Element<O>* d) {
    const bool add = (z_.cell.carries_h && !job_.projected) || job_.mixes;
    if (!job_.masked) return product_backward(z_.by_h, w_.rows_hh, d, count, m_.dh, dh_stride(), add);
    product_backward(z_.by_h, w_.rows_hh, d, count, m_.d_read, dh_stride(), false);
    multiply_by_masks<T>(job_, g_, masks(), z_.P, count, m_.d_read, dh_stride(), m_.d_read, dh_stride());
    for (int64_t j = 0; j < count; ++j)
      for (int64_t i = 0; i < z_.P; ++i) {
        T& to = m_.dh[j * dh_stride() + i];
        to = m_.d_read[j * dh_stride() + i] + (add ? to : T(0));
      }
  }

  // The gradient of what one of W_hh's two products read.
  void product_backward(const Fed& fed, const void* rows_of_w, const Element<O>* d, int64_t count, T* to,
                        int64_t stride, bool add) {
    const GateProduct<T, O> product{.blocks = &z_.blocks,
                                    .fed = &fed,
                                    .read = job_.read_backward,
                                    .w = static_cast<const T*>(w_.w_hh),
                                    .width = z_.P,
                                    .packed = {.rows = count,
                                               .a = operand_rows(d, m_.d_stride),
                                               .depth = z_.blocks.template depth<O>(fed),
                                               .b = static_cast<const O*>(rows_of_w),
                                               .panels = row_panels<T, O>(z_.P),
                                               .c = {to, stride, nullptr},
                                               .columns = z_.recurrent_input,
                                               .bias = nullptr,
                                               .add = add}};
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
    for (int k = 1; s - 1 > first && k < z_.cell.states; ++k)
      prefetch(tape.states[k] + (rows_before(g_, order_.time(s - 2)) - tape.first) * z_.units,
               rows * z_.units * sizeof(T));
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
                    .add = z_.cell.carries_h});
  }

  void hand_out_products(BackwardChunk<T, O>& chunk, const Span& p, const Tape<T>& tape) {
    const int64_t rows = order_.rows(p), I = layer_.input_per_head;
    ChunkProducts<T, O>& todo = chunk.products;
    todo = {};
    todo.sizes = &z_;
    const Element<O>*d_x = chunk.d, *d_h = chunk.d;
    if constexpr (!paired<O>) {
      if (chunk.d_x) d_x = chunk.d_x;
      if (chunk.d_h) d_h = chunk.d_h;
      if (T* sum = partial_late()) {
        todo.late = {.rows = rows,
                     .d = chunk.d,
                     .a = chunk.crossing,
                     .d_stride = m_.d_stride,
                     .a_stride = m_.h_stride,
                     .sum = sum,
                     .width = z_.H,
                     .direct = false,
                     .add = summed_};
        todo.late_pieces = panel_count<T>(z_.blocks.panels(z_.late));
      }
    }
    if (w_.dx.data) {
      T** dx = chunk.dx;
      for (int64_t t = p.t0; t < p.t1; ++t)
        for (int64_t j = 0; j < rows_at(g_, t); ++j) *dx++ = row_at<T>(w_.dx, g_, t, j) + x_column_;
      todo.dx = {.blocks = &z_.blocks,
                 .fed = &z_.by_x,
                 .read = job_.read_backward,
                 .w = static_cast<const T*>(w_.w_ih),
                 .width = I,
                 .packed = {.rows = rows,
                            .a = operand_rows(d_x, m_.d_stride),
                            .depth = z_.blocks.template depth<O>(z_.by_x),
                            .b = static_cast<const O*>(w_.rows_ih),
                            .panels = row_panels<T, O>(I),
                            .c = {nullptr, 0, chunk.dx},
                            .columns = I,
                            .bias = nullptr,
                            .add = w_.adds_dx}};
      todo.dx_pieces = todo.dx.pieces();
    }
    todo.d = chunk.d;
    todo.ih = {.rows = rows,
               .d = d_x,
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
        for (int64_t j = 0; j < rows_at(g_, t); ++j) *x++ = row_at<const T>(layer_.x, g_, t, j) + x_column_;
      gather_rows(m_.read, rows, I, chunk.x, m_.x_stride);
      todo.ih_pieces = panel_count<T>(z_.blocks.panels(z_.by_x));
    }
    if (T* sum = partial_hh()) {
      todo.hh = {.rows = rows,
                 .d = d_h,
                 .a = chunk.h,
                 .d_stride = m_.d_stride,
                 .a_stride = m_.h_stride,
                 .sum = sum,
                 .width = z_.P,
                 .direct = layer_.direct_hh,
                 .add = summed_};
      todo.hh_pieces = panel_count<T>(z_.blocks.panels(z_.by_h));
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
  T* partial_ih() const { return partial(z_.by_x, layer_.direct_ih, w_.dw_ih, w_.sum_ih, layer_.input_per_head); }
  T* partial_hh() const { return partial(z_.by_h, layer_.direct_hh, w_.dw_hh, w_.sum_hh, z_.P); }
  T* partial(const Fed& fed, bool direct, void* dw, void* sums, int64_t width) const {
    if (!dw) return nullptr;
    if (direct && pass_.group == 0) return static_cast<T*>(dw);
    return static_cast<T*>(sums) + (pass_.group - direct) * partial_size(z_.blocks, fed, direct, width);
  }
  T* partial_hr() const { return w_.sum_hr ? static_cast<T*>(w_.sum_hr) + pass_.group * job_.layout.sum_hr : nullptr; }
  T* partial_late() const {
    return w_.sum_late ? static_cast<T*>(w_.sum_late) + pass_.group * job_.layout.sum_late : nullptr;
  }
  T* partial_n() const { return w_.sum_n ? static_cast<T*>(w_.sum_n) + pass_.group * job_.layout.sum_n : nullptr; }
  T* partial_v() const { return w_.sum_v ? static_cast<T*>(w_.sum_v) + pass_.group * job_.layout.sum_v : nullptr; }
  T* partial_b() const { return w_.sum_b ? static_cast<T*>(w_.sum_b) + pass_.group * job_.layout.sum_b : nullptr; }

  // Of a direct one, which may be a head's part of dW, part by part.
  void clear_partial(T* sum, const Fed& fed, bool direct, int64_t width) const {
    if (sum && !direct) clear(sum, partial_size(z_.blocks, fed, direct, width));
    for (int i = 0; sum && direct && i < fed.parts; ++i) clear(sum + i * fed.part_rows * width, z_.H * width);
  }

  void end() {
    if (!summed_) {
      clear_partial(partial_ih(), z_.by_x, layer_.direct_ih, layer_.input_per_head);
      clear_partial(partial_hh(), z_.by_h, layer_.direct_hh, z_.P);
      if (T* sum = partial_late()) clear(sum, job_.layout.sum_late);
      if (T* sum = partial_hr()) clear(sum, job_.layout.sum_hr);
      if (T* sum = partial_b()) clear(sum, job_.layout.sum_b);
    }
    if (z_.reads == Reads::kProjectionOfH) {  // the first thing W_hh read was W_hr h0
      BackwardChunk<T, O>& chunk = m_.chunk[0];
      unproject(chunk.dp, g_.rows);
      if (T* sum = partial_hr()) {
        const int64_t stride = spread<T>(z_.units);
        gather(m_.start[0], z_.units, g_.rows, z_.H, chunk.outputs, stride);
        ChunkProducts<T, O> first{};
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
      give_state(job_, w_.state[0].dinitial, g_, 0, g_.rows, z_.H, m_.dm, z_.units);
    } else {
      give_state(job_, w_.state[0].dinitial, g_, 0, g_.rows, z_.P, m_.dh, dh_stride());
    }
    for (int k = 1; k < z_.cell.states; ++k)
      give_state(job_, w_.state[k].dinitial, g_, 0, g_.rows, z_.H, m_.ds[k], z_.units);
  }

  const Job& job_;
  const Pass pass_;
  const Group& g_;
  const Layer& layer_;
  const Direction& w_;
  const Sizes<T> z_;
  const Order order_;
  const int64_t steps_, x_column_, column_;
  Arena arena_;
  BackwardScratch<T, O> m_;
  int next_chunk_ = 0;
  int64_t last_ticket_ = 0;
  bool summed_ = false;  // whether the partials have begun
};

template <class T, class O>
void backward(const Job& job, const Pass& pass) {
  BackwardPass<T, O>(job, pass).run();
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
