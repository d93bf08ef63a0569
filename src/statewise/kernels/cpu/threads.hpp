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

}  // namespace statewise
