// Which compiled copy of the kernels runs on this machine.

#pragma once

#include <string>
#include <vector>

#include "job.hpp"
#include "streams.hpp"

namespace statewise {

// Those that were compiled in and that this processor can run, slowest first.
std::vector<const InstructionSet*> instruction_sets();

// The one in use: STATEWISE_ISA's if it is set, else the fastest. Throws std::invalid_argument, naming those there are,
// if the variable names none of them.
const InstructionSet& instruction_set();

// What belongs to the one in use, if the processor multiplies bfloat16, or null: the products of its cells' kernels for
// float take their operands as bfloat16, and it has no others.
const InstructionSet* bfloat16_set();

// What streams compute with, of the same instruction set.
const StreamKernelsOfSet& stream_kernels(const InstructionSet& set);

// The kernels of the one in use for weights in eight bits; the processor may have instructions for their products.
const Kernels& int8_kernels();

// A cell's number, the same for all instruction sets: those that come with statewise first, then what was loaded. The
// latest of its name; -1 if there is none.
int cell_number(const std::string& name);

// How many there are.
int cell_count();

// What it is called.
const std::string& cell_name(int cell);

// An instruction set's copy of a cell; null, or std::invalid_argument, if it has none.
const Cell* find_cell(const InstructionSet& set, int cell);
const Cell& cell_of(const InstructionSet& set, int cell);

// Loads a cell that was compiled by itself (see cell.hpp), unless one with this key is there for its instruction set;
// its number. The key tells cells of a name apart. Throws std::invalid_argument for a file that isn't one.
int load_cell(const std::string& path, const std::string& key);

// Use the one so called from now on; throws std::invalid_argument likewise.
void use_instruction_set(const std::string& name);

}  // namespace statewise
