// How a row of gates lies in memory, and how weights are packed to match. README.md has the picture.
//
// A row is cut into blocks. A block has, for each slot of the cell, as many vectors of units as make about four vectors
// in all: of a cell with four slots the four slots of the same L units (L lanes a vector), of one with one slot 4*L
// units. What is left of H goes into a tail block whose vectors have L/4 or L/2 lanes, if that is enough; so H = 50
// costs 13 vectors of 16 lanes, not 16.

#pragma once

#include "job.hpp"
#include "narrow.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// What a weight feeds: of the slots `count` from `first` on, by which part of its rows.
struct Fed {
  const int* from;
  int first, count;
  int parts;
  int64_t part_rows;  // between the parts' first rows
};

STATEWISE_INLINE Fed fed_by_x(const CellShape& c, int64_t part_rows) {
  int n = 0;
  while (n < c.slots && c.from_x[n] >= 0) ++n;
  return {c.from_x, 0, n, c.gates, part_rows};
}

STATEWISE_INLINE Fed fed_late(const CellShape& c, int64_t part_rows) {
  return {c.from_h, c.late_first, c.late, c.recurrent, part_rows};
}

STATEWISE_INLINE Fed fed_by_h(const CellShape& c, int64_t part_rows) {
  int first = 0, n = 0;
  const auto is_fed = [&](int s) { return c.from_h[s] >= 0 && !(s >= c.late_first && s < c.late_first + c.late); };
  while (first < c.slots && !is_fed(first)) ++first;
  while (first + n < c.slots && is_fed(first + n)) ++n;
  return {c.from_h, first, n, c.recurrent, part_rows};
}

template <class T>
struct Blocks {
  static constexpr int L = lanes<T>;
  int slots, units;   // of a block: so many slots of so many vectors
  int width;          // vectors of a full block
  int64_t per_block;  // units in a full block
  int64_t full;
  int tail;        // vectors of the tail block, 0: there is none
  int tail_lanes;  // of each of its slots' vectors
  int64_t hidden;

  Blocks(const CellShape& c, int64_t h)
      : slots(c.slots),
        units(units_of(c)),
        width(slots * units),
        per_block(units * L),
        full(h / per_block),
        tail(0),
        tail_lanes(0),
        hidden(h) {
    const int64_t left = h - full * per_block;
    if (left > 0 && left * 4 <= per_block && L >= 4)
      tail_lanes = L / 4;
    else if (left > 0 && left * 2 <= per_block)
      tail_lanes = L / 2;
    else if (left > 0)
      ++full;
    tail = (width * tail_lanes + L - 1) / L;
  }

  int64_t columns() const { return (full * width + tail) * L; }
  int64_t padded_units() const { return full * per_block + tail_lanes * units; }
  int64_t count() const { return full + (tail > 0); }
  int64_t first_column(int64_t b) const { return b * width * L; }

  // Where unit u's pre-activation of slot s lies in a row: a slot's units are consecutive within a block.
  int64_t column(int s, int64_t u) const {
    const int64_t block = u / per_block, of_slot = units * (block < full ? L : tail_lanes);
    return first_column(block) + s * of_slot + u % per_block;
  }

  // Vector `v` of block `b`, of which the tail is block `full`; v / units is its slot.
  struct Part {
    int lanes;
    int64_t column;      // where it lies in a row of gates
    int64_t row, units;  // the rows of a weight that feed it, as many as there are units; none if it isn't fed
  };
  Part part(int64_t b, int v, const Fed& fed) const {
    const int lanes_of = b < full ? L : tail_lanes, slot = v / units;
    const int64_t unit = b * per_block + int64_t(v % units) * lanes_of;
    const bool is_fed = slot >= fed.first && slot < fed.first + fed.count;
    const int64_t there = is_fed ? max(0, min(lanes_of, hidden - unit)) : 0;
    return {lanes_of, first_column(b) + int64_t(v) * lanes_of, is_fed ? fed.from[slot] * fed.part_rows + unit : 0,
            there};
  }

  // The slots fed by one of the weights. A product writes these and no others: what it would add to them is zero times
  // data, which is NaN where the data are infinite.
  Panels panels(const Fed& fed) const {
    const int used = fed.count * units, cuts = (used + 3) / 4;
    return {.full = full * cuts,
            .width = width,
            .used = used,
            .cuts = cuts,
            .skip = fed.first * units,
            .tail = (used * tail_lanes + L - 1) / L,
            .tail_column = full * width * L + fed.first * units * tail_lanes,
            .dots = 0};
  }
  int64_t end(const Fed& fed) const {
    return tail ? first_column(full) + (fed.first + fed.count) * units * tail_lanes : columns();
  }

  // The same slots as what a product with the gates' gradients, as operands O, sums over; of the tail block what isn't
  // padding, but for pairs.
  template <class O>
  Depth depth(const Fed& fed) const {
    constexpr int n = elements<O>;
    const int64_t of_slot = units * tail_lanes, skip = fed.first * units, used = fed.count * units;
    Depth d{.full = full, .length = used * L / n, .stride = width * L / n, .offset = skip * L / n};
    d.tail_offset = fed.first * of_slot / n;
    if (paired<O>) {
      d.tail_runs = tail > 0;
      d.tail_length = fed.count * of_slot / n;
    } else if (tail) {
      d.tail_runs = fed.count;
      d.tail_length = hidden - full * per_block;
      d.tail_stride = of_slot;
    }
    return d;
  }
};

// to[k * distance + i] = operand k of row i of w, for `rows` <= L rows: one vector's column of a panel. Missing rows
// are zero.
template <class T, class O>
void pack_transposed(const T* w, int64_t width, int64_t rows, O* to, int64_t distance, int slots, T* units) {
  if constexpr (is_narrow<O>) {
    pack_narrow(w, width, rows, to, distance, slots, units);
  } else {
    constexpr int L = lanes<O>, E = elements<O>;
    int64_t k = 0;
    if (rows == L) {
      for (; (k + L) * E <= width; k += L) {
        Vec<O, L> r[L];
        for (int i = 0; i < L; ++i) r[i] = load_operands<O>(w + i * width + k * E);
        transpose<O>(r);
        for (int i = 0; i < L; ++i) store(to + (k + i) * distance, r[i]);
      }
    }
    for (; k * E < width; ++k)
      for (int i = 0; i < slots; ++i)
        to[k * distance + i] = i < rows ? load_operand<O>(w + i * width + k * E, width - k * E) : O(0);
  }
}

// W (parts * H, width) as B of gates = A * W^T: of its blocks every `parts`th from `part` on. Of NarrowQuads with their
// units, a row of gates.
template <class T, class O>
void pack_columns(const Blocks<T>& blocks, const Fed& fed, const T* w, int64_t width, O* to, T* units, int64_t part,
                  int64_t parts) {
  constexpr int L = lanes<T>;
  const Panels p = blocks.panels(fed);
  const int64_t depth = operands<O>(width);
  const auto vector = [&](int64_t b, int v, O* at, int64_t distance) {
    const auto one = blocks.part(b, v, fed);
    pack_transposed(w + one.row * width, width, one.units, at, distance, one.lanes,
                    units ? units + one.column : nullptr);
  };
  for (int64_t b = part; b < blocks.full; b += parts)
    for (int i = 0; i < p.used; ++i) {
      const int cut = i / 4 * 4;
      vector(b, p.skip + i, to + (b * p.used + cut) * depth * L + (i - cut) * L, min(4, p.used - cut) * L);
    }
  if (blocks.full % parts != part || !p.tail) return;
  O* const tail = to + blocks.full * p.used * depth * L;
  const int64_t distance = p.tail * L;
  for (int i = 0; i < p.used; ++i) vector(blocks.full, p.skip + i, tail + i * blocks.tail_lanes, distance);
  const int64_t filled = p.used * blocks.tail_lanes;
  for (int64_t k = 0; filled < distance && k < depth; ++k) clear(tail + k * distance + filled, distance - filled);
}

// W (parts * H, width) as B of A's gradient = gates' gradient * W: rows of W in the order of the slots. Of its panels
// every `parts`th from `part` on.
template <class T, class O>
void pack_rows(const Blocks<T>& blocks, const Fed& fed, const T* w, int64_t width, O* to, int64_t part, int64_t parts) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  const Panels p = row_panels<T, O>(width);
  const int64_t depth = blocks.template depth<O>(fed).total();
  const auto each_row = [&](const auto& pack) {  // of operands, as that of the first number and the one after it
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const int64_t of_slot = blocks.units * (b < blocks.full ? L : blocks.tail_lanes);
      for (int s = fed.first; s < fed.first + fed.count; ++s)
        for (int64_t i = 0; i < of_slot; i += elements<O>) {
          const auto row = [&](int64_t u) {  // null: one of zeros
            return u < blocks.hidden ? w + (fed.from[s] * fed.part_rows + u) * width : nullptr;
          };
          const int64_t first = b * blocks.per_block + i;
          if (paired<O> || b < blocks.full || row(first)) pack(row(first), row(first + 1));  // as Blocks::depth has it
        }
    }
  };
  const auto panel = [&](int64_t column, int vectors) {
    O* at = to + column * depth;
    each_row([&](const T* first, const T* second) {
      for (int n = 0; n < vectors; ++n, at += L) {
        const int64_t few = min(L, width - column - n * L);
        const auto numbers = [&](const T* row) {
          return !row ? V{} : few == L ? load<V>(row + column + n * L) : load_first<V>(row + column + n * L, int(few));
        };
        if constexpr (paired<O>)
          store(at, interleave(numbers(first), numbers(second)));
        else
          store(at, numbers(first));
      }
    });
  };
  for (int64_t i = part; i < p.full; i += parts) panel(i * 4 * L, 4);
  if (p.full % parts != part) return;
  if (p.tail) panel(p.full * 4 * L, p.tail);
  const int64_t column = (p.full * 4 + p.tail) * L;
  for (int i = 0; i < p.dots; ++i) {  // of numbers alone
    O* at = to + column * depth + i * round_up(depth, L);
    each_row([&](const T* row, const T*) { *at++ = row ? O(row[column + i]) : O(0); });
  }
}

// W_hr (P, H) as B of projected = output * W_hr^T.
template <class T, class O>
void pack_projection(const T* w, int64_t projected, int64_t hidden, O* to, T* units) {
  constexpr int L = lanes<T>;
  const Panels p = plain_panels<T>(projected);
  const auto panel = [&](int64_t column, int vectors) {
    for (int n = 0; n < vectors; ++n) {
      const int64_t rows = max(0, min(L, projected - column - n * L));
      pack_transposed(w + (column + n * L) * hidden, hidden, rows, to + n * L, vectors * L, L,
                      units ? units + column + n * L : nullptr);
    }
    to += operands<O>(hidden) * vectors * L;
  };
  for (int64_t i = 0; i < p.full; ++i) panel(i * 4 * L, 4);
  if (p.tail) panel(p.full * 4 * L, p.tail);
}

// W_hr (P, H) as B of output's gradient = projected's gradient * W_hr.
template <class T, class O>
void pack_projection_rows(const T* w, int64_t projected, int64_t hidden, O* to) {
  constexpr int L = lanes<T>;
  const auto number = [&](int64_t k, int64_t i) { return k < projected && i < hidden ? w[k * hidden + i] : T(0); };
  const Panels p = plain_panels<T>(hidden);
  const auto panel = [&](int64_t column, int vectors) {
    for (int64_t k = 0; k < projected; k += elements<O>)
      for (int64_t i = column; i < column + vectors * L; ++i) *to++ = operand_of<O>(number(k, i), number(k + 1, i));
  };
  for (int64_t i = 0; i < p.full; ++i) panel(i * 4 * L, 4);
  if (p.tail) panel(p.full * 4 * L, p.tail);
}

}  // namespace
}  // namespace STATEWISE_NS
}  // namespace statewise
