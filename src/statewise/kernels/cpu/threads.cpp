#include "threads.hpp"

#if !defined(_WIN32)
#include <dlfcn.h>
#endif
#if defined(__linux__)
#include <link.h>
#endif

#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "platform.hpp"

namespace statewise {
namespace {

// Known from when this is loaded, not from the first call: torch may use its threads before we do. Where we are loaded
// after the fork, nobody can tell whether it has.
std::atomic<bool> forked{[] {
  after_fork([] { forked = true; });
  return came_from_fork();
}()};

// Begins a parallel region: GNU's OpenMP has it, and LLVM's and Intel's for its sake.
using GompParallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
constexpr const char* kGompParallel = "GOMP_parallel";

// The one that torch's own calls are bound to, for two runtimes in one process fight over the cores: what is visible to
// the whole process, as torch's loader makes it or the user by LD_PRELOAD, else what torch's library brought with it.
void* find_gomp_parallel() {
  void* found = find_global_symbol(kGompParallel);
#if defined(__linux__)
  std::string torch;
  const auto look = [](dl_phdr_info* library, size_t, void* path) {
    if (!std::strstr(library->dlpi_name, "/libtorch_cpu.")) return 0;
    *static_cast<std::string*>(path) = library->dlpi_name;
    return 1;
  };
  if (!found && dl_iterate_phdr(look, &torch))
    if (void* const library = dlopen(torch.c_str(), RTLD_LAZY | RTLD_NOLOAD))
      found = find_symbol(library, kGompParallel);
#endif
  return found;
}

// Looked up until found, since torch may be imported after us.
GompParallel gomp_parallel() {
#if defined(__SANITIZE_THREAD__)
  return nullptr;  // ThreadSanitizer doesn't see GNU OpenMP's barriers
#else
  static std::atomic<GompParallel> found{nullptr};
  if (forked) return nullptr;
  GompParallel known = found.load(std::memory_order_acquire);
  if (!known) found.store(known = reinterpret_cast<GompParallel>(find_gomp_parallel()), std::memory_order_release);
  return known;
#endif
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

  void work_on(int threads) {
    std::vector<std::thread> others;
    try {
      others.reserve(size_t(threads - 1));
      for (int i = 1; i < threads; ++i) others.emplace_back([this] { work(); });
    } catch (const std::exception&) {  // the system gives no more: those there are do it all
    }
    work();
    for (std::thread& t : others) t.join();
  }
};

}  // namespace

void parallel(int threads, int64_t count, const std::function<void(int64_t)>& task) {
  const int useful = int(count < threads ? count : threads);
  if (useful <= 1) {
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  Region region(&task, count);
  if (const GompParallel run = gomp_parallel())
    run([](void* r) { static_cast<Region*>(r)->work(); }, &region, unsigned(useful), 0);
  else
    region.work_on(useful);
  if (region.error) std::rethrow_exception(region.error);
}

std::string thread_runtime() {
#if defined(_WIN32)
  return "threads";
#else
  Dl_info library;
  const GompParallel run = gomp_parallel();
  if (!run || !dladdr(reinterpret_cast<void*>(run), &library)) return "threads";
  const std::string path = library.dli_fname, name = path.substr(path.rfind('/') + 1);
  return name.substr(0, name.find_first_of(".-"));
#endif
}

}  // namespace statewise
