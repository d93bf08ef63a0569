// Every cell that comes with statewise, in every instruction set: forward and backward at odd sizes agree among the
// sets, and float with double. What the numbers have to be, the Python tests know; here sanitizers watch.
//
// Every buffer ends where its block does and is filled with NaN first, so that an element that nobody wrote shows.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "dispatch.hpp"
#include "stack.hpp"

namespace {

using statewise::Call;
using statewise::CellShape;
using statewise::WeightKind;
using statewise::WeightOf;

struct Sizes {
  int64_t T, N, I, H, L, D, checkpoint;
  bool ragged, options;
};

// The tensors of one call, in one dtype, and what came of it.
template <class T>
class Run {
 public:
  Run(int cell, const CellShape& shape, const Sizes& z, uint64_t seed) : shape_(shape), random_(seed) {
    Call& c = call_;
    c.cell = cell, c.float64 = sizeof(T) == 8, c.threads = 2, c.training = true;
    c.T = z.T, c.N = z.N, c.I = z.I, c.H = z.H, c.L = z.L, c.D = z.D, c.checkpoint = z.checkpoint;
    c.heads = shape.heads_h ? 2 : 1;
    for (int64_t n = 0; z.ragged && n < z.N; ++n) lengths_.push_back(int64_t(random_() % uint64_t(z.T + 1)));
    if (z.ragged) c.lengths = lengths_.data();
    WeightOf list[statewise::kMaxWeights];
    const int per = statewise::list_weights(shape, true, false, list);
    for (int64_t i = 0; i < z.L * z.D; ++i)
      for (int k = 0; k < per; ++k) {
        const int64_t rows = list[k].parts * z.H, input = i < z.D ? z.I : z.D * z.H;
        const int64_t count = list[k].kind == WeightKind::kInput       ? rows * input / (shape.heads_x ? c.heads : 1)
                              : list[k].kind == WeightKind::kRecurrent ? rows * z.H / c.heads
                                                                       : rows;
        c.weights.push_back(drawn(count, 0.3));
        c.weight_gradients.push_back(result(count));
      }
    c.x = {drawn(z.T * z.N * z.I, 1), z.N * z.I, z.I};
    c.dx = {result(z.T * z.N * z.I), z.N * z.I, z.I};
    c.y = {result(z.T * z.N * z.D * z.H), z.N * z.D * z.H, z.D * z.H};
    c.dy = {drawn(z.T * z.N * z.D * z.H, 1), z.N * z.D * z.H, z.D * z.H};
    const int64_t states = z.L * z.D * z.N * z.H;
    for (int k = 0; k < shape.states; ++k) {
      c.state[k].initial = drawn(states, 0.1, k == 2 ? 1 : 0);  // an sLSTM divides by its third
      c.state[k].final = result(states);
      c.state[k].dfinal = drawn(states, 1);
      c.state[k].dinitial = result(states);
      if (!z.options) continue;
      c.state[k].passed = result(states * z.T);
      c.state[k].dpassed = drawn(states * z.T, 1);
      if (shape.states < 3) c.state[k].zoneout = 0.4;
    }
    if (z.options) {
      c.has_seed = true, c.seed = 7, c.gradient_clip = 2;
      if (shape.states < 3) c.clip = 0.8;
      for (int64_t i = 0; shape.recurrent && i < z.L * z.D; ++i) c.recurrent_masks.push_back(drawn(z.N * z.H, 0.1, 1));
    }
    tape_.resize(size_t(statewise::tape_size(c)) + 64);
    c.tape = tape_.data() + (64 - reinterpret_cast<uintptr_t>(tape_.data()) % 64) % 64;
    statewise::forward(c);
    statewise::backward(c);
  }

  std::vector<double> results() const {
    std::vector<double> all;
    for (const auto& [data, count] : results_) all.insert(all.end(), data, data + count);
    return all;
  }

 private:
  T* room(int64_t count) {
    blocks_.emplace_back(new T[size_t(count)]);
    std::fill_n(blocks_.back().get(), count, std::numeric_limits<T>::quiet_NaN());
    return blocks_.back().get();
  }
  T* drawn(int64_t count, double scale, double around = 0) {
    std::normal_distribution<double> normal;
    T* const p = room(count);
    for (int64_t i = 0; i < count; ++i) p[i] = T(around + scale * normal(random_));
    return p;
  }
  T* result(int64_t count) {
    T* const p = room(count);
    results_.push_back({p, count});
    return p;
  }

  const CellShape& shape_;
  std::mt19937_64 random_;
  Call call_;
  std::vector<int64_t> lengths_;
  std::vector<std::unique_ptr<T[]>> blocks_;
  std::vector<std::pair<const T*, int64_t>> results_;
  std::vector<char> tape_;
};

void compare(const std::string& name, const std::vector<double>& found, const std::vector<double>& wanted,
             double tolerance) {
  double largest = 0, worst = 0;
  for (double v : wanted) largest = std::max(largest, std::abs(v));
  bool finite = true;
  for (size_t i = 0; i < wanted.size(); ++i) {
    finite = finite && std::isfinite(found[i]);
    worst = std::max(worst, std::abs(found[i] - wanted[i]));
  }
  CHECK(finite && worst <= tolerance * largest, "%s: off by %g of %g", name.c_str(), worst, largest);
}

}  // namespace

int main() {
  const Sizes sizes[] = {{5, 3, 4, 6, 1, 1, 0, false, false},
                         {7, 9, 6, 34, 2, 2, 0, true, false},
                         {12, 5, 4, 20, 1, 2, 4, true, true},
                         {9, 20, 8, 50, 2, 1, 0, false, true},
                         {1, 2, 2, 2, 1, 1, 0, false, true}};
  const auto sets = statewise::instruction_sets();
  long long checked = 0;
  for (int cell = 0; cell < *sets.front()->count; ++cell)
    for (const Sizes& z : sizes) {
      const CellShape& shape = sets.front()->cells[cell].shape;
      std::vector<double> wanted;
      for (const auto* set : sets) {
        statewise::use_instruction_set(set->name);
        const std::string name = std::string(shape.name) + " T = " + std::to_string(z.T) + " by " + set->name;
        const auto found = Run<double>(cell, shape, z, 5).results();
        if (wanted.empty()) wanted = found;
        compare(name, found, wanted, 1e-9);
        ++checked;
        // Of float a bound or a norm of two units may turn what rounding left: there it has to be finite alone.
        const bool turns = z.options || z.H < 3;
        compare(name + " in float", Run<float>(cell, shape, z, 5).results(), wanted, turns ? 1e9 : 2e-3);
      }
    }
  return verdict(checked);
}
