// What the kernels know of a cell beside its step: plain data, the same for every instruction set.

#pragma once

namespace statewise {

constexpr int kMaxSlots = 8, kMaxStates = 8, kMaxVectors = 16, kMaxCrossings = 4;

// A description of src/statewise/cells/, as the generator has planned it. A *slot* is one of a unit's vectors in a row
// of gates: a pre-activation, and what is saved in its place. The order of the slots: those fed by x alone; by x and a
// late product; by x and h; by h alone. So what x feeds is contiguous from 0 on, and so is what h feeds, and what is
// late.
struct CellShape {
  const char* name = "";
  int gates = 0, recurrent = 0;  // parts of W_ih and of W_hh, H rows each; without a recurrent product no W_hh
  int slots = 0;
  int from_x[kMaxSlots]{}, from_h[kMaxSlots]{};  // which part of W_ih and b_ih, of W_hh and b_hh, feeds a slot, or -1
  int late_first = 0, late = 0;  // the slots whose product reads what the first phase leaves, instead of h
  int states = 1, vectors = 0, phases = 1;
  bool carries_h = false;   // whether h goes on beside what W_hh reads of it; so it is without a recurrent product
  bool reads_h = false;     // whether the step reads h
  bool h_in_slots = false;  // whether the only slot is saved as h
  bool bias_x = true, bias_h = true;    // which products have biases, where there are any
  bool norm_x = false, norm_r = false;  // which are normalised over a row
  int norm_groups = 0;                  // what of them is normalised together: of each slot its group
  int norm_group[kMaxSlots]{};
  int crossing_states = 0;  // states that are normalised between the phases
  int crossing_state[kMaxCrossings]{};
  bool heads_x = false, heads_h = false;  // which weights are block-diagonal
  int vector_tensors = 0;                 // the vectors as parameters, of so many parts each
  int vector_parts[kMaxVectors]{};
};

// A layer's parameters in their order.
enum class WeightKind {
  kInput,
  kRecurrent,
  kInputBias,
  kRecurrentBias,
  kVector,
  kInputNorm,
  kRecurrentNorm,
  kProjection
};

struct WeightOf {
  WeightKind kind;
  int parts;  // H rows each; of a projection 0
  int first;  // of a vector its first part's number among all vectors'
};

constexpr int kMaxWeights = 7 + kMaxVectors + 2 * kMaxCrossings;
constexpr int kMaxVectorRows = kMaxVectors + 2 * kMaxCrossings;

// The vectors, and after them gain and bias of each state's norm.
constexpr int vector_rows(const CellShape& c) { return c.vectors + 2 * c.crossing_states; }
constexpr int gain_row(const CellShape& c, int crossing) { return c.vectors + 2 * crossing; }

// Fills `list`, and says how many there are.
constexpr int list_weights(const CellShape& c, bool bias, bool projected, WeightOf (&list)[kMaxWeights]) {
  int n = 0, first = 0;
  list[n++] = {WeightKind::kInput, c.gates, 0};
  if (c.recurrent) list[n++] = {WeightKind::kRecurrent, c.recurrent, 0};
  if (bias && c.bias_x) list[n++] = {WeightKind::kInputBias, c.gates, 0};
  if (bias && c.bias_h) list[n++] = {WeightKind::kRecurrentBias, c.recurrent, 0};
  for (int i = 0; i < c.vector_tensors; first += c.vector_parts[i++])
    list[n++] = {WeightKind::kVector, c.vector_parts[i], first};
  if (c.norm_x) list[n++] = {WeightKind::kInputNorm, c.gates, 0};
  if (c.norm_r) list[n++] = {WeightKind::kRecurrentNorm, c.recurrent, 0};
  for (int i = 0; i < c.crossing_states; ++i) {
    list[n++] = {WeightKind::kVector, 1, gain_row(c, i)};
    list[n++] = {WeightKind::kVector, 1, gain_row(c, i) + 1};
  }
  if (projected) list[n++] = {WeightKind::kProjection, 0, 0};
  return n;
}

// Vectors of units a slot has in a block, so that a block has about four vectors.
constexpr int units_of(const CellShape& c) { return c.slots == 1 ? 4 : c.slots == 2 ? 2 : 1; }

// Whether a step is more than products and then the cell, block by block; there are no kernels of bfloat16 for such.
constexpr bool is_staged(const CellShape& c) { return c.phases > 1 || c.norm_x || c.norm_r; }

// Whether backward needs the h of every step, for W_hh's gradient or for the cell.
constexpr bool needs_h(const CellShape& c) { return c.recurrent > 0 || c.reads_h; }

}  // namespace statewise
