#include "owners.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "threads.hpp"

namespace statewise {
namespace {

// How often a thread that waits looks before it sleeps: for about half a millisecond, since what it waits for takes
// microseconds and waking it tens of them (two threads, 512, 1, 128, 128, 1 forward: 449 us where it sleeps after 50
// us, 410 with this); and briefly where there are more threads than cores, for it may keep the core from them.
constexpr int kPatience = 20000, kLittlePatience = 20;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Those who work on a phase: where they wait for each other.
struct Team {
  Helpers* helpers = nullptr;
  int64_t owners = 0;
  int patience = kPatience;
  std::atomic<int> news{0}, asleep{0};

  // After anything that somebody may wait for.
  void tell() {
    news.fetch_add(1);
    if (asleep.load() > 0) news.notify_all();
  }
  bool help();
  template <class Done>
  void wait(const Done& done) {
    for (int looks = 0; !done();) {
      if (help()) {
        looks = 0;
      } else if (++looks < patience) {
        pause();
      } else {
        const int seen = news.load();
        asleep.fetch_add(1);
        if (!done() && !help()) news.wait(seen);  // whatever happened since `seen` was read has changed it
        asleep.fetch_sub(1);
        looks = 0;
      }
    }
  }
};

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
  Team* team = nullptr;
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
    if (w.done.fetch_add(1, std::memory_order_acq_rel) + 1 == w.pieces.load(std::memory_order_relaxed)) {
      cursor.store((n + 1) << kPieceBits, std::memory_order_release);
      team->tell();
    }
    return true;
  }
};

namespace {

bool Team::help() {
  for (int64_t i = 0; i < owners; ++i)
    if (helpers[i].help()) return true;
  return false;
}

}  // namespace

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
  helpers.team->tell();
  return n + 1;
}

void finish(Helpers& helpers, int64_t ticket) {
  while (helpers.finished() < ticket)
    if (!helpers.help()) {
      helpers.team->wait([&] { return helpers.finished() >= ticket; });
      return;
    }
}

void publish(Helpers& helpers, int64_t* progress, int64_t steps) {
  __atomic_store_n(progress, steps, __ATOMIC_RELEASE);
  helpers.team->tell();
}

bool reached(const int64_t* progress, int64_t steps) { return __atomic_load_n(progress, __ATOMIC_ACQUIRE) >= steps; }

void wait_for(Helpers& helpers, const int64_t* progress, int64_t steps) {
  helpers.team->wait([&] { return reached(progress, steps); });
}

void run_phases(int threads, const std::vector<Phase>& phases) {
  struct Dealt {
    std::atomic<int64_t> next{0}, left{0};
  };
  const std::unique_ptr<Dealt[]> dealt(new Dealt[phases.size()]);
  Team team;
  int64_t owners = 0, most = 1;
  for (size_t k = 0; k < phases.size(); ++k) {
    dealt[k].left = phases[k].count;
    most = std::max(most, phases[k].count);
    if (phases[k].owned) owners = std::max(owners, phases[k].count);
  }
  const std::unique_ptr<Helpers[]> helpers(owners ? new Helpers[size_t(owners)] : nullptr);
  for (int64_t i = 0; i < owners; ++i) helpers[size_t(i)].team = &team;
  team.helpers = helpers.get();
  team.owners = owners;
  static const int cores = std::max(1, int(std::thread::hardware_concurrency()));
  if (threads > cores) team.patience = kLittlePatience;
  parallel(threads, owners ? threads : std::min<int64_t>(threads, most), [&](int64_t thread) {
    for (size_t k = 0; k < phases.size(); ++k) {
      const Phase& phase = phases[k];
      for (int64_t i; (i = dealt[k].next.fetch_add(1)) < phase.count;) {
        phase.work(i, thread, phase.owned ? &helpers[size_t(i)] : nullptr);
        if (dealt[k].left.fetch_sub(1) == 1) team.tell();
      }
      team.wait([&] { return dealt[k].left.load() == 0; });
    }
  });
}

}  // namespace statewise
