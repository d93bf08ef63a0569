#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace statewise {

#define STATEWISE_COPY(name)                   \
  namespace name {                             \
  extern const InstructionSet instruction_set; \
  }
#if defined(STATEWISE_HAS_baseline)
STATEWISE_COPY(baseline)
#endif
#if defined(STATEWISE_HAS_avx2)
STATEWISE_COPY(avx2)
#endif
#if defined(STATEWISE_HAS_avx512)
STATEWISE_COPY(avx512)
#endif
#if defined(STATEWISE_HAS_avx512bf16)
STATEWISE_COPY(avx512bf16)
#endif
#if defined(STATEWISE_HAS_neon)
STATEWISE_COPY(neon)
#endif
#undef STATEWISE_COPY

std::vector<const InstructionSet*> instruction_sets() {
  std::vector<const InstructionSet*> sets;
#if defined(STATEWISE_HAS_baseline)
  sets.push_back(&baseline::instruction_set);
#endif
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
#if defined(STATEWISE_HAS_avx2)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&avx2::instruction_set);
#endif
#if defined(STATEWISE_HAS_avx512)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    sets.push_back(&avx512::instruction_set);
#endif
#if defined(STATEWISE_HAS_neon)
  sets.push_back(&neon::instruction_set);
#endif
  if (sets.empty()) throw std::runtime_error("statewise was compiled for instruction sets that this machine lacks");
  return sets;
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

const InstructionSet* bfloat16_set() {
#if defined(STATEWISE_HAS_avx512) && defined(STATEWISE_HAS_avx512bf16)
  static const bool supported = __builtin_cpu_supports("avx512bf16");
  if (supported && &instruction_set() == &avx512::instruction_set) return &avx512bf16::instruction_set;
#endif
  return nullptr;
}

void use_instruction_set(const std::string& name) { in_use.store(find(name), std::memory_order_release); }

}  // namespace statewise
