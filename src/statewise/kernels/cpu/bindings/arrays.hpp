// A stack on numpy's arrays, without torch: they are read through Python's buffer protocol, and made by numpy.empty.

#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <memory>

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
  // A step of one row, planned once and for all, which one thread at a time makes.
  struct OneRow {
    std::unique_ptr<Stepper> stepper;
    std::atomic_flag taken;
  };

  static Pack packed(nanobind::handle stack, const nanobind::list& weights, Stored stored);
  bool step_of_one_row(const Call& call) const;

  Pack pack_;
  std::unique_ptr<OneRow> one_row_;
};

}  // namespace statewise
