// A call of a stack with torch's tensors, and its backward. What a small call spends in Python to check its tensors,
// read their addresses and make the results takes as long as the kernels.

#pragma once

#include <nanobind/nanobind.h>

#include "operands.hpp"

namespace statewise {

// What of a layer or a cell is no tensor.
struct Stack {
  Call sizes;  // all but T, N, the dtype and the tensors
};

// How a call was made whose backward is still to come: how many of the tensors kept for it are what.
struct Record {
  nanobind::object stack;
  Form form;
  int states = 0, outputs = 0, masks = 0, rows = 0;
  bool bfloat16_products = false;
  nanobind::object extras = nanobind::none();  // see Operands::read_extras
};

// None, and nothing has happened, if the call is not for the kernels, because of what it is given or because torch
// wants to see what happens (a mode, a transform, tracing); else (results, extra, record). The results are the output,
// but for a cell, and the final states. If a gradient is asked of a tensor, extra are the tensors that backward needs
// beside x, the states and the weights; else extra and record are None.
//
// masks: None, a list, or a function that draws them: it is called with x and the sizes of a mask but the last. rows:
// see Operands::read_input. extras: see Operands::read_extras; with all states these come after the final ones, each
// (L*D*T, N, .) or (L*D*S, .). bfloat16_products: see Call; they are allowed too where torch's precision is medium.
nanobind::object forward_tensors(nanobind::handle stack, Form form, nanobind::handle x, nanobind::handle hx,
                                 nanobind::list weights, nanobind::handle masks, nanobind::handle rows,
                                 bool bfloat16_products, nanobind::handle extras);

// The results alone, of a call that comes from below all that; with what backward needs in `tape`, unless that is None.
nanobind::object forward_below(nanobind::handle stack, Form form, nanobind::handle x, nanobind::handle hx,
                               nanobind::list weights, nanobind::handle masks, nanobind::handle rows,
                               nanobind::handle tape);

// (None, gradient of x, of each state, of each weight), None where `needs`, of that order, says so; or None, as above.
// `kept` is x, the states, the weights and `extra`; `incoming` are the gradients of the results, None for zeros. below:
// whether the call comes from below all that torch may want to see.
nanobind::object backward_tensors(const Record& record, nanobind::tuple kept, nanobind::tuple incoming,
                                  nanobind::tuple needs, bool below);

// How long the kernels have run in all of these calls.
int64_t nanoseconds_in_kernels();

// New tensors for the output and the final states, in a tuple; and a kernel on what has been read.
nanobind::object make_results(Operands& operands, nanobind::handle x);
void run(Operands& operands, void (*kernel)(const Call&));      // on as many threads as torch
void compute(Operands& operands, void (*kernel)(const Call&));  // on the call's

}  // namespace statewise
