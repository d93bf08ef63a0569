// What the two time loops (forward.hpp, backward.hpp) partial: rows, chunks, states, scratch memory.

#pragma once

#include "layout.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// Rows (steps times rows of a step) that a chunk aims at: enough for the products, few enough to stay in cache; and of
// short sequences a part, so that those who help, and the next layer, have something to begin with.
constexpr int64_t kChunkRows = 128, kFewChunkRows = 32, kChunks = 4;

// For a sequence of `steps` steps whose largest group has `rows` rows; the same for all groups.
STATEWISE_INLINE int64_t chunk_steps(int64_t steps, int64_t rows) {
  return max(1, min(kChunkRows, max(kFewChunkRows, steps * rows / kChunks)) / max(1, rows));
}

STATEWISE_INLINE int64_t most_chunk_rows(int64_t rows) { return max(kChunkRows, rows); }

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

template <class T>
STATEWISE_INLINE T* row_at(const Sequence& s, const Group& g, int64_t t, int64_t j) {
  const int64_t n = s.sorted ? g.sorted[j] : g.original[j];
  return static_cast<T*>(s.data) + (s.at ? s.at[t] * s.row : t * s.step) + n * s.row;
}

template <class T>
STATEWISE_INLINE void copy(T* to, const T* from, int64_t n) {
  __builtin_memcpy(to, from, n * sizeof(T));
}

template <class T>
STATEWISE_INLINE void clear(T* to, int64_t n) {
  __builtin_memset(to, 0, n * sizeof(T));
}

// What the steps of a group leave for backward: rows of gates, cells (of cells with c) and unprojected outputs (with a
// projection), the first of which is row `first` of all of the group's.
template <class T>
struct Tape {
  T *gates, *cells, *outputs;
  int64_t first;
};

template <class C, class T>
STATEWISE_INLINE Tape<T> full_tape(const Direction& w, const Group& g, int64_t columns, int64_t units) {
  const auto at = [&](void* base, int64_t width) { return base ? static_cast<T*>(base) + g.first * width : nullptr; };
  return {at(w.gates, columns), at(w.cells, units), at(w.outputs, units), 0};
}

// work(i) for all pieces: by the helpers, which the ticket waits for, or here and now.
template <class W>
STATEWISE_INLINE int64_t hand_out_or_do(Helpers* helpers, const W& work, int64_t pieces) {
  if (helpers)
    return hand_out(*helpers, [](const void* w, int64_t i) { (*static_cast<const W*>(w))(i); }, &work, pieces);
  for (int64_t i = 0; i < pieces; ++i) work(i);
  return 0;
}

// Brings memory that the next step will read into the second-level cache, while this step's product keeps the units
// busy.
STATEWISE_INLINE void prefetch(const void* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(p) + i, 0, 2);
}

// Row j of a state given by the caller as (N, width), or zeros, into a padded row.
template <class T>
void take_state(const void* from, const Group& g, int64_t width, T* to, int64_t stride) {
  for (int64_t j = 0; j < g.rows; ++j) {
    if (from)
      copy(to + j * stride, static_cast<const T*>(from) + g.original[j] * width, width);
    else
      clear(to + j * stride, width);
    clear(to + j * stride + width, stride - width);
  }
}

template <class T>
void give_state(void* to, const Group& g, int64_t first, int64_t last, int64_t width, const T* from, int64_t stride) {
  if (!to) return;
  for (int64_t j = first; j < last; ++j) copy(static_cast<T*>(to) + g.original[j] * width, from + j * stride, width);
}

// The steps from s0 to before s1, in the order in which a direction reads: the times from t0 to before t1.
struct Span {
  int64_t s0, s1, t0, t1;
};

// In the order in which a direction reads: step s of T is time t; rows that end with s, or begin with it, are those
// between the counts of neighbouring steps.
struct Order {
  const Group& group;
  int64_t T;
  bool reverse;
  Span span(int64_t s0, int64_t s1) const { return {s0, s1, reverse ? T - s1 : s0, reverse ? T - s0 : s1}; }
  int64_t rows(const Span& p) const { return group.start[p.t1] - group.start[p.t0]; }
  int64_t time(int64_t s) const { return reverse ? T - 1 - s : s; }
  int64_t count(int64_t s) const { return s < 0 || s >= T ? 0 : group.count[time(s)]; }
};

template <class C, class T>
struct Sizes {
  Blocks<C, T> blocks;
  int64_t H, P;                    // P: the width of what W_hh reads
  int64_t units, recurrent_input;  // padded
  int64_t columns;                 // padded row of gates
  explicit Sizes(const Job& job)
      : blocks(job.H),
        H(job.H),
        P(job.P),
        units(round_up(blocks.units(), lanes<T>)),
        recurrent_input(round_up(job.P, lanes<T>)),
        columns(blocks.columns()) {}
};

// y past each row's end, where the caller's tensor has room for it.
template <class T>
void clear_padding(const Job& job, const Group& g, const Sequence& y, int64_t width) {
  if (!y.data || y.at) return;
  for (int64_t t = 0; t < job.T; ++t)
    for (int64_t j = g.count[t]; j < g.rows; ++j) clear(row_at<T>(y, g, t, j), width);
}

// to = from for the group's rows, over the times from t0 to before t1: `width` elements from `column` on.
template <class T>
void copy_rows(const Group& g, int64_t t0, int64_t t1, const Sequence& from, const Sequence& to, int64_t column,
               int64_t width) {
  for (int64_t t = t0; t < t1; ++t)
    for (int64_t j = 0; j < g.count[t]; ++j)
      copy(row_at<T>(to, g, t, j) + column, row_at<const T>(from, g, t, j) + column, width);
}

// to = from * mask for the group's rows, over the times from t0 to before t1.
template <class T>
void apply_mask(const Group& g, int64_t t0, int64_t t1, const Sequence& mask, const Sequence& from, const Sequence& to,
                int64_t width) {
  for (int64_t t = t0; t < t1; ++t)
    for (int64_t j = 0; j < g.count[t]; ++j) {
      const T *a = row_at<const T>(from, g, t, j), *b = row_at<const T>(mask, g, t, j);
      T* y = row_at<T>(to, g, t, j);
      for (int64_t i = 0; i < width; ++i) y[i] = a[i] * b[i];
    }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
