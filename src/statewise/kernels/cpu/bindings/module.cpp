// The Python module: names and arguments; what they do is in the other files.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <new>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "dispatch.hpp"
#include "dlpack.hpp"
#include "eager.hpp"
#include "finalize.hpp"
#include "packed.hpp"
#include "program.hpp"
#include "stack.hpp"
#include "threads.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using statewise::Form;
using statewise::PackedStack;
using statewise::Program;
using statewise::Record;
using statewise::Stack;
using statewise::Stored;

// By its number, or by the name that a pickled Stack has.
int number_of(nb::handle cell) {
  int number = -1;
  if (nb::try_cast(cell, number)) {
    if (number < 0 || number >= statewise::cell_count()) throw std::invalid_argument("no cell has this number");
    return number;
  }
  const std::string name = nb::cast<std::string>(cell);
  number = statewise::cell_number(name);
  if (number < 0) throw std::invalid_argument("no kernel computes the cell '" + name + "'");
  return number;
}

void add_stack(nb::module_& m) {
  nb::class_<Stack>(m, "Stack")
      .def(
          "__init__",
          [](Stack* self, nb::handle cell, int64_t input_size, int64_t hidden_size, int64_t proj_size,
             int64_t num_layers, int64_t directions, bool bias, int64_t checkpoint, int64_t num_heads,
             const std::vector<double>& zoneout, double clip, double gradient_clip) {
            statewise::Call sizes;
            sizes.cell = number_of(cell);
            sizes.I = input_size, sizes.H = hidden_size, sizes.projected = proj_size;
            sizes.L = num_layers, sizes.D = directions, sizes.bias = bias, sizes.checkpoint = checkpoint;
            sizes.heads = num_heads, sizes.clip = clip, sizes.gradient_clip = gradient_clip;
            if (zoneout.size() > size_t(statewise::kMaxStates)) throw std::invalid_argument("too many states");
            for (size_t k = 0; k < zoneout.size(); ++k) sizes.state[k].zoneout = zoneout[k];
            new (self) Stack{sizes};
          },
          "cell"_a, "input_size"_a, "hidden_size"_a, "proj_size"_a, "num_layers"_a, "directions"_a, "bias"_a,
          "checkpoint"_a, "num_heads"_a = 1, "zoneout"_a = std::vector<double>(), "clip"_a = 0.0,
          "gradient_clip"_a = 0.0)
      .def("__reduce__",
           [](nb::handle self) {
             const statewise::Call& s = nb::inst_ptr<Stack>(self)->sizes;
             const std::string& cell = statewise::cell_name(s.cell);
             std::vector<double> zoneout;
             for (const auto& state : s.state) zoneout.push_back(state.zoneout);
             return nb::make_tuple(self.type(),
                                   nb::make_tuple(cell, s.I, s.H, s.projected, s.L, s.D, s.bias, s.checkpoint, s.heads,
                                                  zoneout, s.clip, s.gradient_clip));
           })
      .def_prop_ro("reads_output", [](const Stack& s) { return statewise::reads_output(s.sizes); })
      .def(
          "tape_bytes",
          [](const Stack& s, bool float64, bool masked) {
            statewise::Call call = s.sizes;
            call.float64 = float64;
            if (masked) call.masks.resize(size_t(call.L - 1));
            const statewise::TapeBytes bytes = statewise::tape_bytes(call);
            return std::make_tuple(bytes.a_step, bytes.a_row, bytes.a_kept, bytes.always);
          },
          "float64"_a, "masked"_a)
      .def(
          "forward",
          [](nb::handle self, Form form, nb::handle x, nb::handle hx, nb::list weights, nb::handle masks,
             nb::handle rows, bool bfloat16_products, nb::handle extras) {
            return statewise::forward_tensors(self, form, x, hx, std::move(weights), masks, rows, bfloat16_products,
                                              extras);
          },
          "form"_a, "x"_a.none(), "hx"_a.none(), "weights"_a, "masks"_a.none(), "rows"_a.none(),
          "bfloat16_products"_a = false, "extras"_a.none() = nb::none())
      .def(
          "forward_below",
          [](nb::handle self, Form form, nb::handle x, nb::handle hx, nb::list weights, nb::handle masks,
             nb::handle rows, nb::handle tape) {
            return statewise::forward_below(self, form, x, hx, std::move(weights), masks, rows, tape);
          },
          "form"_a, "x"_a, "hx"_a.none(), "weights"_a, "masks"_a.none(), "rows"_a.none(), "tape"_a.none());

  nb::class_<Record>(m, "Record")
      .def(
          "__init__",
          [](Record* self, nb::object stack, Form form, int states, int outputs, int masks, int rows) {
            if (!nb::isinstance<Stack>(stack)) throw nb::type_error("stack is no Stack");
            const bool medium = statewise::bfloat16_set() && statewise::precision_is_medium();
            new (self) Record{std::move(stack), form, states, outputs, masks, rows, medium};
          },
          "stack"_a, "form"_a, "states"_a, "outputs"_a, "masks"_a, "rows"_a)
      .def_ro("form", &Record::form)
      .def_ro("states", &Record::states)
      .def_ro("outputs", &Record::outputs)
      .def_ro("masks", &Record::masks)
      .def_ro("rows", &Record::rows)
      .def("backward", &statewise::backward_tensors, "kept"_a, "incoming"_a, "needs"_a, "below"_a);
}

int traverse_packed(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<PackedStack>(self)->traverse(visit, arg) : 0;
}

int clear_packed(PyObject* self) {
  if (nb::inst_ready(self)) nb::inst_ptr<PackedStack>(self)->clear();
  return 0;
}

PyType_Slot packed_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(traverse_packed)},
                              {Py_tp_clear, reinterpret_cast<void*>(clear_packed)},
                              {0, nullptr}};

void add_packed(nb::module_& m) {
  nb::class_<PackedStack>(m, "PackedStack", nb::type_slots(packed_slots))
      .def(nb::init<nb::handle, Form, nb::list, nb::object, Stored>(), "stack"_a, "form"_a, "weights"_a, "memory"_a,
           "stored"_a = Stored::kNumbers)
      .def("watch", &PackedStack::watch, "hooks"_a, "owner"_a)
      .def_prop_ro("is_current", &PackedStack::is_current)
      .def("__call__", &PackedStack::operator(), "x"_a.none(), "hx"_a.none() = nb::none(), "rows"_a.none() = nb::none())
      .def("run", &PackedStack::run, "x"_a, "hx"_a.none(), "rows"_a.none());
}

void add_program(nb::module_& m) {
  nb::class_<Program>(m, "Program")
      .def(nb::init<const std::string&, nb::dict, nb::dict, int>(), "program"_a, "tensors"_a, "cells"_a,
           "threads"_a = 1)
      .def_prop_ro("is_current", &Program::is_current)
      .def_prop_ro("float64", &Program::float64)
      .def_prop_ro("whole", &Program::whole)
      .def_prop_ro("parts", &Program::parts)
      .def_prop_ro("results", &Program::results)
      .def("start", &Program::start, "rows"_a)
      .def("feed", &Program::feed, "x"_a, "state"_a.none(), "lengths"_a.none(), "wanted"_a)
      .def("step", &Program::step, "x"_a, "state"_a);
  m.def("op_names", &statewise::op_names);
  m.def("activation_names", &statewise::activation_names);
  m.attr("MOST_AROUND") = statewise::most_around();
  m.attr("NEVER") = statewise::never();
}

}  // namespace

NB_MODULE(_kernels, m) {
  m.doc() = "statewise's kernels. Private: statewise.ops is the interface.";
  statewise::outlive_interpreter();
  nb::set_leak_warnings(false);  // what a program still holds when it ends is no leak of ours

  m.def("cells", [] {
    nb::list names;
    const statewise::InstructionSet& set = statewise::instruction_set();
    for (int i = 0; i < *set.count; ++i) names.append(set.cells[i].shape.name);
    return names;
  });
  m.def("instruction_set", [] { return std::string(statewise::instruction_set().name); });
  m.def("instruction_sets", [] {
    nb::list names;
    for (const statewise::InstructionSet* set : statewise::instruction_sets()) names.append(set->name);
    return names;
  });
  m.def("computes_bfloat16", [] { return statewise::bfloat16_set() != nullptr; });
  m.def("load_cell", &statewise::load_cell, "path"_a, "key"_a);
  m.def("use_instruction_set", &statewise::use_instruction_set, "name"_a);
  m.def("thread_runtime", &statewise::thread_runtime);
  m.def("nanoseconds_in_kernels", &statewise::nanoseconds_in_kernels);

  m.def("connect",
        [](nb::object tensor, nb::object parameter, nb::object exchange, nb::object empty_like, nb::object new_empty,
           nb::object bytes, nb::object is_neg, nb::object get_threads, nb::object get_precision,
           nb::object grad_enabled, nb::object autocast, nb::tuple modes, nb::dict forward_ad) {
          return statewise::connect({std::move(tensor), std::move(parameter), std::move(exchange),
                                     std::move(empty_like), std::move(new_empty), std::move(bytes), std::move(is_neg),
                                     std::move(get_threads), std::move(get_precision), std::move(grad_enabled),
                                     std::move(autocast), std::move(modes), std::move(forward_ad)});
        });
  m.def("disconnect", &statewise::disconnect);

  nb::enum_<Form>(m, "Form")
      .value("TIME_FIRST", Form::kTimeFirst)
      .value("BATCH_FIRST", Form::kBatchFirst)
      .value("STEP", Form::kStep);
  nb::enum_<Stored>(m, "Stored")
      .value("NUMBERS", Stored::kNumbers)
      .value("BFLOAT16", Stored::kBfloat16)
      .value("INT8", Stored::kInt8);
  add_stack(m);
  add_packed(m);
  add_program(m);
}
