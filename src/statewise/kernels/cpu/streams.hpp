// What networks that run a step at a time compute with, beside the kernels of whole calls: plain data, as job.hpp.

#pragma once

#include "job.hpp"

namespace statewise {

// What a step of one row through one layer reads and writes: see step.hpp. The states are padded rows, 64-byte aligned:
// the first is read from `h` and written to state[0], which is another; the others change in place.
struct StepMemory {
  const void *x, *h;
  void* state[kMaxStates];
  bool fro;          // the blocks from the last to the first: the same result
  const void* sums;  // W_ih x, as StreamKernels::project makes it; null: the step makes it of x
};

// A matrix that rows are multiplied with: y = x W^T + b, W (outputs, inputs) packed in panels.
struct Dense {
  int64_t inputs, outputs;
  const void *panels, *bias;  // bias: padded to whole vectors; null: none
};

enum class Function { kRelu, kTanh, kSigmoid, kSilu, kSoftplus, kExp };
constexpr int kFunctions = 6;

// For one dtype and one instruction set.
struct StreamKernels {
  int64_t step_bytes;
  // What the step of direction `w` of a layer needs, to `to`; false where Kernels::forward must do it.
  bool (*prepare_step)(const Job&, const Layer&, const Direction&, void* to);
  void (*step)(const void* prepared, const StepMemory&);
  // W_ih x of so many steps, the very sums that each would make: rows of up to Layout::columns numbers.
  void (*project)(const void* prepared, int64_t steps, const void* x, int64_t x_row, void* to, int64_t to_row);

  int64_t (*dense_columns)(int64_t outputs);  // padded: of the bias; times inputs, of the panels
  void (*pack_dense)(const Dense&, const void* w, void* to);
  void (*multiply)(const Dense&, int64_t rows, const void* x, int64_t x_row, void* y, int64_t y_row);

  void (*apply[kFunctions])(const void* x, int64_t count, void* y);
};

struct StreamKernelsOfSet {
  StreamKernels float32, float64;
};

}  // namespace statewise
