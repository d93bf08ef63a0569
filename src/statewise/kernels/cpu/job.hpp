// What the kernels are told: plain data, filled by stack.cpp, read by the copy of the kernels for each instruction set.
//
// A cell whose weights are in blocks, heads, is as many nets side by side: H and P are those of one, and each is a
// direction of its own, D = 2 * heads where a layer reads both ways.
//
// Letters: T time steps, N batch rows, I input features, H hidden units, P what W_hh reads (the projection's width, or
// H), G gates, L layers, D directions. All distances are in elements. This header has no inline code (see simd.hpp).

#pragma once

#include <stdint.h>

#include "helpers.hpp"
#include "shape.hpp"

namespace statewise {

// The rows of a sequence: that of step t and batch row n begins at (at ? at[t] * row : t * step) + n * row.
struct Sequence {
  void* data;         // null: there is none
  const int64_t* at;  // (T,) rows before step t, in packed order; null where the steps are equally far apart
  int64_t step, row;
  bool sorted;  // whether n counts the rows by descending length, as the stack's own buffers do
};

// Some rows of the batch, which one thread takes through the whole stack. Sorted by descending length, so that those
// active at step t are the first count[t]. The tables are null where all rows have all steps: see scan.hpp.
struct Group {
  int64_t rows;
  const int64_t* original;  // (rows,) their place in the caller's tensors
  const int64_t* sorted;    // (rows,) their place among all rows sorted by length
  const int64_t* count;     // (T,)
  const int64_t* start;     // (T + 1,) sum of the counts before t
  int64_t first;            // where the group's rows begin on the tape
  int64_t before;           // the rows of the groups before this one
};

// One of a direction's states: as the caller gives and gets it, (N, width), and on the tape.
struct State {
  const void* initial;
  void* final;
  const void* dfinal;
  void* dinitial;
  void* steps;               // tape: (S, units), of all but the first
  void* mixed;               // tape: likewise, after zoneout and bounds
  void* kept;                // tape: (segments, N, units), before each segment
  Sequence passed, dpassed;  // the caller's: the state after all steps, and its gradient
};

// One direction of one layer. Where a pointer is null the thing is absent, zero or not asked for.
struct Direction {
  const void *w_ih, *w_hh, *b_ih, *b_hh, *w_hr;  // as torch lays them out
  void *dw_ih, *dw_hh, *db_ih, *db_hh, *dw_hr;
  const void* vectors[kMaxVectorRows];  // by part, H each
  void* dvectors[kMaxVectorRows];
  const void* recurrent_mask;     // (N, P), times which W_hh reads h
  const void *norm_ih, *norm_hh;  // gains
  void *dnorm_ih, *dnorm_hh;
  State state[kMaxStates];
  void *columns_ih, *columns_hh, *columns_late, *columns_hr, *bias;  // packed for the forward products
  void* vector_rows;                                                 // (vectors, units)
  void *gains_ih, *gains_hh;                                         // rows of gates
  void *units_ih, *units_hh, *units_hr;  // of weights in eight bits: rows of gates, and (P,) padded; see Product::unit
  void *rows_ih, *rows_hh, *rows_late, *rows_hr;  // packed for the backward products
  Sequence dx;                                    // this direction's part of the gradient of x
  bool adds_dx;                                   // to the other direction's, which has the same memory
  int64_t* progress;            // (groups,) steps done, where those who read y, or dx, follow; or null
  void* gates;                  // tape: (S, columns)
  void *raw_x, *raw_h;          // tape: (S, columns), the products that are normalised
  void* outputs;                // tape: (S, units), the unprojected output, with a projection
  void* first_recurrent_input;  // tape: (N, P), what W_hh reads first, where it isn't h0
  void* kept_recurrent_input;   // tape: (segments, N, ...), as it is before each segment
  // The groups' partials of the weights' gradients; sum_n: of the gains of x and of h.
  void *sum_ih, *sum_hh, *sum_late, *sum_hr, *sum_b, *sum_v, *sum_n;
};

struct Layer {
  int64_t input;  // I of this layer
  Sequence x, y, dy;
  Sequence dy_beside;         // what is to be added to dy, where the layer above had a thread for each direction
  Sequence mask, masked;      // dropout on y, and y * mask, which the next layer reads
  Sequence copy;              // the caller's copy of y, where backward reads y from the tape
  bool direct_ih, direct_hh;  // how the gradients of W_ih and W_hh are summed: see weights.hpp
  int64_t sum_ih, sum_hh;     // elements of the groups' partials
  int64_t input_per_head;     // what one pass reads of x: all, unless W_ih is in blocks
  Direction* direction;       // (D,)
};

// Sizes that depend on the instruction set's vector length; filled by Kernels::compute_layout.
struct Layout {
  int64_t columns;          // of a row of gates, padded
  int64_t units;            // H, padded
  int64_t recurrent_input;  // P, padded
  // Elements of the packed weights; of columns_ih for the widest layer.
  int64_t columns_ih, columns_hh, columns_late, columns_hr;
  int64_t units_of_columns, units_hr;  // elements; 0 where weights have no units
  int64_t rows_ih, rows_hh, rows_late, rows_hr;
  int64_t sum_late, sum_hr, sum_b, sum_v, sum_n;  // elements of one group's partial
  int64_t forward_scratch, backward_scratch;      // bytes an owner needs
};

// What forward saves for backward: nothing, every step, or the states before each segment of steps, from which backward
// computes the steps again.
enum class Saved { kNothing, kSteps, kStates };

// What the products read: weights packed in panels, or, of few rows and without a projection, as torch lays them out
// (see unpacked.hpp).
enum class Weights { kPacked, kUnpacked };

// Who works for the owner of a group: nobody else; helpers on what doesn't wait for the next step; or helpers on that
// and, block by block, on the steps themselves.
enum class Help { kNone, kBetweenSteps, kWithinSteps };

// A cell's step in one dtype: one phase of it on block `b` of `rows`, which are a StepRows or GradientRows (see
// cell.hpp). The gradient may write bfloat16.
struct Steps {
  void (*forward[2])(const void* rows, int64_t b);
  void (*backward[2])(const void* rows, int64_t b);
};

struct Job {
  const CellShape* shape;
  const Steps* steps_of_cell;
  int64_t T, N, H, P, L, D, heads;
  bool projected, bias;
  // Zoneout with a probability for each state, drawn or, without a seed, as it is on average; bounds of the states and
  // of their gradients, 0 for none. noise_rows and starts, (N,) or null: which row of the batch each row is, and where
  // in time it begins. See mixing.hpp.
  bool mixes, draws;    // whether states change after a step; whether there is a seed
  bool masked;          // whether there are masks of what W_hh reads
  bool adds_to_states;  // whether gradients of states, beside those of y, come in at every step, or are bounded
  uint64_t seed;
  double zoneout[kMaxStates], clip, gradient_clip;
  const int64_t *noise_rows, *starts;
  Saved saved;
  int64_t segment;  // steps that backward computes again at a time, of Saved::kStates
  Weights read_forward, read_backward;
  Help help;
  int64_t widest;  // the largest I of all layers
  int64_t steps;   // S: the steps of all rows together
  int64_t groups;
  int64_t largest_group;  // rows
  int64_t chunk_rows;     // steps times rows of a step that a chunk aims at
  const Group* group;     // (groups,)
  Layer* layer;           // (L,)
  Layout layout;
};

// What a task of pack_forward, pack_backward and reduce is: one of so many parts of one direction's weights.
constexpr int64_t kWeightParts = 4;

// What a task of forward and backward is: one group's way through one direction of a layer.
struct Pass {
  int64_t group, layer, direction;
  void* scratch;
  Helpers* helpers;  // null with Help::kNone
};

// The kernels of one dtype for one instruction set, for all cells.
struct Kernels {
  int64_t element;  // bytes
  void (*compute_layout)(Job&);
  void (*pack_forward)(const Job&, int64_t task);  // tasks: L * D * kWeightParts
  void (*forward)(const Job&, const Pass&);
  void (*pack_backward)(const Job&, int64_t task);
  void (*backward)(const Job&, const Pass&);
  void (*reduce)(const Job&, int64_t task);
  void (*add_dx)(const Job&, int64_t part);  // parts: kWeightParts
};

using Bfloat16 = uint16_t;  // the upper half of a float

// A cell for one instruction set.
struct Cell {
  CellShape shape;
  Steps float32, float64;
};

// What a library that has one cell hands out by the C function statewise_cell(). The version is that of all that the
// library and the kernels share: StepRows, GradientRows, CellShape.
constexpr int kCellVersion = 1;
struct CompiledCell {
  int version;
  const char* instruction_set;
  const Cell* cell;
};

// One compiled copy of the kernels, and of the cells that come with it.
struct InstructionSet {
  const char* name;
  Kernels float32, float64;
  Kernels bfloat16_weights, int8_weights;  // forward alone, of float tensors: see narrow.hpp
  const Cell* cells;
  const int* count;
  // Of the copy for bfloat16 alone: from and to float, to the nearest, ties to even.
  void (*widen)(const Bfloat16* from, int64_t count, float* to);
  void (*narrow)(const float* from, int64_t count, Bfloat16* to);
};

}  // namespace statewise
