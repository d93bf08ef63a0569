// What the two time loops (forward.hpp, backward.hpp) share: rows, chunks, states, scratch memory.

#pragma once

#include "layout.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

constexpr int64_t kChunkRows = 128;  // rows (steps times rows of a step) that a chunk aims at

STATEWISE_INLINE int64_t chunk_steps(int64_t rows) { return max(1, kChunkRows / max(1, rows)); }

// How many rows the chunks of any group have at most, if the largest has `rows`: a smaller one may fit in more of them.
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

// In the order in which a direction reads: step s of T is time t; rows that end with s, or begin with it, are those
// between the counts of neighbouring steps.
struct Order {
  const Group& group;
  int64_t T;
  bool reverse;
  int64_t time(int64_t s) const { return reverse ? T - 1 - s : s; }
  int64_t count(int64_t s) const { return s < 0 || s >= T ? 0 : group.count[time(s)]; }
};

template <class C, class T>
struct Sizes {
  Blocks<C, T> blocks;
  int64_t H, P;        // P: the width of what W_hh reads
  int64_t units, fed;  // padded
  int64_t columns;     // padded row of gates
  explicit Sizes(const Job& job)
      : blocks(job.H),
        H(job.H),
        P(job.P),
        units(round_up(blocks.units(), lanes<T>)),
        fed(round_up(job.P, lanes<T>)),
        columns(blocks.columns()) {}
};

// y past each row's end, where the caller's tensor has room for it.
template <class T>
void clear_padding(const Job& job, const Group& g, const Sequence& y, int64_t width) {
  if (!y.data || y.at) return;
  for (int64_t t = 0; t < job.T; ++t)
    for (int64_t j = g.count[t]; j < g.rows; ++j) clear(row_at<T>(y, g, t, j), width);
}

// to = from * mask for the group's rows.
template <class T>
void apply_mask(const Job& job, const Group& g, const Sequence& mask, const Sequence& from, const Sequence& to,
                int64_t width) {
  for (int64_t t = 0; t < job.T; ++t)
    for (int64_t j = 0; j < g.count[t]; ++j) {
      const T *a = row_at<const T>(from, g, t, j), *b = row_at<const T>(mask, g, t, j);
      T* y = row_at<T>(to, g, t, j);
      for (int64_t i = 0; i < width; ++i) y[i] = a[i] * b[i];
    }
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
