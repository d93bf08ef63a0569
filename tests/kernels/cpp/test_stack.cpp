// forward and backward of every instruction set against naive.cpp: random calls of all kinds, and long ones.
//
// Every buffer ends where its block does and is filled with NaN first, so that an access past its end is seen by the
// sanitizer, and an element that nobody wrote, or a step past a row's end that somebody read, by the comparison.

#include "stack.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "dispatch.hpp"
#include "memory.hpp"
#include "naive.hpp"

namespace {

using Random = std::mt19937_64;

// bfloat16: the upper half of a float, of the two nearest the one that is even.
struct Bfloat16 {
  uint16_t bits;
  explicit Bfloat16(double number) {
    const float single = float(number);
    uint32_t all;
    std::memcpy(&all, &single, sizeof all);
    if ((all & 0x7F800000) == 0) all &= 0x80000000;  // too small to be normal: zero, as the instructions have it
    bits = uint16_t((all + 0x7FFF + (all >> 16 & 1)) >> 16);
  }
  operator double() const {
    const uint32_t all = uint32_t{bits} << 16;
    float single;
    std::memcpy(&single, &all, sizeof all);
    return double(single);
  }
};

// Memory for exactly `count` elements, at an address that is a multiple of an element's size and of little more.
class Buffer {
 public:
  Buffer(int64_t count, size_t element) : block_(std::malloc((size_t(count) + 1) * element)), count_(count) {
    std::memset(block_, 0xFF, (size_t(count) + 1) * element);
    data_ = static_cast<char*>(block_) + element;
  }
  ~Buffer() { std::free(block_); }
  Buffer(Buffer&& other) noexcept : block_(other.block_), data_(other.data_), count_(other.count_) {
    other.block_ = nullptr;
  }
  Buffer& operator=(Buffer&&) = delete;
  void* data() { return data_; }
  template <class T>
  T& at(int64_t i) {
    return static_cast<T*>(static_cast<void*>(data_))[i];
  }
  int64_t count() const { return count_; }

 private:
  void* block_;
  char* data_;
  int64_t count_;
};

enum Form { kDense, kLengths, kPacked };
enum Strides { kTight, kBatchFirst, kGaps };

// A call to make: the numbers, how they lie in memory, and what is asked for.
struct Trial {
  Problem problem;
  Form form = kDense;
  Strides strides = kTight;
  int64_t checkpoint = 0;
  statewise::Limits limits{};
  std::vector<bool> wanted;  // a Leaf each
};

// Where a sequence's rows lie: `place(t, n)` is the first element of one.
struct Rows {
  const Trial& trial;
  int64_t width, row, step;
  std::vector<int64_t> at;  // packed: rows before step t

  Rows(const Trial& t, int64_t w) : trial(t), width(w) {
    const Problem& p = t.problem;
    row = t.strides == kGaps ? width + 3 : width;
    step = p.N * row + (t.strides == kGaps ? 5 : 0);
    if (t.strides == kBatchFirst && t.form != kPacked) row = p.T * width, step = width;
    if (t.form != kPacked) return;
    at.assign(size_t(p.T) + 1, 0);
    for (int64_t s = 0; s < p.T; ++s)
      at[size_t(s) + 1] =
          at[size_t(s)] + std::count_if(p.lengths.begin(), p.lengths.end(), [&](int64_t l) { return l > s; });
  }
  int64_t place(int64_t t, int64_t n) const { return at.empty() ? t * step + n * row : (at[size_t(t)] + n) * row; }
  int64_t count() const {
    const Problem& p = trial.problem;
    const int64_t rows = at.empty() ? p.T * p.N : at.back();
    if (rows == 0) return 0;
    return at.empty() ? place(p.T - 1, p.N - 1) + width : (rows - 1) * row + width;
  }
  bool within(int64_t t, int64_t n) const { return t < trial.problem.lengths[size_t(n)]; }
};

// Not a byte longer than asked for, so that a sanitizer sees who goes beyond; where that is to be had.
statewise::Memory exact_memory(size_t size) {
#if defined(_WIN32)
  return statewise::line_memory(int64_t(size));
#else
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, size) != 0) std::abort();
  return statewise::Memory(memory);
#endif
}

template <class T>
class Attempt {
 public:
  Attempt(const Trial& trial, int threads, bool bfloat16_products = false)
      : trial_(trial), p_(trial.problem), x_(trial, p_.I), y_(trial, p_.D * p_.P()), tight_(trial) {
    tight_.strides = kTight;
    const statewise::InstructionSet& set = statewise::instruction_set();
    while (set.cells[call_.cell].shape.name != p_.cell) ++call_.cell;
    call_.float64 = sizeof(T) == 8;
    call_.bfloat16 = sizeof(T) == 2;
    call_.bfloat16_products = bfloat16_products;
    call_.threads = threads;
    call_.T = p_.T, call_.N = p_.N, call_.I = p_.I, call_.H = p_.H, call_.projected = p_.projected;
    call_.L = p_.L, call_.D = p_.D, call_.bias = p_.bias;
    call_.checkpoint = trial.checkpoint;
    call_.limits = trial.limits;
    call_.x = sequence(x_, p_.x);
    call_.y = sequence(y_, {});
    if (trial.form == kLengths) call_.lengths = p_.lengths.data();
    if (trial.form == kPacked) {
      for (int64_t t = 0; t < p_.T; ++t) batch_sizes_.push_back(y_.at[size_t(t) + 1] - y_.at[size_t(t)]);
      call_.batch_sizes = batch_sizes_.data();
    }
    for (const Numbers& w : p_.weights) call_.weights.push_back(filled(w));
    for (const Numbers& m : p_.masks) call_.masks.push_back(sequence(Rows(tight_, p_.D * p_.P()), m).data);
    call_.state[0].initial = p_.h0.empty() ? nullptr : filled(p_.h0);
    call_.state[1].initial = p_.c0.empty() ? nullptr : filled(p_.c0);
    call_.state[0].final = empty(p_.L * p_.D * p_.N * p_.state_width());
    call_.state[1].final = p_.has_c() ? empty(p_.L * p_.D * p_.N * p_.H) : nullptr;
  }

  // Has the weights packed, as forward reads them from now on.
  void pack(statewise::Stored stored) {
    call_.stored = stored;
    const size_t bytes = size_t(statewise::packed_bytes(call_));
    pack_ = exact_memory(bytes);
    std::memset(pack_.get(), 0xFF, bytes);
    statewise::pack(call_, pack_.get());
    call_.packed = pack_.get();
    call_.weights.clear();
  }

  void forward(bool training) {
    call_.training = training;
    if (training) {
      const statewise::TapeBytes bytes = statewise::tape_bytes(call_);
      const int64_t steps = trial_.form == kPacked ? y_.at.back() : p_.T * p_.N;
      const int64_t kept = trial_.checkpoint ? p_.N * ((p_.T + trial_.checkpoint - 1) / trial_.checkpoint) : 0;
      const size_t size = size_t(steps * bytes.a_step + p_.N * bytes.a_row + kept * bytes.a_kept + bytes.always);
      tape_ = exact_memory(size);
      std::memset(tape_.get(), 0xFF, size);
      call_.tape = tape_.get();
    }
    poison_scratch();
    statewise::forward(call_);
  }

  void backward() {
    call_.dy = p_.dy.empty() ? statewise::Strided{} : sequence(y_, p_.dy);
    call_.state[0].dfinal = p_.dhn.empty() ? nullptr : filled(p_.dhn);
    call_.state[1].dfinal = p_.dcn.empty() ? nullptr : filled(p_.dcn);
    const auto wanted = [&](int leaf, int64_t count) { return trial_.wanted[size_t(leaf)] ? empty(count) : nullptr; };
    if (trial_.wanted[kX]) call_.dx = sequence(x_, {});
    call_.state[0].dinitial = wanted(kH0, p_.L * p_.D * p_.N * p_.state_width());
    call_.state[1].dinitial = p_.has_c() ? wanted(kC0, p_.L * p_.D * p_.N * p_.H) : nullptr;
    for (size_t k = 0; k < p_.weights.size(); ++k)
      call_.weight_gradients.push_back(wanted(int(kWeights + k), int64_t(p_.weights[k].size())));
    poison_scratch();
    statewise::backward(call_);
  }

  Numbers y() const { return padded(y_, call_.y.data); }
  Numbers hn() const { return numbers(call_.state[0].final, p_.L * p_.D * p_.N * p_.state_width()); }
  Numbers cn() const { return numbers(call_.state[1].final, p_.L * p_.D * p_.N * p_.H); }

  // The gradient of a leaf, laid out as the leaf is in Problem; empty if it isn't asked for.
  Numbers gradient(int leaf) const {
    if (leaf == kX) return call_.dx.data ? padded(x_, call_.dx.data) : Numbers{};
    if (leaf == kH0) return numbers(call_.state[0].dinitial, p_.L * p_.D * p_.N * p_.state_width());
    if (leaf == kC0) return numbers(call_.state[1].dinitial, p_.L * p_.D * p_.N * p_.H);
    const size_t k = size_t(leaf - kWeights);
    return numbers(call_.weight_gradients[k], int64_t(p_.weights[k].size()));
  }

  // Whether what lies between the rows of a result is as it was.
  bool gaps_are_untouched() const {
    const auto untouched = [](const Rows& rows, const void* data) {
      if (!data) return true;
      std::vector<bool> ours(size_t(rows.count()), false);
      const Problem& p = rows.trial.problem;
      for (int64_t t = 0; t < p.T; ++t)
        for (int64_t n = 0; n < p.N; ++n)
          for (int64_t i = 0; i < rows.width && (rows.at.empty() || rows.within(t, n)); ++i)
            ours[size_t(rows.place(t, n) + i)] = true;
      for (size_t i = 0; i < ours.size(); ++i)
        if (!ours[i] && !std::isnan(double(static_cast<const T*>(data)[i]))) return false;
      return true;
    };
    return untouched(y_, call_.y.data) && untouched(x_, call_.dx.data);
  }

 private:
  // The kernels' own memory keeps what the call before left there.
  static void poison_scratch() {
    constexpr int64_t bytes = 1 << 19;  // as much as most trials need
    for (const auto use : {statewise::Scratch::kKernels, statewise::Scratch::kConversion})
      std::memset(statewise::Scratch(bytes, use).data(), 0xFF, bytes);
  }

  void* empty(int64_t count) {
    buffers_.emplace_back(count, sizeof(T));
    return buffers_.back().data();
  }

  void* filled(const Numbers& values) {
    T* to = static_cast<T*>(empty(int64_t(values.size())));
    for (size_t i = 0; i < values.size(); ++i) to[i] = T(values[i]);
    return to;
  }

  // A sequence in memory of its own, with `values` (T, N, width), or NaN throughout; NaN past the rows' ends.
  statewise::Strided sequence(const Rows& rows, const Numbers& values) {
    T* to = static_cast<T*>(empty(rows.count()));
    for (int64_t t = 0; t < p_.T && !values.empty(); ++t)
      for (int64_t n = 0; n < p_.N; ++n)
        for (int64_t i = 0; i < rows.width && rows.within(t, n); ++i)
          to[rows.place(t, n) + i] = T(values[size_t((t * p_.N + n) * rows.width + i)]);
    return {to, rows.step, rows.row};
  }

  Numbers padded(const Rows& rows, const void* data) const {
    Numbers all(size_t(p_.T * p_.N * rows.width), 0.0);
    for (int64_t t = 0; t < p_.T; ++t)
      for (int64_t n = 0; n < p_.N; ++n)
        for (int64_t i = 0; i < rows.width && (rows.at.empty() || rows.within(t, n)); ++i)
          all[size_t((t * p_.N + n) * rows.width + i)] = double(static_cast<const T*>(data)[rows.place(t, n) + i]);
    return all;
  }

  static Numbers numbers(const void* data, int64_t count) {
    const T* from = static_cast<const T*>(data);
    return from ? Numbers(from, from + count) : Numbers{};
  }

  const Trial& trial_;
  const Problem& p_;
  Rows x_, y_;
  Trial tight_;
  std::vector<int64_t> batch_sizes_;
  std::vector<Buffer> buffers_;
  statewise::Memory tape_, pack_;
  statewise::Call call_;
};

// What a trial must give, and along which directions its gradients are looked at.
struct Expected {
  Results results;
  std::vector<Numbers> along;
  Numbers slopes;
};

long long checked = 0;

void check_values(const std::string& what, const Numbers& got, const Numbers& want, double allowed) {
  CHECK(got.size() == want.size(), "%s: %zu for %zu", what.c_str(), got.size(), want.size());
  double largest = 1, worst = 0;
  for (const double w : want) largest = std::max(largest, std::abs(w));
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - want[i]);
    worst = error <= worst ? worst : error;  // NaN stays
  }
  CHECK(worst <= allowed * largest, "%s is off by %g, the largest being %g", what.c_str(), worst, largest);
  ++checked;
}

void check_slope(const std::string& what, const Numbers& gradient, const Numbers& along, double want, double allowed) {
  double got = 0, total = 1e-3;
  for (size_t i = 0; i < along.size(); ++i) got += gradient[i] * along[i], total += std::abs(gradient[i] * along[i]);
  CHECK(std::abs(got - want) <= allowed * total, "%s: slope %.12g, expected %.12g", what.c_str(), got, want);
  ++checked;
}

bool same_bits(const Numbers& a, const Numbers& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

template <class T>
void check_trial(const Trial& trial, const Expected& want, const std::string& name) {
  const bool single = sizeof(T) == 4;
  const double near = single ? 2e-5 : 1e-12;
  Attempt<T> plain(trial, 1), one(trial, 1), three(trial, 3);
  plain.forward(false);
  for (Attempt<T>* a : {&one, &three}) a->forward(true), a->backward();
  check_values(name + " y", one.y(), want.results.y, near);
  check_values(name + " hn", one.hn(), want.results.hn, near);
  if (trial.problem.has_c()) check_values(name + " cn", one.cn(), want.results.cn, near);
  for (const Attempt<T>* a : {&plain, &three}) {
    CHECK(same_bits(a->y(), one.y()) && same_bits(a->hn(), one.hn()) && same_bits(a->cn(), one.cn()), "%s",
          name.c_str());
    CHECK(a->gaps_are_untouched(), "%s", name.c_str());
  }
  if (single && want.results.kink < 1e-4) return;  // float and double may be on either side of relu's kink
  for (int leaf = 0; leaf < int(trial.wanted.size()); ++leaf) {
    const Numbers gradient = one.gradient(leaf);
    CHECK(same_bits(three.gradient(leaf), gradient), "%s gradient %d", name.c_str(), leaf);
    if (gradient.empty() || want.along[size_t(leaf)].empty()) continue;
    check_slope(name + " gradient " + std::to_string(leaf), gradient, want.along[size_t(leaf)],
                want.slopes[size_t(leaf)], single ? 2e-5 : 1e-11);
  }
}

Numbers rounded(Numbers all) {
  for (double& number : all) number = double(Bfloat16(number));
  return all;
}

// The same with operands that bfloat16 holds exactly.
Trial rounded(Trial trial) {
  Problem& p = trial.problem;
  for (Numbers* all : {&p.x, &p.h0, &p.c0, &p.dy, &p.dhn, &p.dcn}) *all = rounded(*all);
  for (Numbers& w : p.weights) w = rounded(w);
  return trial;
}

// Products of bfloat16 against the same call's without: what rounding their operands to 8 bits does, and no more. Each
// result as a whole, and its worst element. Some calls make much of a little (one unit, many steps): `near`, from
// operands that were rounded before the call, tells how much.
void check_rounded(const std::string& what, const Numbers& got, const Numbers& want, const Numbers& near) {
  double error = 0, size = 0, moved = 0, worst = 0, farthest = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double e = got[i] - want[i], m = near[i] - want[i];
    error += e * e, size += want[i] * want[i], moved += m * m;
    worst = std::abs(e) <= worst ? worst : std::abs(e), largest = std::max(largest, std::abs(want[i]));
    farthest = std::max(farthest, std::abs(m));
  }
  if (largest < 1e-30) return;  // whose products may be too small to be normal: the instructions take them for zero
  CHECK(std::sqrt(error) <= 0.04 * std::sqrt(size) + 2 * std::sqrt(moved), "%s: off by %g, its size being %g",
        what.c_str(), std::sqrt(error), std::sqrt(size));
  CHECK(worst <= 0.05 * largest + 2 * farthest, "%s: an element is off by %g, the largest being %g", what.c_str(),
        worst, largest);
  ++checked;
}

void check_bfloat16(const Trial& trial, const Expected& want, const std::string& name) {
  Attempt<float> exact(trial, 1), plain(trial, 1, true), one(trial, 1, true), three(trial, 3, true);
  const Trial nearby = rounded(trial);
  Attempt<float> near(nearby, 1);
  plain.forward(false);
  for (Attempt<float>* a : {&exact, &near, &one, &three}) a->forward(true), a->backward();
  check_rounded(name + " y", one.y(), exact.y(), near.y());
  check_rounded(name + " hn", one.hn(), exact.hn(), near.hn());
  if (trial.problem.has_c()) check_rounded(name + " cn", one.cn(), exact.cn(), near.cn());
  for (const Attempt<float>* a : {&plain, &three}) {
    CHECK(same_bits(a->y(), one.y()) && same_bits(a->hn(), one.hn()) && same_bits(a->cn(), one.cn()), "%s",
          name.c_str());
    CHECK(a->gaps_are_untouched(), "%s", name.c_str());
  }
  for (int leaf = 0; leaf < int(trial.wanted.size()); ++leaf) {
    const Numbers gradient = one.gradient(leaf);
    CHECK(same_bits(three.gradient(leaf), gradient), "%s gradient %d", name.c_str(), leaf);
    if (want.results.kink > 1e-2)
      check_rounded(name + " gradient " + std::to_string(leaf), gradient, exact.gradient(leaf), near.gradient(leaf));
  }
}

// Tensors of bfloat16 give what float ones that hold the same numbers do, rounded; but a backward that reads the output
// as it is, the GRU's or one of few rows, whose products are of float, finds fewer digits in it.
void check_bfloat16_tensors(Trial trial, const std::string& name) {
  trial = rounded(trial);
  const Problem& p = trial.problem;
  Attempt<float> wide(trial, 1, true);
  Attempt<Bfloat16> one(trial, 1), three(trial, 3);
  wide.forward(true), wide.backward();
  for (Attempt<Bfloat16>* a : {&one, &three}) a->forward(true), a->backward();
  CHECK(same_bits(one.y(), rounded(wide.y())) && same_bits(one.hn(), rounded(wide.hn())) &&
            same_bits(one.cn(), rounded(wide.cn())),
        "%s", name.c_str());
  CHECK(same_bits(one.y(), three.y()) && one.gaps_are_untouched() && three.gaps_are_untouched(), "%s", name.c_str());
  const int64_t steps = std::accumulate(p.lengths.begin(), p.lengths.end(), int64_t{0});
  const bool reads_output = trial.checkpoint > 0 || p.P() != p.H || p.has_c();
  const bool fewer_digits = reads_output && (p.cell == "gru" || steps < 8);
  for (int leaf = 0; leaf < int(trial.wanted.size()); ++leaf) {
    const Numbers gradient = one.gradient(leaf), want = rounded(wide.gradient(leaf));
    CHECK(same_bits(three.gradient(leaf), gradient), "%s gradient %d", name.c_str(), leaf);
    if (fewer_digits)
      check_rounded(name + " gradient " + std::to_string(leaf), gradient, want, want);
    else
      CHECK(same_bits(gradient, want), "%s gradient %d", name.c_str(), leaf);
  }
  ++checked;
}

// A matrix of rows of `width` as it is once it has been kept in fewer bits.
void keep(Numbers& weight, int64_t width, statewise::Stored stored) {
  for (int64_t row = 0; row < int64_t(weight.size()); row += width) {
    float largest = 0;
    for (int64_t k = 0; k < width; ++k) largest = std::max(largest, std::abs(float(weight[size_t(row + k)])));
    int exponent = 0;  // the unit has 16 binary digits, rounded up
    const float unit = largest / 127;
    std::frexp(unit, &exponent);
    const double rounded_up = std::ldexp(std::ceil(std::ldexp(double(unit), 16 - exponent)), exponent - 16);
    for (int64_t k = 0; k < width; ++k) {
      double& number = weight[size_t(row + k)];
      if (stored == statewise::Stored::kBfloat16)
        number = double(Bfloat16(number));
      else
        number = std::nearbyint(double(float(number / rounded_up))) * rounded_up;
    }
  }
}

// Weights that are kept in fewer bits against the same, rounded before the call: with bfloat16 nothing else is rounded;
// with eight bits x and h are, to 16.
void check_narrow(const Trial& trial, const std::string& name) {
  const Problem& p = trial.problem;
  for (const auto stored : {statewise::Stored::kBfloat16, statewise::Stored::kInt8}) {
    const bool eight = stored == statewise::Stored::kInt8;
    Trial rounded = trial;
    const size_t per = size_t(2 + 2 * p.bias + (p.projected > 0));
    for (size_t i = 0; i < p.weights.size(); ++i) {
      const int64_t width = int64_t(i / per) < p.D ? p.I : p.D * p.P();
      if (i % per == 0) keep(rounded.problem.weights[i], width, stored);
      if (i % per == 1) keep(rounded.problem.weights[i], p.P(), stored);
      if (p.projected && i % per + 1 == per) keep(rounded.problem.weights[i], p.H, stored);
    }
    Attempt<double> exact(rounded, 1);
    Attempt<float> once(rounded, 1), one(trial, 1), three(trial, 3);
    exact.forward(false);
    for (Attempt<float>* a : {&once, &one, &three}) a->pack(stored), a->forward(false);
    const double near = eight ? 1e-3 : 2e-5;
    check_values(name + " y", one.y(), exact.y(), near);
    check_values(name + " hn", one.hn(), exact.hn(), near);
    if (p.has_c()) check_values(name + " cn", one.cn(), exact.cn(), near);
    for (const Attempt<float>* a : {&once, &three}) {  // what has been rounded once is packed as it is
      CHECK(same_bits(a->y(), one.y()) && same_bits(a->hn(), one.hn()) && same_bits(a->cn(), one.cn()), "%s",
            name.c_str());
      CHECK(a->gaps_are_untouched(), "%s", name.c_str());
    }
  }
}

// Trials

// Numbers that float holds exactly, so that both types compute with the same.
Numbers draw(Random& random, int64_t count, double scale) {
  std::uniform_real_distribution<float> uniform(-1, 1);
  Numbers all;
  for (int64_t i = 0; i < count; ++i) all.push_back(double(float(scale * double(uniform(random)))));
  return all;
}

int64_t pick(Random& random, const std::vector<int64_t>& choices) { return choices[random() % choices.size()]; }
bool one_in(Random& random, uint64_t n) { return random() % n == 0; }

void fill(Trial& trial, Random& random, bool with_state, bool with_masks) {
  Problem& p = trial.problem;
  p.lengths.assign(size_t(p.N), p.T);
  if (trial.form == kLengths)
    for (int64_t& l : p.lengths) l = int64_t(random() % uint64_t(p.T + 1));
  if (trial.form == kPacked) {
    for (int64_t& l : p.lengths) l = 1 + int64_t(random() % uint64_t(p.T));
    std::sort(p.lengths.rbegin(), p.lengths.rend());
    p.T = p.N ? p.lengths[0] : 0;
  }
  const double scale = 1 / std::sqrt(double(p.H));
  p.x = draw(random, p.T * p.N * p.I, 1);
  for (int64_t k = 0; k < p.L * p.D; ++k) {
    const int64_t rows = p.gates() * p.H;
    p.weights.push_back(draw(random, rows * (k < p.D ? p.I : p.D * p.P()), scale));
    p.weights.push_back(draw(random, rows * p.P(), scale));
    for (int i = 0; i < 2 * p.bias; ++i) p.weights.push_back(draw(random, rows, scale));
    if (p.projected) p.weights.push_back(draw(random, p.P() * p.H, scale));
  }
  const int64_t width = p.D * p.P(), states = p.L * p.D * p.N;
  for (int64_t l = 0; with_masks && l + 1 < p.L; ++l) {
    p.masks.push_back(Numbers());
    for (int64_t i = 0; i < p.T * p.N * width; ++i) p.masks.back().push_back(one_in(random, 2) ? 2 : 0);
  }
  if (with_state) p.h0 = draw(random, states * p.state_width(), 1);
  if (with_state && p.has_c()) p.c0 = draw(random, states * p.H, 1);
  if (!one_in(random, 5)) p.dy = draw(random, p.T * p.N * width, 1);
  if (!one_in(random, 4)) p.dhn = draw(random, states * p.state_width(), 1);
  if (!one_in(random, 4) && p.has_c()) p.dcn = draw(random, states * p.H, 1);
  const bool all = !one_in(random, 4);
  for (size_t leaf = 0; leaf < kWeights + p.weights.size(); ++leaf) trial.wanted.push_back(all || one_in(random, 2));
}

Trial random_trial(uint64_t seed, const std::string& cell) {
  Random random(seed);
  const std::vector<int64_t> sizes{1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50, 63, 64, 65};
  Trial trial;
  Problem& p = trial.problem;
  p.cell = cell;
  p.I = pick(random, sizes), p.H = pick(random, sizes);
  p.projected = one_in(random, 3) && p.H > 1 ? 1 + int64_t(random() % uint64_t(p.H - 1)) : 0;
  p.L = pick(random, {1, 1, 2, 3}), p.D = pick(random, {1, 2});
  p.bias = !one_in(random, 4);
  trial.form = Form(random() % 3), trial.strides = Strides(random() % 3);
  const int64_t least = trial.form == kPacked ? 1 : 0;
  p.T = std::max(least, pick(random, {0, 1, 2, 3, 7, 30})),
  p.N = pick(random, {0, 1, 2, 3, 5, 7, 8, 9, 16, 17, 25, 40});
  const int64_t cost = p.L * p.D * p.gates() * p.H * (p.I + 2 * p.P());
  const int64_t steps = 500000 / cost + 1;
  p.N = std::min(p.N, steps), p.T = std::min(p.T, steps / std::max<int64_t>(p.N, 1) + 1);
  if (one_in(random, 4)) trial.checkpoint = 1 + int64_t(random() % 10);
  fill(trial, random, !one_in(random, 3), p.L > 1 && one_in(random, 2));
  return trial;
}

// Small, but of many steps: what the kernels do chunk by chunk. 25 and 50 rows make groups of unequal size, 170 eleven
// groups.
Trial long_trial(uint64_t seed, const std::string& cell, int64_t n, Form form) {
  Random random(seed);
  Trial trial;
  trial.problem = {cell, n > 100 ? 20 : 150, n, 3, 5, 0, 1, 2, true, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  trial.form = form;
  fill(trial, random, true, false);
  trial.wanted.assign(trial.wanted.size(), true);
  return trial;
}

// Of so few rows and so much work that threads help each other: three layers that follow one another, or two layers
// whose directions are computed side by side.
Trial helped_trial(uint64_t seed, const std::string& cell, int64_t n, int64_t directions, int64_t checkpoint) {
  Random random(seed);
  Trial trial;
  trial.problem = {cell, 150, n,  3,  20, 0, directions == 1 ? 3 : 2, directions, true, {}, {}, {},
                   {},   {},  {}, {}, {}, {}};
  trial.checkpoint = checkpoint;
  if (n == 3) trial.form = kLengths;
  fill(trial, random, true, n != 1);
  trial.wanted.assign(trial.wanted.size(), true);
  return trial;
}

// As where the weights are too large for sums of every group's own: one group, whose steps all threads share.
Trial shared_trial(uint64_t seed, const std::string& cell, int64_t hidden, int64_t projected, Form form) {
  Random random(seed);
  Trial trial;
  trial.problem = {cell, 12, 25, 34, hidden, projected, 2, 1, true, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  trial.form = form;
  trial.limits = {.partial_bytes = 1, .shared_step = 1};
  fill(trial, random, true, true);
  trial.wanted.assign(trial.wanted.size(), true);
  return trial;
}

Expected expected_of(const Trial& trial, uint64_t seed) {
  Random random(seed);
  const Problem& p = trial.problem;
  Expected want{naive(p), {}, {}};
  for (int leaf = 0; leaf < int(trial.wanted.size()); ++leaf) {
    const Numbers& own = leaf == kX    ? p.x
                         : leaf == kH0 ? p.h0
                         : leaf == kC0 ? p.c0
                                       : p.weights[size_t(leaf - kWeights)];
    want.along.push_back(trial.wanted[size_t(leaf)] ? draw(random, int64_t(own.size()), 1) : Numbers{});
    want.slopes.push_back(want.along.back().empty() ? 0 : slope(p, leaf, want.along.back()));
  }
  return want;
}

void check_everywhere(const Trial& trial, uint64_t seed) {
  const Expected want = expected_of(trial, seed);
  const Problem& p = trial.problem;
  for (const statewise::InstructionSet* set : statewise::instruction_sets()) {
    statewise::use_instruction_set(set->name);
    char name[160];
    std::snprintf(name, sizeof name,
                  "%s %s seed %d: T %d N %d I %d H %d P %d L %d D %d form %d strides %d checkpoint %d", set->name,
                  p.cell.c_str(), int(seed), int(p.T), int(p.N), int(p.I), int(p.H), int(p.projected), int(p.L),
                  int(p.D), trial.form, trial.strides, int(trial.checkpoint));
    check_trial<float>(trial, want, std::string(name) + ", float,");
    check_trial<double>(trial, want, std::string(name) + ", double,");
    check_narrow(trial, std::string(name) + ", kept in fewer bits,");
    if (!statewise::bfloat16_set()) continue;
    check_bfloat16(trial, want, std::string(name) + ", bfloat16,");
    check_bfloat16_tensors(trial, std::string(name) + ", bfloat16 tensors,");
  }
}

}  // namespace

// test_stack [TRIALS [CELL]]: so many random trials of each cell, below 100 with a part of the others, where a
// processor is emulated; and one cell alone, so that each can have a processor.
int main(int argc, char** argv) {
  if (&statewise::int8_kernels() == &statewise::instruction_set().int8_weights)
    std::printf("products of eight bits are not tested: this processor has no instructions for them\n");
  if (!statewise::bfloat16_set()) std::printf("bfloat16 is not tested: this processor doesn't multiply it\n");
  const uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100;
  const bool all = seeds >= 100;
  for (const std::string cell : {"rnn_tanh", "rnn_relu", "lstm", "gru"}) {
    if (argc > 2 && cell != argv[2]) continue;
    for (uint64_t seed = 0; seed < seeds; ++seed) check_everywhere(random_trial(seed, cell), seed);
    for (const int64_t n : {1, 3, 25, 50, 170})
      if (all || n == 3) check_everywhere(long_trial(1, cell, n, n == 3 ? kLengths : kDense), 1);
    for (const int64_t hidden : {5, 50, 66})
      for (const Form form : {kDense, kLengths})
        if (all || (hidden == 50 && form == kDense))
          check_everywhere(shared_trial(3, cell, hidden, hidden == 66 ? 17 : 0, form), 3);
    for (const int64_t n : {1, 3, 5})
      for (const int64_t directions : {1, 2})
        for (const int64_t checkpoint : {0, 70})
          if (all || n * directions * checkpoint == 70)
            check_everywhere(helped_trial(2, cell, n, directions, checkpoint), 2);
  }
  return verdict(checked);
}
