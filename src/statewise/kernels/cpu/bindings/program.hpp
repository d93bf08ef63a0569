// A network of the runtime's on numpy's arrays: network/network.hpp as Python calls it.

#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <string>

#include "dispatch.hpp"

namespace statewise {

namespace runtime {
class Network;
}

class Program {
 public:
  // program: JSON with inputs, ops and results. tensors: of each name the name of its dtype in a file, and an array
  // that is C-contiguous. cells: of each name the cell's number, the names of its states and of its weights. Nothing of
  // these is kept. Raises ValueError for what can't be run.
  Program(const std::string& program, nanobind::dict tensors, nanobind::dict cells, int threads);
  ~Program();

  // Whether the instruction set is still the one that the weights are packed for.
  bool is_current() const { return set_ == &instruction_set(); }
  bool float64() const;
  // Why it can't read a step at a time; empty where it can.
  const std::string& whole() const;
  // Of each op: its name, what it is, the kind and the width of what it gives, and whether
  // that has as many steps as it reads.
  nanobind::list parts() const;
  // Of each result: kind and width.
  nanobind::list results() const;

  // A state is a tuple with a tuple of arrays for each op: (depth, N, width) or, of one depth, (N, width).
  nanobind::object start(int64_t rows) const;
  // Whole sequences: x, a tuple of arrays that are right; lengths, an array of int64 or None; a state or None: nothing
  // has been read. The results, a tuple, and the state, None unless it is wanted. Raises ValueError.
  nanobind::object feed(nanobind::tuple x, nanobind::handle state, nanobind::handle lengths, bool wanted) const;
  // One step: x, an array or, of several inputs, a tuple of arrays. The result, or a tuple of several, and the state;
  // None, and nothing has happened, where x isn't right. Raises ValueError where the state isn't.
  nanobind::object step(nanobind::handle x, nanobind::handle state) const;

 private:
  class Call;

  const InstructionSet* set_;
  std::unique_ptr<const runtime::Network> network_;
};

nanobind::list op_names();
nanobind::list activation_names();
int64_t most_around();
double never();

}  // namespace statewise
