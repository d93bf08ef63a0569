// What sums up the steps: the last one, the largest, their mean.

#include <algorithm>
#include <cmath>
#include <limits>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise {
namespace {

template <class T>
class Last final : public Op<T> {
 public:
  Last(const Told<T>& told, const std::vector<Form>& given) : both_(told.flag("bidirectional")) {
    this->form = {steps(told, given).width, Kind::kSummary};
    this->streams = !both_;
  }
  int64_t state_of_row() const { return 1; }  // which says nothing: what it gives is its state
  void begin(T* state) const { *state = 0; }
  bool step_row(const void* const* given, int64_t row, T*, T* y) const {
    std::copy_n(static_cast<const T*>(given[0]) + row * this->form.width, this->form.width, y);
    return true;
  }
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    return std::make_unique<SmallWorker<T, Last>>(*this, rows);
  }

 protected:
  void nothing(T* y) const override { std::fill_n(y, this->form.width, T(0)); }
  void sequence(int64_t count, const std::vector<Row>& given, void* result) const override {
    const int64_t width = this->form.width;
    const T* const x = reinterpret_cast<const T*>(given[0].data);
    if (!count) return nothing(static_cast<T*>(result));
    std::copy_n(x + (count - 1) * width, width, static_cast<T*>(result));
    if (both_) std::copy_n(x + width / 2, width - width / 2, static_cast<T*>(result) + width / 2);
  }

 private:
  bool both_;
};

template <class T>
class Largest final : public Op<T> {
 public:
  Largest(const Told<T>& told, const std::vector<Form>& given) {
    this->form = {steps(told, given).width, Kind::kSummary};
  }
  int64_t state_of_row() const { return this->form.width; }
  void begin(T* state) const { nothing(state); }
  bool step_row(const void* const* given, int64_t row, T* state, T* y) const {
    const T* const x = static_cast<const T*>(given[0]) + row * this->form.width;
    for (int64_t i = 0; i < this->form.width; ++i)
      y[i] = state[i] = std::isnan(x[i]) || x[i] > state[i] ? x[i] : state[i];
    return true;
  }
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    return std::make_unique<SmallWorker<T, Largest>>(*this, rows);
  }

 protected:
  void nothing(T* y) const override { std::fill_n(y, this->form.width, -std::numeric_limits<T>::infinity()); }
};

// The state: the weighted sum, the sum of the weights, and the largest score, which has weight 1.
template <class T>
class Mean final : public Op<T> {
 public:
  Mean(const Told<T>& told, const std::vector<Form>& given) : scored_(given.size() > 1) {
    check_values(told, given);
    if (given.size() > 2 || (scored_ && given[0].width != 1)) told.refuse("steps, and maybe a score of each");
    for (const Form& form : given)
      if (form.kind == Kind::kSummary) told.refuse("steps to read, not a summary of them");
    this->form = {given.back().width, Kind::kSummary};
  }
  int64_t state_of_row() const { return this->form.width + 2; }
  void begin(T* state) const {
    std::fill_n(state, this->form.width + 1, T(0));
    state[this->form.width + 1] = -std::numeric_limits<T>::infinity();
  }
  bool step_row(const void* const* given, int64_t row, T* state, T* y) const {
    const int64_t width = this->form.width;
    const T* const x = static_cast<const T*>(given[scored_]) + row * width;
    const T score = scored_ ? static_cast<const T*>(given[0])[row] : T(0);
    T &sum = state[width], &most = state[width + 1];
    const T highest = std::max(most, score);
    const T kept = std::isinf(most) ? T(0) : std::exp(most - highest);
    const T own = std::isinf(score) && score < 0 ? T(0) : std::exp(score - highest);
    most = highest, sum = sum * kept + own;
    for (int64_t i = 0; i < width; ++i) {
      state[i] = state[i] * kept + own * x[i];
      y[i] = state[i] / sum;
    }
    return true;
  }
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    return std::make_unique<SmallWorker<T, Mean>>(*this, rows);
  }

 protected:
  void nothing(T* y) const override { std::fill_n(y, this->form.width, std::numeric_limits<T>::quiet_NaN()); }

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

}  // namespace statewise
