// What the two time loops (forward.hpp, backward.hpp) share: rows, chunks, states, scratch memory.

#pragma once

#include "layout.hpp"
#include "rows.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// The same for all groups.
STATEWISE_INLINE int64_t chunk_steps(const Job& job) { return max(1, job.chunk_rows / max(1, job.largest_group)); }

STATEWISE_INLINE int64_t most_chunk_rows(const Job& job) { return max(job.chunk_rows, job.largest_group); }

// The distance between the rows of a copy: whole vectors, and an odd number of cache lines, so that a column of it
// does not fall into a few sets of the cache.
template <class T>
STATEWISE_INLINE int64_t spread(int64_t columns) {
  constexpr int64_t line = 64 / sizeof(T);
  const int64_t lines = (columns + line - 1) / line;
  return (lines | 1) * line;
}

// Cuts a block of memory into aligned arrays; from a null block it only counts.
struct Arena {
  char* base;
  int64_t used = 0;
  template <class T>
  T* take(int64_t count) {
    T* p = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used = round_up(used + count * int64_t(sizeof(T)), 64);
    return p;
  }
};

// Rows of numbers as a product reads them: as they are, or rounded, which is written to `room`.
template <class T, class O>
STATEWISE_INLINE RowsOf<const Given<O>> as_operands(const RowsOf<const T>& from, int64_t rows, int64_t width,
                                                    Given<O>* room, int64_t stride) {
  if constexpr (same<O, NarrowQuad>) {
    for (int64_t r = 0; r < rows; ++r) round_row(from[r], width, room + r * stride);
    return {room, stride, nullptr};
  } else if constexpr (paired<O>) {
    constexpr int L = lanes<T>;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < width; k += 2 * L) {
        const auto numbers = [&](int64_t i) {
          const int64_t left = max(0, width - i);
          return left >= L ? load<Vec<T, L>>(from[r] + i) : load_first<Vec<T, L>>(from[r] + i, int(left));
        };
        store(room + r * stride + k / 2, to_pairs(numbers(k), numbers(k + L)));
      }
    return {room, stride, nullptr};
  } else {
    return from;
  }
}

// How far apart such rows lie, and how much they need; none where they are as they are.
template <class O>
STATEWISE_INLINE int64_t operand_stride(int64_t width) {
  return paired<O> ? round_up(operands<O>(width), lanes<O>) : same<O, NarrowQuad> ? rounded_blocks(width) : 0;
}

// What the steps of a group leave for backward: rows of gates, of the states but the first, and of unprojected outputs
// (with a projection), the first of which is row `first` of all of the group's.
template <class T>
struct Tape {
  T *gates, *raw_x, *raw_h, *states[kMaxStates], *mixed[kMaxStates], *outputs;
  int64_t first;
};

template <class T>
STATEWISE_INLINE Tape<T> full_tape(const Job& job, const Direction& w, const Group& g) {
  const auto at = [&](void* base, int64_t width) { return base ? static_cast<T*>(base) + g.first * width : nullptr; };
  const int64_t columns = job.layout.columns;
  Tape<T> tape{
      at(w.gates, columns), at(w.raw_x, columns), at(w.raw_h, columns), {}, {}, at(w.outputs, job.layout.units), 0};
  for (int k = 1; k < job.shape->states; ++k) {
    tape.states[k] = at(w.state[k].steps, job.layout.units);
    tape.mixed[k] = at(w.state[k].mixed, job.layout.units);
  }
  return tape;
}

// work(i) for all pieces: by the helpers, which the ticket waits for, or here and now.
template <class W>
STATEWISE_INLINE int64_t hand_out_or_do(Helpers* helpers, const W& work, int64_t pieces) {
  if (helpers)
    return hand_out(*helpers, [](const void* w, int64_t i) { (*static_cast<const W*>(w))(i); }, &work, pieces);
  for (int64_t i = 0; i < pieces; ++i) work(i);
  return 0;
}

// work(i) for all pieces of what the next thing waits for: by the helpers too where they work within steps.
template <class W>
STATEWISE_INLINE void do_within_step(const Job& job, Helpers* helpers, const W& work, int64_t pieces) {
  const bool shared = job.help == Help::kWithinSteps;
  const int64_t ticket = hand_out_or_do(shared ? helpers : nullptr, work, pieces);
  if (shared) finish(*helpers, ticket);
}

// Brings memory that the next step will read into the second-level cache, while this step's product keeps the units
// busy.
STATEWISE_INLINE void prefetch(const void* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(p) + i, 0, 2);
}

// Row j of a state given by the caller as (N, heads, width), or zeros, into a padded row.
template <class T>
void take_state(const Job& job, const void* from, const Group& g, int64_t width, T* to, int64_t stride) {
  for (int64_t j = 0; j < g.rows; ++j) {
    if (from)
      copy(to + j * stride, static_cast<const T*>(from) + original(g, j) * job.heads * width, width);
    else
      clear(to + j * stride, width);
    clear(to + j * stride + width, stride - width);
  }
}

template <class T>
void give_state(const Job& job, void* to, const Group& g, int64_t first, int64_t last, int64_t width, const T* from,
                int64_t stride) {
  if (!to) return;
  for (int64_t j = first; j < last; ++j)
    copy(static_cast<T*>(to) + original(g, j) * job.heads * width, from + j * stride, width);
}

// The steps from s0 to before s1, in the order in which a direction reads: the times from t0 to before t1.
struct Span {
  int64_t s0, s1, t0, t1;
};

// Whether direction `d` of a layer reads backwards.
STATEWISE_INLINE bool is_reverse(const Job& job, int64_t d) { return d >= job.heads; }

// The first of the columns that direction `d` reads of its layer's x.
STATEWISE_INLINE int64_t first_input(const Job& job, const Layer& layer, int64_t d) {
  return job.shape->heads_x ? d % job.heads * layer.input_per_head : 0;
}

// In the order in which a direction reads: step s of T is time t; rows that end with s, or begin with it, are those
// between the counts of neighbouring steps.
struct Order {
  const Group& group;
  int64_t T;
  bool reverse;
  Span span(int64_t s0, int64_t s1) const { return {s0, s1, reverse ? T - s1 : s0, reverse ? T - s0 : s1}; }
  int64_t rows(const Span& p) const { return rows_before(group, p.t1) - rows_before(group, p.t0); }
  int64_t time(int64_t s) const { return reverse ? T - 1 - s : s; }
  int64_t count(int64_t s) const { return s < 0 || s >= T ? 0 : rows_at(group, time(s)); }
};

// What W_hh and the next layer read: h; its projection, which is h to the caller; or, of cells that carry h past the
// product (the GRU), its projection, while h stays as wide as it is.
enum class Reads { kH, kProjectedH, kProjectionOfH };

template <class T>
struct Sizes {
  const CellShape& cell;
  Blocks<T> blocks;
  Fed by_x, by_h, late;
  Reads reads;
  int64_t H, P;                    // P: the width of what W_hh reads
  int64_t units, recurrent_input;  // padded
  int64_t columns;                 // padded row of gates
  explicit Sizes(const Job& job)
      : cell(*job.shape),
        blocks(cell, job.H),
        by_x(fed_by_x(cell, job.H * job.heads)),
        by_h(fed_by_h(cell, job.H * job.heads)),
        late(fed_late(cell, job.H * job.heads)),
        reads(!job.projected   ? Reads::kH
              : cell.carries_h ? Reads::kProjectionOfH
                               : Reads::kProjectedH),
        H(job.H),
        P(job.P),
        units(round_up(blocks.padded_units(), lanes<T>)),
        recurrent_input(round_up(job.P, lanes<T>)),
        columns(blocks.columns()) {}
  // Of the first state as the caller knows it: its width, and the distance between its rows while the scan has it.
  int64_t state_width() const { return reads == Reads::kProjectionOfH ? H : P; }
  int64_t state_stride() const { return reads == Reads::kProjectedH ? recurrent_input : units; }
};

// Columns [column, column + width) of y past each row's end, where the caller's tensor has room for it.
template <class T>
void clear_padding(const Job& job, const Group& g, const Sequence& y, int64_t column, int64_t width) {
  if (!y.data || y.at || !g.count) return;
  for (int64_t t = 0; t < job.T; ++t)
    for (int64_t j = g.count[t]; j < g.rows; ++j) clear(row_at<T>(y, g, t, j) + column, width);
}

// work(to's row, one of each of the others) for the group's rows over the times of `p`, from `column` on; a row is null
// where there is no sequence.
template <class T, class Work>
STATEWISE_INLINE void each_row(const Group& g, const Span& p, int64_t column, const Sequence& to, const Sequence& a,
                               const Sequence& b, const Work& work) {
  for (int64_t t = p.t0; t < p.t1; ++t)
    for (int64_t j = 0; j < rows_at(g, t); ++j) {
      const auto row = [&](const Sequence& s) { return s.data ? row_at<T>(s, g, t, j) + column : nullptr; };
      work(row(to), row(a), row(b));
    }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
