#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <stdexcept>

#include "platform.hpp"

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
#if defined(STATEWISE_HAS_avx512vnni)
STATEWISE_COPY(avx512vnni)
#endif
#if defined(STATEWISE_HAS_neon)
STATEWISE_COPY(neon)
#endif
#undef STATEWISE_COPY

#define STATEWISE_COPY(name)                      \
  namespace name {                                \
  extern const StreamKernelsOfSet stream_kernels; \
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
#if defined(STATEWISE_HAS_neon)
STATEWISE_COPY(neon)
#endif
#undef STATEWISE_COPY

const StreamKernelsOfSet& stream_kernels([[maybe_unused]] const InstructionSet& set) {
#if defined(STATEWISE_HAS_avx2)
  if (&set == &avx2::instruction_set) return avx2::stream_kernels;
#endif
#if defined(STATEWISE_HAS_avx512)
  if (&set == &avx512::instruction_set) return avx512::stream_kernels;
#endif
#if defined(STATEWISE_HAS_neon)
  if (&set == &neon::instruction_set) return neon::stream_kernels;
#endif
#if defined(STATEWISE_HAS_baseline)
  return baseline::stream_kernels;
#else
  throw std::invalid_argument("no kernels of streams for the instruction set");
#endif
}

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

// The cells that were loaded: of each a copy for each of the instruction sets, as instruction_sets() has them.
struct Loaded {
  std::string key, name;
  std::atomic<const Cell*> copies[8]{};
};
std::mutex loading;

std::deque<Loaded>& loaded() {
  static std::deque<Loaded> all;  // grows at its end, which moves none of those before
  return all;
}

int built_in() { return *instruction_sets().front()->count; }

size_t place_of(const InstructionSet& set) {
  const auto sets = instruction_sets();
  for (size_t i = 0; i < sets.size(); ++i)
    if (sets[i] == &set) return i;
  return sets.size();
}

}  // namespace

int cell_number(const std::string& name) {
  const std::lock_guard lock(loading);
  for (int i = int(loaded().size()) - 1; i >= 0; --i)
    if (loaded()[size_t(i)].name == name) return built_in() + i;
  for (int i = 0; i < built_in(); ++i)
    if (name == instruction_sets().front()->cells[i].shape.name) return i;
  return -1;
}

int cell_count() {
  const std::lock_guard lock(loading);
  return built_in() + int(loaded().size());
}

const std::string& cell_name(int cell) {
  static const std::vector<std::string> own = [] {
    std::vector<std::string> names;
    for (int i = 0; i < built_in(); ++i) names.push_back(instruction_sets().front()->cells[i].shape.name);
    return names;
  }();
  const std::lock_guard lock(loading);
  return cell < built_in() ? own[size_t(cell)] : loaded()[size_t(cell - built_in())].name;
}

const Cell* find_cell(const InstructionSet& set, int cell) {
  if (cell < *set.count) return &set.cells[cell];
  const size_t place = place_of(set);
  if (place >= 8) return nullptr;
  const std::lock_guard lock(loading);
  return loaded()[size_t(cell - *set.count)].copies[place];
}

const Cell& cell_of(const InstructionSet& set, int cell) {
  const Cell* const found = find_cell(set, cell);
  if (!found)
    throw std::invalid_argument("cell '" + cell_name(cell) + "' was not compiled for the instruction set " + set.name);
  return *found;
}

int load_cell(const std::string& path, const std::string& key) {
  void* const library = open_library(path);
  const auto symbol = reinterpret_cast<const CompiledCell* (*)()>(find_symbol(library, "statewise_cell"));
  const CompiledCell* const found = symbol ? symbol() : nullptr;
  if (!found || found->version != kCellVersion)
    throw std::invalid_argument(path + ": Expected a cell for this version of the kernels");
  const InstructionSet* const set = find(found->instruction_set);
  const std::lock_guard lock(loading);
  auto& all = loaded();
  size_t i = 0;
  while (i < all.size() && all[i].key != key) ++i;
  if (i == all.size()) {
    all.emplace_back();
    all[i].key = key;
    all[i].name = found->cell->shape.name;
  }
  all[i].copies[place_of(*set)] = found->cell;
  return built_in() + int(i);
}

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

const Kernels& int8_kernels() {
#if defined(STATEWISE_HAS_avx512) && defined(STATEWISE_HAS_avx512vnni)
  static const bool supported = __builtin_cpu_supports("avx512vnni");
  if (supported && &instruction_set() == &avx512::instruction_set) return avx512vnni::instruction_set.int8_weights;
#endif
  return instruction_set().int8_weights;
}

void use_instruction_set(const std::string& name) { in_use.store(find(name), std::memory_order_release); }

}  // namespace statewise
