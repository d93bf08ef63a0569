// parallel and run_phases: every task once, whatever becomes of the threads.

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#if defined(__GLIBC__)
#include <pthread.h>
#endif

#include "check.hpp"
#include "owners.hpp"
#include "threads.hpp"

namespace {

long long checked = 0;

void check_each_task_runs_once(int threads, int64_t count) {
  std::vector<std::atomic<int>> runs(static_cast<size_t>(count));
  statewise::parallel(threads, count, [&](int64_t i) { ++runs[size_t(i)]; });
  for (const auto& n : runs) CHECK(n == 1, "%d threads, %d tasks: one ran %d times", threads, int(count), int(n));
  checked += count;
}

// A thread each for the owned tasks, as far as there are threads; each waits for what the one before it publishes. The
// phases before and after them see all or nothing of what they do.
void check_owners_follow(int threads, int64_t tasks) {
  std::vector<int64_t> progress(size_t(tasks), 0);
  std::atomic<int64_t> before{0}, pieces{0}, after{0}, early{0};
  const auto count = [&](int64_t) { ++pieces; };
  const auto owned = [&](int64_t i, int64_t thread, statewise::Helpers* helpers) {
    early += before != 7 || thread < 0 || thread >= threads;
    for (int64_t step = 1; step <= 100; ++step) {
      if (i > 0) statewise::wait_for(*helpers, &progress[size_t(i - 1)], step);
      const auto run = [](const void* work, int64_t piece) { (*static_cast<const decltype(count)*>(work))(piece); };
      statewise::finish(*helpers, statewise::hand_out(*helpers, run, &count, 3));
      statewise::publish(*helpers, &progress[size_t(i)], step);
    }
  };
  statewise::run_phases(threads, {{7, false, [&](int64_t, int64_t, statewise::Helpers*) { ++before; }},
                                  {tasks, true, owned},
                                  {7, false, [&](int64_t, int64_t, statewise::Helpers*) {
                                     early += pieces != 300 * tasks;
                                     ++after;
                                   }}});
  CHECK(pieces == 300 * tasks, "%d threads, %d tasks: %d pieces", threads, int(tasks), int(pieces));
  CHECK(after == 7 && early == 0, "%d threads: %d after, %d too early", threads, int(after), int(early));
  for (const int64_t steps : progress) CHECK(steps == 100, "%d steps", int(steps));
  checked += 2 + tasks;
}

void check_exceptions_reach_the_caller(int threads) {
  bool caught = false;
  try {
    statewise::parallel(threads, 50, [](int64_t i) {
      if (i == 20) throw std::runtime_error("twenty");
    });
  } catch (const std::runtime_error& e) {
    caught = std::strcmp(e.what(), "twenty") == 0;
  }
  CHECK(caught, "%d threads", threads);
  ++checked;
}

void check_all() {
  for (const int threads : {1, 2, 5}) {
    for (const int64_t count : {0, 1, 4, 1000}) check_each_task_runs_once(threads, count);
    for (const int64_t tasks : {1, 3}) check_owners_follow(threads, tasks);
    check_exceptions_reach_the_caller(threads);
  }
}

#if defined(__GLIBC__)
// From here on no thread can be started: no memory holds a stack of this size.
void exhaust_threads() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size_t{1} << 47);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
  bool failed = false;
  try {
    std::thread([] {}).join();
  } catch (const std::system_error&) {
    failed = true;
  }
  CHECK(failed, "a thread was started all the same");
  ++checked;
}
#endif

}  // namespace

int main() {
  CHECK(statewise::thread_runtime() == "threads", "%s", statewise::thread_runtime().c_str());
  check_all();
#if defined(__GLIBC__)
  exhaust_threads();
  check_all();
#endif
  return verdict(checked);
}
