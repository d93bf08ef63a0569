#include "packed.hpp"

#include <stdexcept>
#include <utility>

#include "python.hpp"

namespace nb = nanobind;

namespace statewise {

namespace {

Call kept_in(Call call, Stored stored) {
  call.stored = stored;
  return call;
}

}  // namespace

Pack::Pack(Operands& operands, Stored stored)
    : call(kept_in(operands.call(), stored)),
      set(&statewise::instruction_set()),
      memory(lasting_memory(packed_bytes(call))) {
  pack(call, memory.get());
  call.weights.clear();
  call.packed = memory.get();
}

PackedStack::PackedStack(nb::handle stack, Form form, nb::list weights, nb::object memory, Stored stored)
    : form_(form),
      pack_(packed(stack, form, weights, memory, stored)),
      memory_(std::move(memory)),
      version_(version_of(memory_)) {}

Pack PackedStack::packed(nb::handle stack, Form form, const nb::list& weights, nb::handle memory, Stored stored) {
  if (!torch_is_known()) throw std::invalid_argument("torch isn't known");
  Operands operands(nb::inst_ptr<Stack>(stack)->sizes, form);
  const nb::object lent = held(weights);
  const auto weight = [&](int64_t i) { return item(lent, i); };
  if (!operands.read_dtype(memory) || operands.call().bfloat16 ||
      (operands.call().float64 && stored != Stored::kNumbers) || !operands.read_weights(size(lent), weight))
    throw std::invalid_argument("the kernels can't pack these weights");
  return Pack(operands, stored);
}

void PackedStack::watch(nb::tuple hooks, nb::dict owner) {
  weights_.clear();
  for (auto named : owner) weights_.push_back(nb::borrow(named.second));
  hooks_ = std::move(hooks);
  owner_ = std::move(owner);
}

bool PackedStack::is_current() const {
  return pack_.set == &statewise::instruction_set() && memory_.is_valid() && version_of(memory_) == version_;
}

bool PackedStack::undisturbed() const {
  if (!is_current() || !owner_.is_valid()) return false;
  for (Py_ssize_t i = 0; i < size(hooks_); ++i)
    if (PyDict_Size(item(hooks_, i).ptr()) != 0) return false;
  const nb::ft_object_guard alone(owner_);  // while it is gone through
  if (size_t(PyDict_Size(owner_.ptr())) != weights_.size()) return false;
  Py_ssize_t at = 0;
  size_t i = 0;
  PyObject *name, *weight;
  while (PyDict_Next(owner_.ptr(), &at, &name, &weight))
    if (weight != weights_[i++].ptr()) return false;
  return true;
}

nb::object PackedStack::operator()(nb::handle x, nb::handle hx, nb::handle rows) const {
  if (!undisturbed() || !torch_is_plain() || autocast_enabled()) return nb::none();
  Operands operands(pack_.call, form_);
  if (!read(operands, x, hx, rows) || requires_grad(x)) return nb::none();
  const int states = operands.states();
  for (int k = 0; k < states; ++k)
    if (operands.given(k).is_valid() && requires_grad(operands.given(k))) return nb::none();
  nb::object results = make_results(operands, x);
  statewise::run(operands, forward);
  const auto result = [&](int64_t i) { return nb::borrow(item(results, i)); };
  if (form_ == Form::kStep) return states == 1 ? result(0) : results;
  if (states == 1) return results;
  nb::object nested = new_tuple(2), final = new_tuple(states);
  for (int k = 0; k < states; ++k) put(final, k, result(1 + k));
  put(nested, 0, result(0));
  put(nested, 1, std::move(final));
  return nested;
}

nb::object PackedStack::run(nb::handle x, nb::handle hx, nb::handle rows) const {
  Operands operands(pack_.call, form_ == Form::kStep ? Form::kStep : Form::kTimeFirst);
  if (!read(operands, x, hx, rows)) return nb::none();
  nb::object results = make_results(operands, x);
  statewise::run(operands, forward);
  return results;
}

bool PackedStack::read(Operands& operands, nb::handle x, nb::handle hx, nb::handle rows) const {
  if (!operands.read_input(x, rows) || operands.call().float64 != pack_.call.float64 || operands.call().bfloat16)
    return false;
  // What is packed are numbers, and a layer that isn't frozen would compute with pairs.
  if (!pack_.call.float64 && pack_.call.stored == Stored::kNumbers && bfloat16_set() && precision_is_medium())
    return false;
  return operands.read_hx(hx);
}

int PackedStack::traverse(visitproc visit, void* arg) const {
  Py_VISIT(memory_.ptr());
  Py_VISIT(hooks_.ptr());
  Py_VISIT(owner_.ptr());
  for (const nb::object& weight : weights_) Py_VISIT(weight.ptr());
  return 0;
}

void PackedStack::clear() {
  memory_.reset();
  hooks_.reset();
  owner_.reset();
  weights_.clear();
}

}  // namespace statewise
