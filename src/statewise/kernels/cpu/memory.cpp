#include "memory.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <new>

#if defined(_WIN32)
#include <malloc.h>
#endif

namespace statewise {

namespace {

constexpr int64_t kLine = 64, kHuge = 2 << 20;

Memory memory_of(int64_t unit, int64_t bytes) {
  const int64_t whole = (bytes + unit - 1) / unit * unit;
#if defined(_WIN32)
  Memory memory(_aligned_malloc(size_t(whole), size_t(unit)));
#else
  Memory memory(std::aligned_alloc(size_t(unit), size_t(whole)));
#endif
  if (!memory) throw std::bad_alloc();
  return memory;
}

struct Block {
  Memory memory;
  int64_t size = 0;
};
thread_local Block blocks[Scratch::kUses];

}  // namespace

void FreeMemory::operator()(void* memory) const {
#if defined(_WIN32)
  _aligned_free(memory);
#else
  std::free(memory);
#endif
}

Memory line_memory(int64_t bytes) { return memory_of(kLine, bytes); }

Memory lasting_memory(int64_t bytes) {
  constexpr int64_t kLarge = 256 << 10;
  if (bytes < kLarge) return line_memory(bytes);
  Memory memory = memory_of(kHuge, bytes);
#if defined(__linux__)
  madvise(memory.get(), size_t((bytes + kHuge - 1) / kHuge * kHuge), MADV_HUGEPAGE);
#endif
  return memory;
}

Scratch::Scratch(int64_t bytes, Use use) : use_(use) {
  Block& block = blocks[use];
  if (block.size < bytes) {
    block = Block();
    block.memory = line_memory(bytes);
    block.size = bytes;
    prefer_large_pages(block.memory.get(), bytes);
  }
  data_ = static_cast<char*>(block.memory.get());
}

Scratch::~Scratch() {
  if (blocks[use_].size > kKeptBytes) blocks[use_] = Block();
}

void prefer_large_pages(void* p, int64_t bytes) {
#if defined(__linux__)
  constexpr int64_t kAlwaysMapped = 32 << 20;  // GNU's malloc takes larger blocks than this from no heap
  if (bytes < kAlwaysMapped) return;
  const int64_t begin = (reinterpret_cast<int64_t>(p) + kHuge - 1) / kHuge * kHuge,
                end = (reinterpret_cast<int64_t>(p) + bytes) / kHuge * kHuge;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), size_t(end - begin), MADV_HUGEPAGE);
#else
  (void)p, (void)bytes;
#endif
}

}  // namespace statewise
