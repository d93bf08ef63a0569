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

// Of the one in use, a cell's kernels for float whose products take their operands as bfloat16; null if it has none.
const Kernels* bfloat16_kernels(int cell);

// Use the one so called from now on; throws std::invalid_argument likewise.
void use_instruction_set(const std::string& name);

}  // namespace statewise
