// A stack whose weights stay packed from call to call: a frozen layer or cell, or one of numpy's arrays.

#pragma once

#include <nanobind/nanobind.h>

#include <vector>

#include "eager.hpp"
#include "memory.hpp"

namespace statewise {

// Weights as the instruction set in use packs them, and the call of a stack that reads them.
struct Pack {
  Pack(Operands& operands, Stored stored);  // which has read the weights

  Call call;
  const InstructionSet* set;
  Memory memory;
};

// The weights of a layer or cell, packed.
class PackedStack {
 public:
  // The weights lie one after the other in `memory`, a tensor that has one version for all of them. Raises ValueError
  // if they are not what Operands::read_weights wants.
  PackedStack(nanobind::handle stack, Form form, nanobind::list weights, nanobind::object memory, Stored stored);

  // What must hold for the short cut: `hooks` are dictionaries and all of them empty, and `owner`, the dictionary of
  // the module's weights, has the very values that it has now.
  void watch(nanobind::tuple hooks, nanobind::dict owner);

  // Whether the weights are as they were packed, and the instruction set the one in use.
  bool is_current() const;

  // What the module's forward returns, if nothing is in the way and the call is a plain one that needs no gradient and
  // is right in all its shapes; else None, and nothing has happened.
  nanobind::object operator()(nanobind::handle x, nanobind::handle hx, nanobind::handle rows) const;

  // The output and the final states, without a look at anything but the tensors; or None. Tensors are (T, N, .), of a
  // cell (N, .).
  nanobind::object run(nanobind::handle x, nanobind::handle hx, nanobind::handle rows) const;

  // For the garbage collector: a hook may refer to the module that has this.
  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  bool undisturbed() const;
  bool read(Operands& operands, nanobind::handle x, nanobind::handle hx, nanobind::handle rows) const;

  static Pack packed(nanobind::handle stack, Form form, const nanobind::list& weights, nanobind::handle memory,
                     Stored stored);

  Form form_;
  Pack pack_;
  nanobind::object memory_;
  int64_t version_;
  nanobind::object hooks_, owner_;  // a tuple and a dictionary, once watched
  std::vector<nanobind::object> weights_;
};

}  // namespace statewise
