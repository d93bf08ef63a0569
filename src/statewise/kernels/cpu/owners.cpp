#include "owners.hpp"

#include <sched.h>

#include <atomic>
#include <memory>

#include "threads.hpp"

namespace statewise {
namespace {

constexpr int64_t kPatience = 4000;  // looks before the core is offered to others

// What a thread does that waits: it stays close, for what it waits for takes microseconds.
void idle(int64_t looks) {
  if (looks < kPatience) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  } else {
    sched_yield();
  }
}

}  // namespace

struct Helpers {
  struct Work {
    void (*run)(const void*, int64_t);
    const void* what;
    std::atomic<int64_t> pieces, done;
  };
  static constexpr int64_t kRing = 16;
  static constexpr int kPieceBits = 24;
  Work ring[kRing];
  std::atomic<int64_t> handed_out{0};
  std::atomic<int64_t> cursor{0};  // works finished, and in the low bits how many pieces of the next one are taken

  int64_t finished() const { return cursor.load(std::memory_order_acquire) >> kPieceBits; }

  // Does one piece of the oldest work; false if there is none to take.
  bool help() {
    int64_t at = cursor.load(std::memory_order_acquire);
    const int64_t n = at >> kPieceBits, piece = at & ((int64_t{1} << kPieceBits) - 1);
    if (n == handed_out.load(std::memory_order_acquire)) return false;
    Work& w = ring[n % kRing];
    if (piece >= w.pieces.load(std::memory_order_relaxed)) return false;
    if (!cursor.compare_exchange_strong(at, at + 1, std::memory_order_acq_rel)) return true;
    // Taken: this work can't be finished, nor its place in the ring reused, before we say so.
    w.run(w.what, piece);
    if (w.done.fetch_add(1, std::memory_order_acq_rel) + 1 == w.pieces.load(std::memory_order_relaxed))
      cursor.store((n + 1) << kPieceBits, std::memory_order_release);
    return true;
  }
};

int64_t hand_out(Helpers& helpers, void (*run)(const void*, int64_t), const void* work, int64_t pieces) {
  const int64_t n = helpers.handed_out.load(std::memory_order_relaxed);
  if (pieces == 0) return n;
  finish(helpers, n + 1 - Helpers::kRing);
  Helpers::Work& w = helpers.ring[n % Helpers::kRing];
  w.run = run;
  w.what = work;
  w.pieces.store(pieces, std::memory_order_relaxed);
  w.done.store(0, std::memory_order_relaxed);
  helpers.handed_out.store(n + 1, std::memory_order_release);
  return n + 1;
}

void finish(Helpers& helpers, int64_t ticket) {
  for (int64_t looks = 0; helpers.finished() < ticket; ++looks)
    if (helpers.help())
      looks = 0;
    else
      idle(looks);
}

void publish(int64_t* progress, int64_t steps) { __atomic_store_n(progress, steps, __ATOMIC_RELEASE); }

bool reached(const int64_t* progress, int64_t steps) { return __atomic_load_n(progress, __ATOMIC_ACQUIRE) >= steps; }

void wait_for(const int64_t* progress, int64_t steps) {
  for (int64_t looks = 0; !reached(progress, steps); ++looks) idle(looks);
}

void run_owned(int threads, int64_t tasks, const std::function<void(int64_t, Helpers&)>& work) {
  const std::unique_ptr<Helpers[]> helpers(new Helpers[size_t(tasks)]);
  std::atomic<int64_t> next{0}, left{tasks};
  parallel(threads, threads, [&](int64_t) {
    for (int64_t i; (i = next.fetch_add(1)) < tasks;) {
      work(i, helpers[size_t(i)]);
      left.fetch_sub(1);
    }
    for (int64_t looks = 0; left.load(std::memory_order_acquire) > 0; ++looks) {
      bool helped = false;
      for (int64_t i = 0; i < tasks; ++i) helped |= helpers[size_t(i)].help();
      if (helped)
        looks = 0;
      else
        idle(looks);
    }
  });
}

}  // namespace statewise
