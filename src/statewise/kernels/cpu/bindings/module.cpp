// The Python module. Tensors come as addresses: whoever calls has checked them and keeps them alive. Where they come as
// tensors is frozen.cpp and eager.cpp.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <new>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "dispatch.hpp"
#include "dlpack.hpp"
#include "eager.hpp"
#include "finalize.hpp"
#include "frozen.hpp"
#include "stack.hpp"
#include "threads.hpp"

namespace nb = nanobind;

namespace {

using Address = uint64_t;
using Rows = std::tuple<Address, int64_t, int64_t>;  // address, step, row

void* pointer(Address a) { return reinterpret_cast<void*>(a); }

std::vector<void*> pointers(const std::vector<Address>& addresses) {
  std::vector<void*> all;
  all.reserve(addresses.size());
  for (const Address a : addresses) all.push_back(pointer(a));
  return all;
}

statewise::Strided strided(const Rows& r) { return {pointer(std::get<0>(r)), std::get<1>(r), std::get<2>(r)}; }

// (cell, is double, threads, T, N, I, H, projection, L, D, bias, checkpoint)
using Shape = std::tuple<int, bool, int, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool, int64_t>;

statewise::Call shaped(const Shape& s, Address lengths, Address batch_sizes) {
  statewise::Call call;
  std::tie(call.cell, call.float64, call.threads, call.T, call.N, call.I, call.H, call.projected, call.L, call.D,
           call.bias, call.checkpoint) = s;
  call.lengths = static_cast<const int64_t*>(pointer(lengths));
  call.batch_sizes = static_cast<const int64_t*>(pointer(batch_sizes));
  return call;
}

int traverse_frozen(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<statewise::Frozen>(self)->traverse(visit, arg) : 0;
}

int clear_frozen(PyObject* self) {
  if (nb::inst_ready(self)) nb::inst_ptr<statewise::Frozen>(self)->clear();
  return 0;
}

PyType_Slot frozen_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(traverse_frozen)},
                              {Py_tp_clear, reinterpret_cast<void*>(clear_frozen)},
                              {0, nullptr}};

void add_exchange(nb::module_& m) {
  m.def("connect", [](nb::object tensor, nb::object parameter, nb::object exchange, nb::object empty_like,
                      nb::object new_empty, nb::object bytes, nb::object is_neg, nb::object get_threads,
                      nb::object grad_enabled, nb::tuple modes, nb::dict forward_ad) {
    return statewise::connect({std::move(tensor), std::move(parameter), std::move(exchange), std::move(empty_like),
                               std::move(new_empty), std::move(bytes), std::move(is_neg), std::move(get_threads),
                               std::move(grad_enabled), std::move(modes), std::move(forward_ad)});
  });
  m.def("disconnect", &statewise::disconnect);
  m.def(
      "forward_tensors",
      [](const Shape& shape, nb::handle x, nb::handle hx, nb::list weights) {
        return statewise::forward_tensors(shaped(shape, 0, 0), x, hx, std::move(weights));
      },
      nb::arg("shape"), nb::arg("x").none(), nb::arg("hx").none(), nb::arg("weights"));
  m.def("backward_tensors", [](const Shape& shape, nb::tuple kept, int states, nb::tuple incoming, nb::tuple needs) {
    return statewise::backward_tensors(shaped(shape, 0, 0), std::move(kept), states, std::move(incoming),
                                       std::move(needs));
  });
  m.def("nanoseconds_in_kernels", &statewise::nanoseconds_in_kernels);
}

void add_frozen(nb::module_& m) {
  using statewise::Frozen;
  nb::class_<Frozen>(m, "Frozen", nb::type_slots(frozen_slots))
      .def("__init__",
           [](Frozen* self, const Shape& shape, const std::vector<Address>& weights, bool batch_first, bool cell) {
             statewise::Call call = shaped(shape, 0, 0);
             call.weights = pointers(weights);
             new (self) Frozen(call, cell ? Frozen::kCell : batch_first ? Frozen::kBatchFirst : Frozen::kTimeFirst);
           })
      .def("watch", &Frozen::watch)
      .def("__call__", &Frozen::operator(), nb::arg("x").none(), nb::arg("hx").none())
      .def_prop_ro("instruction_set", &Frozen::instruction_set)
      .def_prop_ro("packed", [](const Frozen& f) { return reinterpret_cast<Address>(f.packed()); });
}

}  // namespace

NB_MODULE(_kernels, m) {
  m.doc() = "statewise's kernels. Private: statewise.ops is the interface.";
  statewise::outlive_interpreter();

  m.def("cells", [] {
    nb::list names;
    const statewise::InstructionSet& set = statewise::instruction_set();
    for (int i = 0; i < set.count; ++i) names.append(set.cells[i].name);
    return names;
  });
  m.def("instruction_set", [] { return std::string(statewise::instruction_set().name); });
  m.def("instruction_sets", [] {
    nb::list names;
    for (const statewise::InstructionSet* set : statewise::instruction_sets()) names.append(set->name);
    return names;
  });
  m.def("use_instruction_set", &statewise::use_instruction_set, nb::arg("name"));
  m.def("thread_runtime", &statewise::thread_runtime);

  m.def("tape_bytes", [](const Shape& shape, bool masked) {
    statewise::Call call = shaped(shape, 0, 0);
    if (masked) call.masks.resize(size_t(call.L - 1));
    const statewise::TapeBytes bytes = statewise::tape_bytes(call);
    return std::make_tuple(bytes.a_step, bytes.a_row, bytes.a_kept, bytes.always);
  });

  m.def("packed_bytes", [](const Shape& shape) { return statewise::packed_bytes(shaped(shape, 0, 0)); });

  m.def("pack", [](const Shape& shape, const std::vector<Address>& weights, Address to) {
    statewise::Call call = shaped(shape, 0, 0);
    call.weights = pointers(weights);
    const statewise::InterpreterReleased released;
    statewise::pack(call, pointer(to));
  });

  m.def("forward", [](const Shape& shape, Address lengths, Address batch_sizes, const std::vector<Address>& weights,
                      const std::vector<Address>& masks, Rows x, Rows y, Address tape, Address h0, Address c0,
                      Address hn, Address cn) {
    statewise::Call call = shaped(shape, lengths, batch_sizes);
    call.weights = pointers(weights);
    call.masks = pointers(masks);
    call.x = strided(x);
    call.y = strided(y);
    call.training = tape != 0;
    call.tape = pointer(tape);
    call.h0 = pointer(h0), call.c0 = pointer(c0), call.hn = pointer(hn), call.cn = pointer(cn);
    const statewise::InterpreterReleased released;
    statewise::forward(call);
  });

  // Without a tape, from weights that pack() has packed.
  m.def("forward_packed", [](const Shape& shape, Address lengths, Address batch_sizes, Address packed, Rows x, Rows y,
                             Address h0, Address c0, Address hn, Address cn) {
    statewise::Call call = shaped(shape, lengths, batch_sizes);
    call.packed = pointer(packed);
    call.x = strided(x);
    call.y = strided(y);
    call.h0 = pointer(h0), call.c0 = pointer(c0), call.hn = pointer(hn), call.cn = pointer(cn);
    const statewise::InterpreterReleased released;
    statewise::forward(call);
  });

  m.def("backward",
        [](const Shape& shape, Address lengths, Address batch_sizes, const std::vector<Address>& weights,
           const std::vector<Address>& masks, Rows x, Rows y, Address tape, Address h0, Address c0, Rows dx, Rows dy,
           Address dhn, Address dcn, Address dh0, Address dc0, const std::vector<Address>& weight_gradients) {
          statewise::Call call = shaped(shape, lengths, batch_sizes);
          call.weights = pointers(weights);
          call.masks = pointers(masks);
          call.x = strided(x);
          call.y = strided(y);
          call.training = true;
          call.tape = pointer(tape);
          call.h0 = pointer(h0), call.c0 = pointer(c0), call.dhn = pointer(dhn), call.dcn = pointer(dcn);
          call.dh0 = pointer(dh0), call.dc0 = pointer(dc0);
          call.dx = strided(dx);
          call.dy = strided(dy);
          call.weight_gradients = pointers(weight_gradients);
          const statewise::InterpreterReleased released;
          statewise::backward(call);
        });

  add_exchange(m);
  add_frozen(m);
}
