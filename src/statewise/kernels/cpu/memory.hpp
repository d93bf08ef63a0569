// Memory for what a call computes with.

#pragma once

#include <cstdint>

namespace statewise {

// At least `bytes` of 64-byte aligned memory that belongs to the calling thread until it asks again under the same
// slot; kept from call to call, because fresh memory costs a page fault every 4 KB.
void* scratch(int slot, int64_t bytes);
enum { kSharedScratch, kTaskScratch, kScratchSlots };

// Asks the system for large pages behind fresh memory of the caller's, if it is long: 84 MB otherwise cost 20,000 page
// faults, 35 ms. Memory that is only borrowed from an allocator's heap is left as it is.
void prefer_large_pages(void* p, int64_t bytes);

}  // namespace statewise
