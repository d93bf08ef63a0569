// Training, called with torch's tensors instead of their addresses: what a small call spends in Python to check its
// tensors, read their addresses and make the results takes as long as the kernels. Nothing is kept from call to call.

#pragma once

#include <nanobind/nanobind.h>

#include "stack.hpp"

namespace statewise {

// Whatever these find not plain, or not right in its shape or dtype, they leave to Python: then they return None, and
// nothing has happened. Of `call` the sizes but T, N and the dtype are read.

// (results, tape): the results are the output and the final states; the tape is None unless a gradient is asked of x,
// a state or a weight. x is (T, N, I); hx as the layers get it; no masks, no lengths.
nanobind::object forward_tensors(Call call, nanobind::handle x, nanobind::handle hx, nanobind::list weights);

// (None, gradient of x, of each state, of each weight), None where `needs`, of that order, says so. `kept` is x, the
// states, the weights, the output, the tape; `incoming` are the gradients of the results, None for zeros.
nanobind::object backward_tensors(Call call, nanobind::tuple kept, int states, nanobind::tuple incoming,
                                  nanobind::tuple needs);

// How long the kernels have run within those two, in all.
int64_t nanoseconds_in_kernels();

}  // namespace statewise
