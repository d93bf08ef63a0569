// Calls whose tensors are bfloat16. The kernels compute in float, so what comes in is widened once before them, and
// what goes out is rounded once after them.

#pragma once

#include "stack.hpp"

namespace statewise {

// As forward and backward of stack.hpp, for a call with bfloat16 set. Throws std::invalid_argument where
// bfloat16_set() is null.
void forward_bfloat16(const Call& call);
void backward_bfloat16(const Call& call);

}  // namespace statewise
