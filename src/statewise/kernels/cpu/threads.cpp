#include "threads.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace statewise {
namespace {

using GompParallel = void (*)(void (*)(void*), void*, unsigned, unsigned);

std::atomic<bool> forked{false};

// torch's copy if torch is loaded: two OpenMP runtimes in one process fight over the cores. Looked up until found,
// since torch may be imported after us.
GompParallel gomp() {
  static std::atomic<GompParallel> found{nullptr};
  GompParallel known = found.load(std::memory_order_acquire);
  if (known) return known;
  static std::once_flag watch_forks;
  std::call_once(watch_forks, [] { pthread_atfork(nullptr, nullptr, [] { forked = true; }); });
  void* library = dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return nullptr;
  known = reinterpret_cast<GompParallel>(dlsym(library, "GOMP_parallel"));
  found.store(known, std::memory_order_release);
  return known;
}

struct Region {
  Region(const std::function<void(int64_t)>* t, int64_t n) : task(t), count(n) {}
  const std::function<void(int64_t)>* task;
  int64_t count;
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;

  void work() noexcept {
    try {
      for (int64_t i; (i = next.fetch_add(1)) < count;) (*task)(i);
    } catch (...) {  // an exception must not leave a thread: it is thrown again by the caller's
      next = count;
      const std::lock_guard<std::mutex> hold(mutex);
      if (!error) error = std::current_exception();
    }
  }
};

}  // namespace

void parallel(int threads, int64_t count, const std::function<void(int64_t)>& task) {
  const int useful = int(count < threads ? count : threads);
  const GompParallel run = gomp();
  if (useful <= 1 || forked) {
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  Region region(&task, count);
#if defined(__SANITIZE_THREAD__)
  constexpr bool by_gomp = false;  // ThreadSanitizer doesn't see GNU OpenMP's barriers
#else
  const bool by_gomp = run != nullptr;
#endif
  if (by_gomp) {
    run([](void* r) { static_cast<Region*>(r)->work(); }, &region, unsigned(useful), 0);
  } else {
    std::vector<std::thread> others;
    for (int i = 1; i < useful; ++i) others.emplace_back([&region] { region.work(); });
    region.work();
    for (std::thread& t : others) t.join();
  }
  if (region.error) std::rethrow_exception(region.error);
}

const char* thread_runtime() {
#if defined(__SANITIZE_THREAD__)
  return "threads";
#else
  return gomp() ? "libgomp" : "threads";
#endif
}

}  // namespace statewise
