// Tasks that one thread owns each, helped by the threads that own none: helpers.hpp from the side of the threads.

#pragma once

#include <cstdint>
#include <functional>

#include "helpers.hpp"

namespace statewise {

// Calls work(task, helpers) for 0 .. tasks - 1, in this order, on `threads` threads; a thread that finds no task left
// helps the owners of the others. A task may wait for what an earlier one publishes. `work` must not throw.
void run_owned(int threads, int64_t tasks, const std::function<void(int64_t, Helpers&)>& work);

}  // namespace statewise
