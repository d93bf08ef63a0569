#include "memory.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <memory>
#include <new>

namespace statewise {

namespace {

struct Block {
  std::unique_ptr<void, decltype(&std::free)> memory{nullptr, std::free};
  int64_t size = 0;
};
thread_local Block blocks[Scratch::kUses];

}  // namespace

Scratch::Scratch(int64_t bytes, Use use) : use_(use) {
  Block& block = blocks[use];
  if (block.size < bytes) {
    block = Block();
    const int64_t rounded = (bytes + 63) / 64 * 64;
    block.memory.reset(std::aligned_alloc(64, size_t(rounded)));
    if (!block.memory) throw std::bad_alloc();
    block.size = rounded;
    prefer_large_pages(block.memory.get(), rounded);
  }
  data_ = static_cast<char*>(block.memory.get());
}

Scratch::~Scratch() {
  if (blocks[use_].size > kKeptBytes) blocks[use_] = Block();
}

void prefer_large_pages(void* p, int64_t bytes) {
#if defined(__linux__)
  constexpr int64_t page = 2 << 20;
  constexpr int64_t always_mapped = 32 << 20;  // GNU's malloc takes larger blocks than this from no heap
  if (bytes < always_mapped) return;
  const int64_t begin = (reinterpret_cast<int64_t>(p) + page - 1) / page * page,
                end = (reinterpret_cast<int64_t>(p) + bytes) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), size_t(end - begin), MADV_HUGEPAGE);
#else
  (void)p, (void)bytes;
#endif
}

}  // namespace statewise
