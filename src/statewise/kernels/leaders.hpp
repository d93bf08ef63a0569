// Tasks that are led by one thread each and helped by those that have none: crew.hpp from the side of the threads.

#pragma once

#include <cstdint>
#include <functional>

#include "crew.hpp"

namespace statewise {

// Calls lead(task, crew) for 0 .. tasks - 1, in this order, on `threads` threads; a thread that finds no task left
// helps the crews of those that have one. A task may wait for what an earlier one tells. `lead` must not throw.
void lead(int threads, int64_t tasks, const std::function<void(int64_t, Crew&)>& lead);

}  // namespace statewise
