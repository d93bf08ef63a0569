// A stack whose weights stay packed from call to call, called with torch's tensors instead of their addresses: at one
// step of one row, reading a tensor's address and shape from Python costs as much as the arithmetic.

#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <vector>

#include "dispatch.hpp"
#include "stack.hpp"

namespace statewise {

// What is called of torch, and what there tells that a call is no plain one.
struct Torch {
  nanobind::object tensor;       // the class
  nanobind::object exchange;     // torch.Tensor.__dlpack_c_exchange_api__, a capsule
  nanobind::object empty_like;   // torch.empty_like
  nanobind::object new_empty;    // torch.Tensor.new_empty
  nanobind::object is_neg;       // torch.Tensor.is_neg
  nanobind::object get_threads;  // torch.get_num_threads
  nanobind::tuple modes;         // functions: where one answers with anything true, Python decides
  nanobind::dict forward_ad;     // of the module torch.autograd.forward_ad, for its _current_level
};

// Used for all calls from then on; false, and without effect, if it isn't the capsule or the version known here.
bool connect(Torch torch);

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
