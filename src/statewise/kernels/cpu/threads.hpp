// Running tasks on several threads: on torch's own OpenMP runtime where it is loaded, else on plain threads.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace statewise {

// Calls task(0) ... task(count - 1), each once, on up to `threads` threads, in no particular order; returns when all
// are done. Fewer threads, down to the caller's alone, do it where no more can be started.
void parallel(int threads, int64_t count, const std::function<void(int64_t)>& task);

// What `parallel` uses: an OpenMP runtime by its name, as "libgomp", or "threads". In a forked process it is threads:
// GNU's OpenMP hangs there if it was used before the fork.
std::string thread_runtime();

}  // namespace statewise
