#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace statewise {

#if defined(__x86_64__)
namespace baseline {
extern const InstructionSet instruction_set;
}
namespace avx2 {
extern const InstructionSet instruction_set;
}
namespace avx512 {
extern const InstructionSet instruction_set;
}
#elif defined(__aarch64__)
namespace neon {
extern const InstructionSet instruction_set;
}
#else
namespace baseline {
extern const InstructionSet instruction_set;
}
#endif

std::vector<const InstructionSet*> instruction_sets() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  std::vector<const InstructionSet*> sets{&baseline::instruction_set};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    sets.push_back(&avx2::instruction_set);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw"))
      sets.push_back(&avx512::instruction_set);
  }
  return sets;
#elif defined(__aarch64__)
  return {&neon::instruction_set};
#else
  return {&baseline::instruction_set};
#endif
}

namespace {

const InstructionSet* find(const std::string& name) {
  std::string known;
  for (const InstructionSet* set : instruction_sets()) {
    if (name == set->name) return set;
    known += (known.empty() ? "" : ", ") + std::string(set->name);
  }
  throw std::invalid_argument("no instruction set '" + name + "' on this machine; it has " + known);
}

std::atomic<const InstructionSet*> in_use{nullptr};

}  // namespace

const InstructionSet& instruction_set() {
  const InstructionSet* set = in_use.load(std::memory_order_acquire);
  if (set) return *set;
  const char* forced = std::getenv("STATEWISE_ISA");
  try {
    set = forced && *forced ? find(forced) : instruction_sets().back();
  } catch (const std::invalid_argument& e) {
    throw std::invalid_argument(std::string("STATEWISE_ISA: ") + e.what());
  }
  in_use.store(set, std::memory_order_release);
  return *set;
}

void use_instruction_set(const std::string& name) { in_use.store(find(name), std::memory_order_release); }

}  // namespace statewise
