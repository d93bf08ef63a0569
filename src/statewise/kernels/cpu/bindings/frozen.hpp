// A stack whose weights stay packed from call to call, called with torch's tensors instead of their addresses: at one
// step of one row, reading a tensor's address and shape from Python costs as much as the arithmetic.

#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <vector>

#include "dispatch.hpp"
#include "stack.hpp"

namespace statewise {

// The weights of a layer or cell as the instruction set in use packs them.
class Frozen {
 public:
  // How tensors come: (T, N, I) or (T, I); (N, T, I) or (T, I); without time, (N, I) or (I,).
  enum Form { kTimeFirst, kBatchFirst, kCell };

  // `call` has the sizes and weights; T, N and the tensors come with each call.
  Frozen(const Call& call, Form form);

  // What must hold for the short cut: `hooks` are dictionaries and all of them empty, and `owner`, the dictionary of
  // the module's weights, has the very values that it has now.
  void watch(nanobind::tuple hooks, nanobind::dict owner);

  // What the module's forward returns, if the call is a plain one and right in all its shapes; else None, and nothing
  // has happened.
  nanobind::object operator()(nanobind::handle x, nanobind::handle hx) const;

  const char* instruction_set() const { return set_->name; }
  const void* packed() const { return packed_.get(); }

  // For the garbage collector: a hook may refer to the module that has this.
  int traverse(visitproc visit, void* arg) const;
  void clear();

 private:
  bool undisturbed() const;

  Call call_;
  Form form_;
  const InstructionSet* set_;
  int states_;
  int64_t state_widths_[2];
  std::unique_ptr<void, void (*)(void*)> packed_;
  nanobind::object hooks_, owner_;  // a tuple and a dictionary, once watched
  std::vector<nanobind::object> weights_;
};

}  // namespace statewise
