// Running tasks on several threads: on torch's own OpenMP runtime where it is loaded, else on plain threads.

#pragma once

#include <cstdint>
#include <functional>

namespace statewise {

// Calls task(0) ... task(count - 1), each once, on up to `threads` threads, in no particular order; returns when all
// are done. In a child forked after the runtime had started its threads, on the calling thread alone: GNU's OpenMP
// hangs there.
void parallel(int threads, int64_t count, const std::function<void(int64_t)>& task);

// "libgomp" or "threads": what `parallel` uses.
const char* thread_runtime();

// At least `bytes` of 64-byte aligned memory that belongs to the calling thread until it asks again under the same
// slot; kept from call to call, because fresh memory costs a page fault every 4 KB.
void* scratch(int slot, int64_t bytes);
enum { kSharedScratch, kTaskScratch, kScratchSlots };

}  // namespace statewise
