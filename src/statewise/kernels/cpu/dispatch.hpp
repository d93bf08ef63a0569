// Which compiled copy of the kernels runs on this machine.

#pragma once

#include <string>
#include <vector>

#include "job.hpp"

namespace statewise {

// Those that were compiled in and that this processor can run, slowest first.
std::vector<const InstructionSet*> instruction_sets();

// The one in use: STATEWISE_ISA's if it is set, else the fastest. Throws std::invalid_argument, naming those there are,
// if the variable names none of them.
const InstructionSet& instruction_set();

// What belongs to the one in use, if the processor multiplies bfloat16, or null: the products of its cells' kernels for
// float take their operands as bfloat16, and it has no others.
const InstructionSet* bfloat16_set();

// Use the one so called from now on; throws std::invalid_argument likewise.
void use_instruction_set(const std::string& name);

}  // namespace statewise
