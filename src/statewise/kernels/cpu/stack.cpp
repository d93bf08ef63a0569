#include "stack.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "bfloat16.hpp"
#include "dispatch.hpp"
#include "memory.hpp"
#include "owners.hpp"
#include "threads.hpp"

namespace statewise {
namespace {

constexpr int64_t kAligned = 64;  // bytes

// Rows that a group aims at: enough for the register tiles, and more where W_hh is too large, in bytes, to stay near
// the core; but so many steps of all its rows that the sum of the weights' gradients that it has of its own is worth
// it.
constexpr int64_t kGroupRows = 16, kLargeGroupRows = 32, kLargeWeight = 1 << 20, kGroupSteps = 128;

// Steps times rows of a step that a chunk aims at: enough for the products, few enough to stay in cache; of short
// sequences a part, so that those who help, and the next layer, have something to begin with; and where the gradient of
// W_hh is too large for the cache, so many that it seldom goes through it.
constexpr int64_t kChunkRows = 128, kFewChunkRows = 32, kChunks = 4, kLargeChunkRows = 512, kHugeWeight = 8 << 20;

// Steps of all rows together for fewer than which packing the weights doesn't pay.
constexpr int64_t kFewRowsForward = 4, kFewRowsBackward = 8;

// Multiply-adds of a call below which starting threads costs more than it saves.
constexpr double kWorthThreads = 2e5;
constexpr int64_t kPanelBytes = 256;  // of a row of gates, which is cut into pieces of a panel each at most

// Into how many groups `rows` rows are cut that have so many steps together, `weight` bytes being read at each step of
// a layer, where only so many groups may have sums of their own. It decides in which order these are summed, so it must
// not depend on the number of threads. Few steps are not cut: each group has its own sum.
int64_t groups_for(int64_t rows, int64_t steps, int64_t weight, int64_t most) {
  if (rows < 8 || steps < kGroupSteps) return 1;
  const int64_t aim = weight > kLargeWeight ? kLargeGroupRows : kGroupRows;
  const int64_t groups = std::clamp<int64_t>((rows + aim - 1) / aim, 2, std::max<int64_t>(2, steps / kGroupSteps));
  return std::clamp<int64_t>(most, 1, groups);
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

const Kernels& kernels_of(const Call& call) {
  const InstructionSet& set = instruction_set();
  if (call.stored == Stored::kBfloat16) return set.bfloat16_weights;
  if (call.stored == Stored::kInt8) return int8_kernels();
  return call.float64 ? set.float64 : set.float32;
}

// The job that a call amounts to, with the tables it points to.
class Plan {
 public:
  explicit Plan(const Call& call)
      : call_(call), cell_(&cell_of(instruction_set(), call.cell)), shape_(&cell_->shape), kernels_(&kernels_of(call)) {
    job_.shape = shape_;
    job_.steps_of_cell = call.float64 ? &cell_->float64 : &cell_->float32;
    job_.T = call.T;
    job_.N = call.N;
    job_.heads = call.heads;
    job_.H = call.H / call.heads;
    job_.projected = call.projected > 0;
    job_.P = job_.projected ? call.projected : job_.H;
    job_.L = call.L;
    job_.D = call.D * call.heads;
    job_.bias = call.bias;
    job_.saved = !call.training ? Saved::kNothing : call.checkpoint ? Saved::kStates : Saved::kSteps;
    job_.segment = call.checkpoint;
    job_.mixes = mixes(call);
    job_.draws = call.has_seed;
    job_.seed = call.seed;
    job_.clip = call.clip;
    job_.gradient_clip = call.gradient_clip;
    job_.noise_rows = call.noise_rows;
    job_.starts = call.starts;
    job_.masked = !call.recurrent_masks.empty();
    job_.adds_to_states = job_.mixes || call.gradient_clip > 0;
    for (int k = 0; k < shape_->states; ++k) {
      job_.zoneout[k] = call.state[k].zoneout;
      job_.adds_to_states = job_.adds_to_states || call.state[k].dpassed;
    }
    job_.widest = call.L > 1 ? std::max(call.I, job_.D * job_.P) : call.I;
    layers_.resize(size_t(call.L));
    job_.layer = layers_.data();
    directions_.resize(size_t(directions()));
    for (int64_t l = 0; l < job_.L; ++l) {
      Layer& layer = layers_[size_t(l)];
      layer.input = l == 0 ? call.I : job_.D * job_.P;
      layer.input_per_head = layer.input / (shape_->heads_x ? job_.heads : 1);
      layer.direction = directions_.data() + l * job_.D;
    }
    cut_groups();
    // Packing is what makes pairs; the weights that a frozen layer keeps packed are numbers.
    if (call.bfloat16_products && !call.float64 && !call.packed && !job_.masked && job_.steps >= kFewRowsBackward)
      if (const InstructionSet* found = bfloat16_set())
        if (const Cell* cell = find_cell(*found, call.cell); cell && cell->float32.forward[0]) {
          kernels_ = &found->float32;
          job_.steps_of_cell = &cell->float32;
        }
    job_.chunk_rows = shape_->gates * job_.H * job_.P * kernels_->element > kHugeWeight
                          ? kLargeChunkRows
                          : std::clamp(job_.T * job_.largest_group / kChunks, kFewChunkRows, kChunkRows);
    const auto read = [&](bool few) {
      return few && !job_.projected && !is_staged(*shape_) ? Weights::kUnpacked : Weights::kPacked;
    };
    job_.read_forward = read(!call.packed && job_.steps < kFewRowsForward);
    job_.read_backward = read(job_.steps < kFewRowsBackward);
    threads_ = useful_threads();
    const int64_t step = job_.largest_group * shape_->gates * job_.H * job_.P;
    const bool one_by_one = job_.heads > 1 && !shape_->heads_x;  // heads that add to the same dx
    job_.help = job_.groups >= threads_ || one_by_one ? Help::kNone
                : step < call.limits.shared_step      ? Help::kBetweenSteps
                                                      : Help::kWithinSteps;
    kernels_->compute_layout(job_);
  }

  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  Job& job() { return job_; }
  const Kernels& kernels() const { return *kernels_; }
  Direction& direction(int64_t i) { return directions_[size_t(i)]; }
  int64_t directions() const { return job_.L * job_.D; }
  int64_t state_width(int k) const { return k > 0 || shape_->carries_h ? job_.H : job_.P; }

  int threads() const { return threads_; }

  // Runs the groups through the layers, by `pass` in memory that `place` gives, between what goes over the weights
  // before and after.
  template <class Place>
  void run(void (*before)(const Job&, int64_t), void (*pass)(const Job&, const Pass&),
           void (*after)(const Job&, int64_t), int64_t bytes, bool backward, const Place& place) {
    const int64_t passes = job_.L * job_.D * job_.groups;
    const bool owned = job_.help != Help::kNone;
    progress_.assign(owned ? size_t(passes) : 0, 0);
    for (int64_t i = 0; owned && i < directions(); ++i) direction(i).progress = progress_.data() + i * job_.groups;

    const int64_t shared = place(nullptr), tasks = owned ? passes : std::min<int64_t>(threads_, job_.groups);
    const Scratch scratch(shared + tasks * bytes);
    place(scratch.data());
    char* const memory = scratch.data() + shared;

    // In the order in which layers can follow one another.
    const auto pass_of = [&](int64_t i, void* at, Helpers* helpers) {
      const int64_t layer = i / job_.groups / job_.D;
      return Pass{.group = i % job_.groups,
                  .layer = backward ? job_.L - 1 - layer : layer,
                  .direction = i / job_.groups % job_.D,
                  .scratch = at,
                  .helpers = helpers};
    };
    const int64_t parts = directions() * kWeightParts;
    std::vector<Phase> phases;
    if (before) phases.push_back({parts, false, [&](int64_t i, int64_t, Helpers*) { before(job_, i); }});
    if (owned)
      phases.push_back({passes, true, [&](int64_t i, int64_t, Helpers* helpers) {
                          pass(job_, pass_of(i, memory + i * bytes, helpers));
                        }});
    else
      phases.push_back({job_.groups, false, [&](int64_t group, int64_t thread, Helpers*) {
                          for (int64_t i = group; i < passes; i += job_.groups)
                            pass(job_, pass_of(i, memory + thread * bytes, nullptr));
                        }});
    if (after) phases.push_back({parts, false, [&](int64_t i, int64_t, Helpers*) { after(job_, i); }});
    if (backward && beside_ && layers_.front().direction[0].dx.data)
      phases.push_back({kWeightParts, false, [&](int64_t i, int64_t, Helpers*) { kernels_->add_dx(job_, i); }});
    run_phases(threads_, phases);
  }

  // Places what lives from forward to backward.
  int64_t place_tape(void* base) {
    Carver carver(base);
    const Layout& o = job_.layout;
    for (int64_t i = 0; i < directions(); ++i) {
      Direction& w = direction(i);
      if (job_.saved == Saved::kStates) {
        const int64_t kept = (job_.T + job_.segment - 1) / job_.segment * job_.N * kernels_->element;
        for (int k = 0; k < shape_->states; ++k) w.state[k].kept = carver.take(kept * o.units);
        if (job_.projected) w.kept_recurrent_input = carver.take(kept * o.recurrent_input);
      } else {
        w.gates = carver.take(job_.steps * o.columns * kernels_->element);
        if (shape_->norm_x) w.raw_x = carver.take(job_.steps * o.columns * kernels_->element);
        if (shape_->norm_r) w.raw_h = carver.take(job_.steps * o.columns * kernels_->element);
        for (int k = 1; k < shape_->states; ++k)
          w.state[k].steps = carver.take(job_.steps * o.units * kernels_->element);
        for (int k = 1; job_.mixes && k < shape_->states; ++k)
          w.state[k].mixed = carver.take(job_.steps * o.units * kernels_->element);
        if (job_.projected) w.outputs = carver.take(job_.steps * o.units * kernels_->element);
      }
      if (job_.projected && shape_->carries_h)
        w.first_recurrent_input = carver.take(job_.N * job_.P * kernels_->element);
    }
    place_between(carver);
    if (copies_output()) {
      Layer& last = layers_.back();
      last.copy = last.y;
      last.y = between(carver);
    }
    return carver.used();
  }

  // Whether the tape has an output of its own.
  bool copies_output() const {
    return shape_->reads_h && !(shape_->h_in_slots && !job_.mixes) && job_.saved != Saved::kStates && !job_.projected;
  }

  // What place_tape takes at most: each of its arrays may be followed by a gap.
  TapeBytes tape_bytes(int64_t layers, int64_t directions, bool checkpoints, bool masked) const {
    const Layout& o = job_.layout;
    const int64_t all = layers * directions, element = kernels_->element;
    const int64_t states = o.units * (shape_->states - 1) * (1 + job_.mixes), projection = job_.projected ? o.units : 0;
    const int64_t kept = o.units * shape_->states + (job_.projected ? o.recurrent_input : 0);
    const bool output = !checkpoints && copies_output();
    const int64_t between = ((layers - 1) * (1 + masked) + output) * directions * job_.P;
    const int64_t columns = (1 + shape_->norm_x + shape_->norm_r) * o.columns;
    return {.a_step = ((checkpoints ? 0 : all * (columns + states + projection)) + between) * element,
            .a_row = job_.projected && shape_->carries_h ? all * job_.P * element : 0,
            .a_kept = checkpoints ? all * kept * element : 0,
            .always = kAligned *
                      ((2 + shape_->norm_x + shape_->norm_r + shape_->states * (1 + job_.mixes)) * all + 2 * layers)};
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

  Sequence between(Carver& carver) { return own(carver, job_.D * job_.P); }

  // A sequence of the stack's own: rows by descending length, step after step without gaps.
  Sequence own(Carver& carver, int64_t width) {
    const bool dense = offsets_.empty();
    return {.data = carver.take(job_.steps * width * kernels_->element),
            .at = dense ? nullptr : offsets_.data(),
            .step = dense ? job_.N * width : 0,
            .row = width,
            .sorted = true};
  }

  // One of the caller's sequences.
  Sequence outer(const Strided& s) const {
    if (call_.batch_sizes) return {.data = s.data, .at = offsets_.data(), .step = 0, .row = s.row, .sorted = true};
    return {.data = s.data, .at = nullptr, .step = s.step, .row = s.row, .sorted = false};
  }

  void place_call() {
    layers_.front().x = outer(call_.x);
    layers_.back().y = outer(call_.y);
    WeightOf list[kMaxWeights];
    const int per = list_weights(*shape_, job_.bias, job_.projected, list);
    const int64_t element = kernels_->element, vector = job_.heads * job_.H * element;
    for (int64_t i = 0; i < directions(); ++i) {
      Direction& w = direction(i);
      const int64_t weights = i / job_.heads, row = i % job_.heads * job_.H;  // of its head in each part
      for (int k = 0; k < per; ++k) {
        const auto [kind, parts, first] = list[k];
        const int64_t width = kind == WeightKind::kInput       ? layers_[size_t(i / job_.D)].input_per_head
                              : kind == WeightKind::kRecurrent ? job_.P
                                                               : 1;
        const auto of = [&](const std::vector<void*>& all) {
          return all.empty() ? nullptr : at(all[size_t(weights * per + k)], row * width * element);
        };
        void *const weight = of(call_.weights), *const gradient = of(call_.weight_gradients);
        if (kind == WeightKind::kInput) w.w_ih = weight, w.dw_ih = gradient;
        if (kind == WeightKind::kRecurrent) w.w_hh = weight, w.dw_hh = gradient;
        if (kind == WeightKind::kInputBias) w.b_ih = weight, w.db_ih = gradient;
        if (kind == WeightKind::kRecurrentBias) w.b_hh = weight, w.db_hh = gradient;
        if (kind == WeightKind::kInputNorm) w.norm_ih = weight, w.dnorm_ih = gradient;
        if (kind == WeightKind::kRecurrentNorm) w.norm_hh = weight, w.dnorm_hh = gradient;
        if (kind == WeightKind::kProjection) w.w_hr = weight, w.dw_hr = gradient;
        for (int p = 0; kind == WeightKind::kVector && p < parts; ++p)
          w.vectors[first + p] = at(weight, p * vector), w.dvectors[first + p] = at(gradient, p * vector);
      }
      for (int k = 0; k < shape_->states; ++k) {
        const int64_t offset = (weights * job_.N * job_.heads + i % job_.heads) * state_width(k) * element;
        const Call::State& given = call_.state[k];
        w.state[k].initial = at(given.initial, offset);
        w.state[k].final = at(given.final, offset);
        w.state[k].dfinal = at(given.dfinal, offset);
        w.state[k].dinitial = at(given.dinitial, offset);
        w.state[k].passed = passed(given.passed, k, weights, i % job_.heads);
        w.state[k].dpassed = passed(given.dpassed, k, weights, i % job_.heads);
      }
      if (job_.masked) w.recurrent_mask = at(call_.recurrent_masks[size_t(weights)], i % job_.heads * job_.P * element);
    }
  }

  // The states of one head of direction `d` of all, after all steps.
  Sequence passed(void* base, int k, int64_t d, int64_t head) const {
    if (!base) return {};
    const int64_t width = state_width(k), row = width * job_.heads;
    const int64_t steps = call_.batch_sizes ? job_.steps : job_.T * job_.N;
    return outer({at(base, (d * steps * row + head * width) * kernels_->element), job_.N * row, row});
  }

  static void* at(void* base, int64_t offset) { return base ? static_cast<char*>(base) + offset : nullptr; }

  void place_forward_packs(Carver& carver) {
    const Layout& o = job_.layout;
    for (int64_t i = 0; i < directions(); ++i) {
      Direction& w = direction(i);
      w.columns_ih = carver.take(o.columns_ih * kernels_->element);
      w.columns_hh = carver.take(o.columns_hh * kernels_->element);
      w.columns_hr = carver.take(o.columns_hr * kernels_->element);
      if (shape_->late) w.columns_late = carver.take(o.columns_late * kernels_->element);
      w.units_ih = carver.take(o.units_of_columns * kernels_->element);
      w.units_hh = carver.take(o.units_of_columns * kernels_->element);
      w.units_hr = carver.take(o.units_hr * kernels_->element);
      w.bias = carver.take(o.columns * kernels_->element);
      place_vectors(carver, w);
    }
  }

  void place_vectors(Carver& carver, Direction& w) const {
    if (vector_rows(*shape_)) w.vector_rows = carver.take(job_.layout.sum_v * kernels_->element);
    if (shape_->norm_x) w.gains_ih = carver.take(job_.layout.columns * kernels_->element);
    if (shape_->norm_r) w.gains_hh = carver.take(job_.layout.columns * kernels_->element);
  }

  void place_backward(Carver& carver) {
    const Layout& o = job_.layout;
    for (int64_t i = 0; i < directions(); ++i) {
      Direction& w = direction(i);
      if (job_.saved != Saved::kStates) place_vectors(carver, w);
      w.rows_ih = carver.take(o.rows_ih * kernels_->element);
      w.rows_hh = carver.take(o.rows_hh * kernels_->element);
      w.rows_hr = carver.take(o.rows_hr * kernels_->element);
      if (shape_->late) w.rows_late = carver.take(o.rows_late * kernels_->element);
      const Layer& layer = layers_[size_t(i / job_.D)];
      const auto sum = [&](bool wanted, int64_t size) {
        return wanted ? carver.take(size * kernels_->element) : nullptr;
      };
      w.sum_ih = sum(w.dw_ih, layer.sum_ih);
      w.sum_hh = sum(w.dw_hh, layer.sum_hh);
      w.sum_hr = sum(w.dw_hr, job_.groups * o.sum_hr);
      w.sum_b = sum(w.db_ih || w.db_hh, job_.groups * o.sum_b);
      w.sum_late = sum(shape_->late && w.dw_hh, job_.groups * o.sum_late);
      w.sum_v = sum(std::any_of(w.dvectors, w.dvectors + vector_rows(*shape_), [](void* p) { return p != nullptr; }),
                    job_.groups * o.sum_v);
      w.sum_n = sum(w.dnorm_ih || w.dnorm_hh, job_.groups * o.sum_n);
    }
    // Where each direction's part of dx goes: to the same place, unless they are computed side by side.
    beside_ = job_.D > job_.heads && job_.help != Help::kNone;
    Sequence alternating[2][2]{};
    for (int64_t i = 0; i < std::min<int64_t>(job_.L - 1, 2); ++i)
      for (int k = 0; k <= beside_; ++k) alternating[i][k] = between(carver);
    layers_.back().dy = outer(call_.dy);
    for (int64_t l = job_.L - 1; l >= 0; --l) {
      Layer& layer = layers_[size_t(l)];
      Sequence first = outer(call_.dx), second{};
      if (l > 0) {
        Layer& below = layers_[size_t(l - 1)];
        first = below.dy = alternating[(l - 1) % 2][0];
        second = below.dy_beside = alternating[(l - 1) % 2][1];
      } else if (beside_ && first.data) {
        second = own(carver, job_.layer[0].input);
      }
      for (int64_t d = 0; d < job_.D; ++d) {
        const bool reverse = d >= job_.heads, own = shape_->heads_x || d % job_.heads == 0;
        layer.direction[d].dx = reverse && beside_ ? second : first;
        layer.direction[d].adds_dx = !own || (reverse && !beside_);
      }
    }
  }

 private:
  // No more than have something to do.
  int useful_threads() const {
    const double work = double(job_.steps) * double(job_.H) * double(shape_->gates) *
                        double(call_.I + job_.P + (job_.L - 1) * (job_.D + 1) * job_.P) * double(job_.D);
    if (work < kWorthThreads || job_.read_forward == Weights::kUnpacked) return 1;
    const int64_t panels = shape_->gates * job_.H * kernels_->element / kPanelBytes + 1;
    return int(std::min<int64_t>(call_.threads, job_.groups * directions() * panels));
  }

  // Deals the rows out: neighbours together where all are equally long (their memory is close), in turn, sorted by
  // length, where they are ragged (their work is equal).
  void cut_groups() {
    const int64_t N = job_.N, row = shape_->gates * job_.H * job_.D * kernels_->element, weight = row / job_.D * job_.P;
    const int64_t most = call_.limits.partial_bytes / (row * (call_.I + job_.P + (job_.L - 1) * (job_.D + 1) * job_.P));
    if (call_.lengths || call_.batch_sizes) return cut_ragged(weight, most);
    job_.steps = job_.T * N;
    job_.groups = groups_for(N, job_.steps, weight, most);
    groups_.resize(size_t(job_.groups));
    job_.group = groups_.data();
    for (int64_t i = 0; i < job_.groups; ++i) {
      Group& g = groups_[size_t(i)];
      g = {};
      g.before = N * i / job_.groups;
      g.rows = N * (i + 1) / job_.groups - g.before;
      g.first = job_.T * g.before;
      job_.largest_group = std::max(job_.largest_group, g.rows);
    }
  }

  void cut_ragged(int64_t weight, int64_t most) {
    const int64_t T = job_.T, N = job_.N;
    order_.resize(size_t(N));
    std::iota(order_.begin(), order_.end(), 0);
    if (call_.sorted_indices) std::copy_n(call_.sorted_indices, N, order_.begin());
    std::vector<int64_t> lengths;
    if (call_.lengths) {
      std::stable_sort(order_.begin(), order_.end(),
                       [&](int64_t a, int64_t b) { return call_.lengths[a] > call_.lengths[b]; });
      for (int64_t n : order_) lengths.push_back(call_.lengths[n]);
    } else {
      lengths.assign(size_t(N), 0);
      for (int64_t t = 0; t < T; ++t)
        for (int64_t n = 0; n < call_.batch_sizes[t]; ++n) ++lengths[size_t(n)];
    }
    job_.groups = groups_for(N, std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), weight, most);
    groups_.resize(size_t(job_.groups));
    job_.group = groups_.data();
    original_.reserve(size_t(N));
    sorted_.reserve(size_t(N));
    counts_.assign(size_t(job_.groups * T), 0);
    starts_.assign(size_t(job_.groups * (T + 1)), 0);
    offsets_.assign(size_t(T + 1), 0);
    for (int64_t i = 0; i < job_.groups; ++i) {
      const size_t first = sorted_.size();
      for (int64_t n = i; n < N; n += job_.groups) sorted_.push_back(n);
      for (size_t k = first; k < sorted_.size(); ++k) original_.push_back(order_[size_t(sorted_[k])]);
      int64_t *count = counts_.data() + i * T, *start = starts_.data() + i * (T + 1);
      const Group& g = groups_[size_t(i)] = {.rows = int64_t(sorted_.size() - first),
                                             .original = original_.data() + first,
                                             .sorted = sorted_.data() + first,
                                             .count = count,
                                             .start = start,
                                             .first = job_.steps,
                                             .before = int64_t(first)};
      int64_t active = g.rows;
      for (int64_t t = 0; t < T; ++t) {
        while (active > 0 && lengths[size_t(g.sorted[active - 1])] <= t) --active;
        count[t] = active;
        start[t + 1] = start[t] + active;
        offsets_[size_t(t + 1)] += active;
      }
      job_.steps += start[T];
      job_.largest_group = std::max(job_.largest_group, g.rows);
    }
    for (int64_t t = 0; t < T; ++t) offsets_[size_t(t + 1)] += offsets_[size_t(t)];
  }

  const Call& call_;
  std::vector<int64_t> progress_;
  const Cell* cell_;
  const CellShape* shape_;
  const Kernels* kernels_;
  Job job_{};
  int threads_ = 1;
  bool beside_ = false;  // whether backward computes a layer's directions side by side
  std::vector<Layer> layers_;
  std::vector<Direction> directions_;
  std::vector<Group> groups_;
  std::vector<int64_t> order_, original_, sorted_, counts_, starts_, offsets_;
};

}  // namespace

TapeBytes tape_bytes(const Call& call) {
  Call sizes;
  sizes.cell = call.cell, sizes.float64 = call.float64, sizes.H = call.H, sizes.projected = call.projected;
  sizes.heads = call.heads;
  sizes.clip = call.clip;
  for (int k = 0; k < kMaxStates; ++k) sizes.state[k].zoneout = call.state[k].zoneout;
  const Plan plan(sizes);
  return plan.tape_bytes(call.L, call.D * call.heads, call.checkpoint > 0, !call.masks.empty());
}

int64_t tape_size(const Call& call) {
  Call training = call;
  training.training = true;
  return Plan(training).place_tape(nullptr);
}

bool mixes(const Call& call) {
  return call.clip > 0 || std::any_of(call.state, call.state + kMaxStates, [](const auto& s) { return s.zoneout > 0; });
}

bool reads_output(const Call& call) {
  const CellShape& c = cell_of(instruction_set(), call.cell).shape;
  return (needs_h(c) || call.clip > 0) &&
         (call.checkpoint > 0 || call.projected > 0 || !(c.reads_h || (c.h_in_slots && !mixes(call))));
}

int64_t packed_bytes(const Call& call) {
  Carver carver(nullptr);
  Plan(call).place_forward_packs(carver);
  return carver.used();
}

void pack(const Call& call, void* to) {
  Plan plan(call);
  plan.job().read_forward = Weights::kPacked;
  plan.place_call();
  Carver carver(to);
  plan.place_forward_packs(carver);
  parallel(call.threads, plan.directions() * kWeightParts,
           [&](int64_t i) { plan.kernels().pack_forward(plan.job(), i); });
}

void forward(const Call& call) {
  if (call.bfloat16) return forward_bfloat16(call);
  Plan plan(call);
  const Kernels& k = plan.kernels();
  plan.place_call();
  if (call.training) prefer_large_pages(call.tape, plan.place_tape(call.tape));
  if (call.packed) {
    Carver carver(const_cast<void*>(call.packed));
    plan.place_forward_packs(carver);
  }
  plan.run(call.packed ? nullptr : k.pack_forward, k.forward, nullptr, plan.job().layout.forward_scratch, false,
           [&](void* base) {
             Carver carver(base);
             if (!call.packed) plan.place_forward_packs(carver);
             if (!call.training) plan.place_between(carver);
             return carver.used();
           });
}

class Stepper::Memory {
 public:
  explicit Memory(const Call& given)
      : call(own(given)),
        most(given.T),
        plan(call),
        kernels(call.float64 ? stream_kernels(instruction_set()).float64 : stream_kernels(instruction_set()).float32) {
    const Job& job = plan.job();
    Carver sizes(nullptr);
    place(sizes);
    block = line_memory(sizes.used());
    std::memset(block.get(), 0, size_t(sizes.used()));
    Carver carver(block.get());
    place(carver);
    plan.place_call();
    Carver packs(const_cast<void*>(call.packed));
    plan.place_forward_packs(packs);
    Carver between(between_);
    plan.place_between(between);
    lean = call.stored == Stored::kNumbers;
    for (int64_t l = 0; lean && l < job.L; ++l)
      lean = kernels.prepare_step(job, job.layer[l], plan.direction(l), prepared + l * kernels.step_bytes);
    for (int i = 0; lean && i < 2; ++i)
      for (int64_t l = 0; l < job.L; ++l) {
        const auto first = [&](bool of_two) { return states[0] + (2 * l + of_two) * padded * plan.kernels().element; };
        StepMemory m{.x = l ? lean_steps[i].back().state[0] : nullptr,
                     .h = first(i),
                     .state = {first(!i)},
                     .fro = i == 1,
                     .sums = nullptr};
        for (int s = 1; s < job.shape->states; ++s) m.state[s] = state(s, l);
        lean_steps[i].push_back(m);
      }
    output_bytes = size_t(job.P * plan.kernels().element);
  }

  // The states' rows. A lean step's are padded, and the first state has two, which are read and written in turn.
  char* state(int k, int64_t row) const {
    if (lean && k == 0) row = 2 * row + second;
    return states[k] + row * (lean ? padded : plan.state_width(k)) * plan.kernels().element;
  }

  void step(const void* x, void* y, int64_t steps) {
    if (steps == 1)
      step(x, y);
    else
      several(x, y, steps);
  }

  Call call;
  int64_t most;  // steps at a time
  Plan plan;
  const StreamKernels& kernels;
  statewise::Memory block;
  char *states[kMaxStates]{}, *prepared = nullptr, *scratch = nullptr, *between_ = nullptr;
  char *sums = nullptr, *outputs = nullptr;  // of a layer's steps that are made together: W_ih x, and h for the next
  int64_t padded = 0;
  size_t output_bytes = 0;
  std::vector<StepMemory> lean_steps[2];  // of each layer, from the one of the first state's two rows to the other
  bool lean = false, second = false;      // whether the first state is in the second of its two rows

 private:
  __attribute__((noinline)) void several(const void* x, void* y, int64_t steps) {
    if (lean) return steps_together(x, y, steps);
    const int64_t element = plan.kernels().element;
    for (int64_t t = 0; t < steps; ++t)
      step(static_cast<const char*>(x) + t * call.x.step * element, static_cast<char*>(y) + t * call.y.step * element);
  }

  void step(const void* x, void* y) {
    Job& job = plan.job();
    if (!lean) {
      const Kernels& k = plan.kernels();
      job.layer[0].x.data = const_cast<void*>(x);
      job.layer[job.L - 1].y.data = y;
      for (int64_t i = 0; i < job.groups; ++i)
        for (int64_t l = 0; l < job.L; ++l)
          for (int64_t d = 0; d < job.D; ++d)
            k.forward(job, {.group = i, .layer = l, .direction = d, .scratch = scratch, .helpers = nullptr});
      return;
    }
    std::vector<StepMemory>& now = lean_steps[second];
    now[0].x = x;
    for (size_t l = 0; l < now.size(); ++l) kernels.step(prepared + int64_t(l) * kernels.step_bytes, now[l]);
    std::memcpy(y, now.back().state[0], output_bytes);
    second = !second;
  }

  // Layer by layer: W_ih is read once for all steps, and each step reads W_hh alone.
  void steps_together(const void* x, void* y, int64_t steps) {
    const Job& job = plan.job();
    const int64_t element = plan.kernels().element, sums_row = job.layout.columns;
    const bool from = second;
    int64_t x_row = call.I;
    for (int64_t l = 0; l < job.L; ++l) {
      const void* const layer = prepared + l * kernels.step_bytes;
      kernels.project(layer, steps, x, x_row, sums, sums_row);
      const bool last = l + 1 == job.L;
      char* const to = last ? static_cast<char*>(y) : outputs;
      const int64_t to_row = last ? job.P : padded;
      for (int64_t t = 0; t < steps; ++t) {
        StepMemory m = lean_steps[(from + t) % 2][size_t(l)];
        m.sums = sums + t * sums_row * element;
        kernels.step(layer, m);
        std::memcpy(to + t * to_row * element, m.state[0], output_bytes);
      }
      x = to, x_row = to_row;
    }
    second = (from + steps) % 2;
  }

  static Call own(Call call) {
    call.T = 1, call.threads = 1, call.training = false;
    call.lengths = call.batch_sizes = call.sorted_indices = nullptr;
    const int64_t width = call.D * (call.projected ? call.projected : call.H);
    call.x = {nullptr, call.N * call.I, call.I};
    call.y = {nullptr, call.N * width, width};
    for (auto& state : call.state) state.initial = state.final = state.passed = nullptr;
    return call;
  }

  void place(Carver& carver) {
    const Job& job = plan.job();
    const int64_t element = plan.kernels().element;
    padded = job.layout.units;
    for (int k = 0; k < job.shape->states; ++k) {
      const int64_t width = std::max(padded, plan.state_width(k));
      states[k] = static_cast<char*>(carver.take(job.L * call.D * (job.N + (k == 0)) * job.heads * width * element));
      call.state[k].initial = call.state[k].final = states[k];
    }
    prepared = static_cast<char*>(carver.take(job.L * kernels.step_bytes));
    scratch = static_cast<char*>(carver.take(job.layout.forward_scratch));
    Carver between(nullptr);
    plan.place_between(between);
    between_ = static_cast<char*>(carver.take(between.used()));
    if (most == 1 || job.N > 1) return;
    sums = static_cast<char*>(carver.take(most * job.layout.columns * element));
    outputs = static_cast<char*>(carver.take(job.L > 1 ? most * padded * element : 0));
  }
};

Stepper::Stepper(const Call& call) : memory_(std::make_unique<Memory>(call)) {}
Stepper::~Stepper() = default;
Stepper::Stepper(Stepper&&) noexcept = default;
Stepper& Stepper::operator=(Stepper&&) noexcept = default;

int Stepper::states() const { return memory_->plan.job().shape->states; }

int64_t Stepper::width(int k) const { return memory_->plan.state_width(k) * memory_->plan.job().heads; }

void Stepper::set(int k, const void* from) {
  const int64_t heads = memory_->plan.job().heads, rows = memory_->call.L * memory_->call.N;
  const size_t bytes = size_t(width(k) * memory_->plan.kernels().element);
  for (int64_t r = 0; r < rows; ++r)
    if (char* const to = memory_->state(k, r * heads); from)
      std::memcpy(to, static_cast<const char*>(from) + size_t(r) * bytes, bytes);
    else
      std::memset(to, 0, bytes);
}

void Stepper::get(int k, void* to) const {
  const int64_t bytes = width(k) * memory_->plan.kernels().element, rows = memory_->call.L * memory_->call.N;
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(static_cast<char*>(to) + r * bytes, memory_->state(k, r * memory_->plan.job().heads), size_t(bytes));
}

void Stepper::step(const void* x, void* y, int64_t steps) { memory_->step(x, y, steps); }

void backward(const Call& call) {
  if (call.bfloat16) return backward_bfloat16(call);
  Plan plan(call);
  const Kernels& k = plan.kernels();
  plan.place_call();
  plan.place_tape(call.tape);
  plan.run(k.pack_backward, k.backward, k.reduce, plan.job().layout.backward_scratch, true, [&](void* base) {
    Carver carver(base);
    plan.place_backward(carver);
    if (plan.job().saved == Saved::kStates) plan.place_forward_packs(carver);
    return carver.used();
  });
}

}  // namespace statewise
