#include "stack.hpp"

#include <algorithm>
#include <numeric>

#include "dispatch.hpp"
#include "memory.hpp"
#include "owners.hpp"
#include "threads.hpp"

namespace statewise {
namespace {

constexpr int64_t kGroupRows = 16;         // rows a group aims at: enough for the register tiles
constexpr int64_t kLargeGroupRows = 32;    // and where W_hh is too large to stay near the core
constexpr int64_t kLargeWeight = 1 << 20;  // bytes
constexpr int64_t kGroupSteps = 128;
constexpr int64_t kMostGroups = 8;  // each has its own sum of the weights' gradients
constexpr int64_t kAligned = 64;    // bytes
// Steps of all rows together for fewer than which packing the weights doesn't pay.
constexpr int64_t kFewRowsForward = 4, kFewRowsBackward = 8;
constexpr double kWorthThreads = 2e5;  // multiply-adds below which starting threads costs more than it saves

// Into how many groups N rows are cut that have S steps together. It decides in which order the weights' gradients are
// summed, so it must not depend on the number of threads. Few steps are not cut: each group has its own sum.
int64_t groups_for(int64_t rows, int64_t steps, int64_t weight_bytes) {
  if (rows < 8 || steps < kGroupSteps) return 1;
  const int64_t aim = weight_bytes > kLargeWeight ? kLargeGroupRows : kGroupRows;
  return std::clamp<int64_t>((rows + aim - 1) / aim, 2, kMostGroups);
}

class Carver {  // cuts aligned arrays from a block, or counts what they need
 public:
  explicit Carver(void* base) : base_(static_cast<char*>(base)) {}
  void* take(int64_t bytes) {
    void* p = base_ ? base_ + used_ : nullptr;
    used_ += (bytes + kAligned - 1) / kAligned * kAligned;
    return p;
  }
  int64_t used() const { return used_; }

 private:
  char* base_;
  int64_t used_ = 0;
};

// The job that a call amounts to, with the tables it points to.
class Plan {
 public:
  explicit Plan(const Call& call) : call_(call), kernels_(pick(call)) {
    job_.T = call.T;
    job_.N = call.N;
    job_.H = call.H;
    job_.projected = call.projected > 0;
    job_.P = job_.projected ? call.projected : call.H;
    job_.L = call.L;
    job_.D = call.D;
    job_.bias = call.bias;
    job_.training = call.training;
    job_.widest = call.L > 1 ? std::max(call.I, job_.D * job_.P) : call.I;
    job_.segment = call.training ? call.checkpoint : 0;
    layers_.resize(size_t(call.L));
    job_.layer = layers_.data();
    for (int64_t l = 0; l < job_.L; ++l) layers_[size_t(l)].input = l == 0 ? call.I : job_.D * job_.P;
    cut_groups();
    job_.unpacked_forward = !call.packed && !job_.projected && job_.steps < kFewRowsForward;
    job_.unpacked_backward = !job_.projected && job_.steps < kFewRowsBackward;
    job_.helped = job_.groups < threads();
    kernels_.compute_layout(job_);
  }

  Job& job() { return job_; }
  const Kernels& kernels() const { return kernels_; }
  Direction& direction(int64_t i) { return layers_[size_t(i / job_.D)].direction[i % job_.D]; }
  int64_t directions() const { return job_.L * job_.D; }
  int64_t state_width() const { return kernels_.carries_h ? job_.H : job_.P; }

  int threads() const {
    const double work = double(job_.steps) * double(job_.H) * double(kernels_.gates) *
                        double(call_.I + job_.P + (job_.L - 1) * (job_.D + 1) * job_.P) * double(job_.D);
    return work < kWorthThreads || job_.unpacked_forward ? 1 : call_.threads;
  }

  // Takes the groups through the layers. A group is owned by one thread. Where there are fewer groups than threads the
  // others help; and if no layer needs the end of a sequence before its beginning, each layer has an owner of its own,
  // who follows that of the layer before.
  void run(void (*pass)(const Job&, int64_t, int64_t, int64_t, void*, Helpers*), int64_t bytes, bool backward) {
    if (!job_.helped) {
      parallel(threads(), job_.groups,
               [&](int64_t i) { pass(job_, i, 0, job_.L, scratch(kTaskScratch, bytes), nullptr); });
      return;
    }
    const int64_t tasks = job_.D == 1 ? job_.groups * job_.L : job_.groups;
    const bool follow = tasks > job_.groups;
    progress_.assign(follow ? size_t(tasks) : 0, 0);
    for (int64_t l = 0; follow && l < job_.L; ++l) layers_[size_t(l)].progress = progress_.data() + l * job_.groups;
    char* const memory = static_cast<char*>(scratch(kTaskScratch, tasks * bytes));
    run_owned(threads(), tasks, [&](int64_t i, Helpers& helpers) {
      const int64_t l = backward ? job_.L - 1 - i / job_.groups : i / job_.groups;
      pass(job_, i % job_.groups, follow ? l : 0, follow ? l + 1 : job_.L, memory + i * bytes, &helpers);
    });
  }

  // Places what lives from forward to backward.
  int64_t place_tape(void* base) {
    Carver carver(base);
    const Layout& o = job_.layout;
    for (int64_t i = 0; i < directions(); ++i) {
      Direction& w = direction(i);
      if (job_.segment) {
        const int64_t kept = (job_.T + job_.segment - 1) / job_.segment * job_.N * kernels_.element;
        w.kept_h = carver.take(kept * o.units);
        if (kernels_.states > 1) w.kept_c = carver.take(kept * o.units);
        if (job_.projected) w.kept_recurrent_input = carver.take(kept * o.recurrent_input);
      } else {
        w.gates = carver.take(job_.steps * o.columns * kernels_.element);
        if (kernels_.states > 1) w.cells = carver.take(job_.steps * o.units * kernels_.element);
        if (job_.projected) w.outputs = carver.take(job_.steps * o.units * kernels_.element);
      }
      if (job_.projected && kernels_.carries_h)
        w.first_recurrent_input = carver.take(job_.N * job_.P * kernels_.element);
    }
    place_between(carver);
    if (!reads_output() && !kernels_.h_in_gates) {
      Layer& last = layers_.back();
      last.copy = last.y;
      last.y = between(carver);
    }
    return carver.used();
  }

  // Whether backward reads the last layer's output from the caller's memory: of a checkpointed sequence and of what is
  // projected the tape has none.
  bool reads_output() const {
    return job_.segment > 0 || job_.projected || !(kernels_.h_in_gates || kernels_.carries_h);
  }

  // Places the outputs between layers.
  void place_between(Carver& carver) {
    for (int64_t l = 0; l + 1 < job_.L; ++l) {
      Layer& layer = layers_[size_t(l)];
      layer.y = between(carver);
      if (call_.masks.empty()) {
        layers_[size_t(l + 1)].x = layer.y;
      } else {
        layer.mask = outer({call_.masks[size_t(l)], job_.N * job_.D * job_.P, job_.D * job_.P});
        layers_[size_t(l + 1)].x = layer.masked = between(carver);
      }
    }
  }

  Sequence between(Carver& carver) {
    return {carver.take(job_.steps * job_.D * job_.P * kernels_.element), offsets_.data(), 0, job_.D * job_.P, true};
  }

  // One of the caller's sequences.
  Sequence outer(const Strided& s) const {
    if (call_.batch_sizes) return {s.data, offsets_.data(), 0, s.row, true};
    return {s.data, nullptr, s.step, s.row, false};
  }

  void place_call() {
    layers_.front().x = outer(call_.x);
    layers_.back().y = outer(call_.y);
    const int64_t per = 2 + 2 * job_.bias + job_.projected, element = kernels_.element;
    const int64_t h = job_.N * state_width() * element, c = job_.N * job_.H * element;
    const auto at = [](void* base, int64_t offset) -> void* {
      return base ? static_cast<char*>(base) + offset : nullptr;
    };
    const auto pick_five = [&](const std::vector<void*>& all, int64_t i, void*(&five)[5]) {
      for (void*& p : five) p = nullptr;
      if (all.empty()) return;
      void* const* w = all.data() + i * per;
      five[0] = w[0];
      five[1] = w[1];
      if (job_.bias) five[2] = w[2], five[3] = w[3];
      if (job_.projected) five[4] = w[per - 1];
    };
    for (int64_t i = 0; i < directions(); ++i) {
      Direction& w = direction(i);
      void* five[5];
      pick_five(call_.weights, i, five);
      w.w_ih = five[0], w.w_hh = five[1], w.b_ih = five[2], w.b_hh = five[3], w.w_hr = five[4];
      pick_five(call_.weight_gradients, i, five);
      w.dw_ih = five[0], w.dw_hh = five[1], w.db_ih = five[2], w.db_hh = five[3], w.dw_hr = five[4];
      w.h0 = at(call_.h0, i * h), w.hn = at(call_.hn, i * h), w.dhn = at(call_.dhn, i * h),
      w.dh0 = at(call_.dh0, i * h);
      w.c0 = at(call_.c0, i * c), w.cn = at(call_.cn, i * c), w.dcn = at(call_.dcn, i * c),
      w.dc0 = at(call_.dc0, i * c);
    }
  }

  void place_forward_packs(Carver& carver) {
    const Layout& o = job_.layout;
    for (int64_t i = 0; i < directions(); ++i) {
      Direction& w = direction(i);
      w.columns_ih = carver.take(o.columns_ih * kernels_.element);
      w.columns_hh = carver.take(o.columns_hh * kernels_.element);
      w.columns_hr = carver.take(o.columns_hr * kernels_.element);
      w.bias = carver.take(o.columns * kernels_.element);
    }
  }

  void place_backward(Carver& carver) {
    const Layout& o = job_.layout;
    for (int64_t i = 0; i < directions(); ++i) {
      Direction& w = direction(i);
      w.rows_ih = carver.take(o.rows_ih * kernels_.element);
      w.rows_hh = carver.take(o.rows_hh * kernels_.element);
      w.rows_hr = carver.take(o.rows_hr * kernels_.element);
      const Layer& layer = layers_[size_t(i / job_.D)];
      const auto sum = [&](bool wanted, int64_t size) {
        return wanted ? carver.take(size * kernels_.element) : nullptr;
      };
      w.sum_ih = sum(w.dw_ih, layer.sum_ih);
      w.sum_hh = sum(w.dw_hh, layer.sum_hh);
      w.sum_hr = sum(w.dw_hr, job_.groups * o.sum_hr);
      w.sum_b = sum(w.db_ih || w.db_hh, job_.groups * o.sum_b);
    }
    layers_.back().dy = outer(call_.dy);
    layers_.front().dx = outer(call_.dx);
    Sequence alternating[2]{};
    for (int64_t i = 0; i < std::min<int64_t>(job_.L - 1, 2); ++i) alternating[i] = between(carver);
    for (int64_t l = job_.L - 1; l > 0; --l)
      layers_[size_t(l)].dx = layers_[size_t(l - 1)].dy = alternating[(l - 1) % 2];
  }

 private:
  static const Kernels& pick(const Call& call) {
    const Cell& cell = instruction_set().cells[call.cell];
    return call.float64 ? cell.float64 : cell.float32;
  }

  // Sorts the rows by length and deals them out: neighbours together where all are equally long (their memory is
  // close), in turn where they are ragged (their work is equal).
  void cut_groups() {
    const int64_t T = job_.T, N = job_.N;
    order_.resize(size_t(N));
    std::iota(order_.begin(), order_.end(), 0);
    if (call_.sorted_indices) std::copy_n(call_.sorted_indices, N, order_.begin());
    const bool ragged = call_.lengths || call_.batch_sizes;
    std::vector<int64_t> lengths;
    if (call_.lengths) {
      std::stable_sort(order_.begin(), order_.end(),
                       [&](int64_t a, int64_t b) { return call_.lengths[a] > call_.lengths[b]; });
      for (int64_t n : order_) lengths.push_back(call_.lengths[n]);
    } else if (call_.batch_sizes) {
      lengths.assign(size_t(N), 0);
      for (int64_t t = 0; t < T; ++t)
        for (int64_t n = 0; n < call_.batch_sizes[t]; ++n) ++lengths[size_t(n)];
    }
    const int64_t all = ragged ? std::accumulate(lengths.begin(), lengths.end(), int64_t{0}) : T * N;
    job_.groups = groups_for(N, all, kernels_.gates * job_.H * job_.P * kernels_.element);
    groups_.resize(size_t(job_.groups));
    original_.reserve(size_t(N));
    sorted_.reserve(size_t(N));
    counts_.assign(size_t(job_.groups * T), 0);
    starts_.assign(size_t(job_.groups * (T + 1)), 0);
    offsets_.assign(size_t(T + 1), 0);
    job_.steps = job_.largest_group = 0;
    for (int64_t i = 0; i < job_.groups; ++i) {
      Group& g = groups_[size_t(i)];
      const size_t first = sorted_.size();
      if (ragged)
        for (int64_t n = i; n < N; n += job_.groups) sorted_.push_back(n);
      else
        for (int64_t n = N * i / job_.groups; n < N * (i + 1) / job_.groups; ++n) sorted_.push_back(n);
      for (size_t k = first; k < sorted_.size(); ++k) original_.push_back(order_[size_t(sorted_[k])]);
      int64_t *count = counts_.data() + i * T, *start = starts_.data() + i * (T + 1);
      g = {int64_t(sorted_.size() - first),
           original_.data() + first,
           sorted_.data() + first,
           count,
           start,
           job_.steps,
           int64_t(first)};
      int64_t active = g.rows;
      for (int64_t t = 0; t < T; ++t) {
        while (ragged && active > 0 && lengths[size_t(g.sorted[active - 1])] <= t) --active;
        count[t] = active;
        start[t + 1] = start[t] + active;
        offsets_[size_t(t + 1)] += active;
      }
      job_.steps += start[T];
      job_.largest_group = std::max(job_.largest_group, g.rows);
    }
    for (int64_t t = 0; t < T; ++t) offsets_[size_t(t + 1)] += offsets_[size_t(t)];
    job_.group = groups_.data();
  }

  const Call& call_;
  std::vector<int64_t> progress_;
  const Kernels& kernels_;
  Job job_{};
  std::vector<Layer> layers_;
  std::vector<Group> groups_;
  std::vector<int64_t> order_, original_, sorted_, counts_, starts_, offsets_;
};

}  // namespace

TapeBytes tape_bytes(const Call& call) {
  // place_tape is linear in its sizes but for the alignment of each of its arrays.
  const auto placed = [&](int64_t T, int64_t N, int64_t checkpoint) {
    Call small = call;
    small.T = T, small.N = N, small.checkpoint = checkpoint;
    small.training = true;
    small.lengths = small.batch_sizes = nullptr;  // they belong to another N
    return Plan(small).place_tape(nullptr);
  };
  constexpr int64_t rows = kAligned;
  const int64_t always = placed(0, 0, 0) + kAligned * call.L * (4 * call.D + 2);
  const int64_t a_row = placed(0, rows, 0) / rows;
  if (!call.checkpoint) return {placed(1, rows, 0) / rows - a_row, a_row, 0, always};
  const int64_t huge = int64_t{1} << 20;  // one checkpoint, however many steps
  const int64_t one = placed(1, rows, huge) / rows, two = placed(2, rows, huge) / rows;
  return {two - one, a_row, 2 * one - two - a_row, always};
}

int64_t tape_size(const Call& call) {
  Call training = call;
  training.training = true;
  return Plan(training).place_tape(nullptr);
}

bool reads_output(const Call& call) {
  const Cell& cell = instruction_set().cells[call.cell];
  return call.checkpoint > 0 || call.projected > 0 || !(cell.float32.h_in_gates || cell.float32.carries_h);
}

int64_t packed_bytes(const Call& call) {
  Carver carver(nullptr);
  Plan(call).place_forward_packs(carver);
  return carver.used();
}

void pack(const Call& call, void* to) {
  Plan plan(call);
  plan.job().unpacked_forward = false;
  plan.place_call();
  Carver carver(to);
  plan.place_forward_packs(carver);
  parallel(call.threads, plan.directions() * kWeightParts,
           [&](int64_t i) { plan.kernels().pack_forward(plan.job(), i); });
}

void forward(const Call& call) {
  Plan plan(call);
  Job& job = plan.job();
  const Kernels& k = plan.kernels();
  plan.place_call();
  if (call.training) prefer_large_pages(call.tape, plan.place_tape(call.tape));
  const auto place = [&](void* base) {
    Carver carver(base);
    if (!call.packed) plan.place_forward_packs(carver);
    if (!call.training) plan.place_between(carver);
    return carver.used();
  };
  place(scratch(kSharedScratch, place(nullptr)));
  const int threads = plan.threads();
  if (call.packed) {
    Carver carver(const_cast<void*>(call.packed));
    plan.place_forward_packs(carver);
  } else {
    parallel(threads, plan.directions() * kWeightParts, [&](int64_t i) { k.pack_forward(job, i); });
  }
  plan.run(k.forward, job.layout.forward_scratch, false);
}

void backward(const Call& call) {
  Plan plan(call);
  Job& job = plan.job();
  const Kernels& k = plan.kernels();
  plan.place_call();
  plan.place_tape(call.tape);
  const auto place = [&](void* base) {
    Carver carver(base);
    plan.place_backward(carver);
    if (job.segment) plan.place_forward_packs(carver);
    return carver.used();
  };
  place(scratch(kSharedScratch, place(nullptr)));
  const int threads = plan.threads();
  parallel(threads, plan.directions() * kWeightParts, [&](int64_t i) {
    k.pack_backward(job, i);
    if (job.segment) k.pack_forward(job, i);
  });
  plan.run(k.backward, job.layout.backward_scratch, true);
  parallel(threads, plan.directions() * kWeightParts, [&](int64_t i) { k.reduce(job, i); });
}

}  // namespace statewise
