// What sums up the steps: the last one, the largest, their mean.

#include <algorithm>
#include <cmath>
#include <limits>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

// What the last step gives; of a layer in two directions the backward one's first step.
template <class T>
class Last final : public Op<T> {
 public:
  Last(const Told<T>& told, const std::vector<Form>& given) : both_(told.flag("bidirectional")) {
    const int64_t width = steps(told, given).width;
    this->form = {width, Kind::kSummary}, this->states = {{1, width}};
    this->streams = !both_, this->gives_state = true;
  }
  bool feed(const Extent& extent, const void* const* given, const StatePart* before, T* const* after, void* result,
            T*) const override {
    const int64_t width = this->form.width, rows = extent.rows, first = both_ ? width / 2 : width;
    for (int64_t n = 0; n < rows; ++n) {
      T* const y = static_cast<T*>(result) + n * width;
      const auto row = [&](int64_t t) { return static_cast<const T*>(given[0]) + (t * rows + n) * width; };
      if (const int64_t length = extent.of(n)) {
        std::copy_n(row(length - 1), first, y);
        std::copy_n(row(0) + first, width - first, y + first);
      } else if (before) {
        std::copy_n(static_cast<const T*>(before[0].data) + n * width, width, y);
      } else {
        std::fill_n(y, width, T(0));
      }
      if (after && after[0] + n * width != y) std::copy_n(y, width, after[0] + n * width);
    }
    return true;
  }

 private:
  bool both_;
};

template <class T>
class Largest final : public Folded<T> {
 public:
  Largest(const Told<T>& told, const std::vector<Form>& given) {
    const int64_t width = steps(told, given).width;
    this->form = {width, Kind::kSummary}, this->states = {{1, width}};
    this->reads_rows_of(given);
  }
  void begin(size_t, int64_t rows, T* to) const override {
    std::fill_n(to, rows * this->form.width, -std::numeric_limits<T>::infinity());
  }
  bool step_row(const void* const* given, T* const* state, T*) const override {
    const T* const x = static_cast<const T*>(given[0]);
    for (int64_t i = 0; i < this->form.width; ++i)
      state[0][i] = x[i] != x[i] || x[i] > state[0][i] ? x[i] : state[0][i];
    return true;
  }
  void sum_up(T* const* state, T* y) const override { std::copy_n(state[0], this->form.width, y); }
};

// The mean of the steps, weighted by exp of the score of each, if there are two values: attention. The state: the
// weighted sum, the sum of the weights, and the largest score, whose weight is 1.
template <class T>
class Mean final : public Folded<T> {
 public:
  Mean(const Told<T>& told, const std::vector<Form>& given) : scored_(given.size() > 1) {
    check_values(told, given);
    if (given.size() > 2 || (scored_ && given[0].width != 1)) told.refuse("steps, and maybe a score of each");
    for (const Form& form : given)
      if (form.kind == Kind::kSummary) told.refuse("steps to read", "a summary of them");
    const int64_t width = given.back().width;
    this->form = {width, Kind::kSummary}, this->states = {{1, width}, {1, 1}, {1, 1}};
    this->reads_rows_of(given);
  }
  void begin(size_t k, int64_t rows, T* to) const override {
    std::fill_n(to, rows * this->states[k].width, k < 2 ? T(0) : -std::numeric_limits<T>::infinity());
  }
  bool step_row(const void* const* given, T* const* state, T*) const override {
    const T* const x = static_cast<const T*>(given[scored_]);
    const T score = scored_ ? *static_cast<const T*>(given[0]) : T(0);
    T &sum = *state[1], &most = *state[2];
    const T highest = score > most || score != score ? score : most;
    const T kept = most == highest ? T(1) : std::isinf(most) ? T(0) : std::exp(most - highest);
    const T own = score == highest ? T(1) : std::isinf(score) && score < 0 ? T(0) : std::exp(score - highest);
    most = highest, sum = sum * kept + own;
    for (int64_t i = 0; i < this->form.width; ++i) state[0][i] = state[0][i] * kept + own * x[i];
    return true;
  }
  void sum_up(T* const* state, T* y) const override {  // of no step at all NaN, as torch's
    for (int64_t i = 0; i < this->form.width; ++i) y[i] = state[0][i] / *state[1];
  }

 private:
  bool scored_;
};

}  // namespace

template <class T>
Made<T> make_last(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Last<T>>(told, given);
}

template <class T>
Made<T> make_max(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Largest<T>>(told, given);
}

template <class T>
Made<T> make_mean(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Mean<T>>(told, given);
}

template Made<float> make_last(const Told<float>&, const std::vector<Form>&);
template Made<double> make_last(const Told<double>&, const std::vector<Form>&);
template Made<float> make_max(const Told<float>&, const std::vector<Form>&);
template Made<double> make_max(const Told<double>&, const std::vector<Form>&);
template Made<float> make_mean(const Told<float>&, const std::vector<Form>&);
template Made<double> make_mean(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise::runtime
