// Memory for what a call computes with, and for what stays from call to call.

#pragma once

#include <cstdint>
#include <memory>

namespace statewise {

struct FreeMemory {
  void operator()(void* memory) const;
};
using Memory = std::unique_ptr<void, FreeMemory>;

// Memory of whole cache lines. Throws std::bad_alloc.
Memory line_memory(int64_t bytes);

// The same for what is read again and again: where it is large, of whole huge pages, where the system has them, for
// processors fetch ahead within a page alone (LSTM of H = 512, one step of one row: 119 -> 108 us).
Memory lasting_memory(int64_t bytes);

// 64-byte aligned memory of the calling thread for as long as this lives; one at a time of each use. A block is kept
// from call to call, because fresh memory costs a page fault every 4 KB; one of more than kKeptBytes goes back to the
// system.
class Scratch {
 public:
  static constexpr int64_t kKeptBytes = 32 << 20;
  enum Use { kKernels, kConversion, kUses };
  explicit Scratch(int64_t bytes, Use use = kKernels);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  char* data() const { return data_; }

 private:
  char* data_;
  Use use_;
};

// Asks the system for large pages behind fresh memory of the caller's, if it is long: 84 MB otherwise cost 20,000 page
// faults, 35 ms. Memory that is only borrowed from an allocator's heap is left as it is.
void prefer_large_pages(void* p, int64_t bytes);

}  // namespace statewise
