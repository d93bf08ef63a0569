// Tasks that one thread owns each, helped by the threads that own none: helpers.hpp from the side of the threads.

#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "helpers.hpp"

namespace statewise {

// Tasks 0 .. count - 1, begun in this order. If they are owned, each has helpers: the threads for which no task is
// left, and those that wait; and a task may wait for what an earlier one publishes.
struct Phase {
  int64_t count;
  bool owned;
  std::function<void(int64_t task, int64_t thread, Helpers* helpers)>
      work;  // helpers: null if not owned; must not throw
};

// One phase after the other, on up to `threads` threads, which `thread` counts from 0.
void run_phases(int threads, const std::vector<Phase>& phases);

}  // namespace statewise
