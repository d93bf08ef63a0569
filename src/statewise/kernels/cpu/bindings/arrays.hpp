// A stack on numpy's arrays, without torch: they are read through Python's buffer protocol, and made by numpy.empty.

#pragma once

#include <nanobind/nanobind.h>

#include "packed.hpp"

namespace statewise {

const Tensors& numpy_arrays();

// A stack whose weights are packed once, from arrays that needn't live on.
class ArrayStack {
 public:
  // Raises ValueError if they are not what Operands::read_weights wants.
  ArrayStack(nanobind::handle stack, nanobind::list weights, int threads, Stored stored);

  // Whether the instruction set is still the one that the weights are packed for.
  bool is_current() const { return pack_.set == &statewise::instruction_set(); }

  // The output (T, N, .) and the final states, of x (T, N, I), with `lengths` None or (N,). Of x (N, I), a single step
  // of one layer of one direction without a projection, the states (N, H) alone. None, and nothing has happened, for
  // anything else.
  nanobind::object operator()(nanobind::handle x, nanobind::handle hx, nanobind::handle lengths) const;

 private:
  static Pack packed(nanobind::handle stack, const nanobind::list& weights, Stored stored);

  Pack pack_;
};

}  // namespace statewise
