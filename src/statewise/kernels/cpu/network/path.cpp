// The best of each step, or the best way through the steps.

#include <algorithm>
#include <limits>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise {
namespace {

constexpr double kNever = -1e4;  // the score of a move that may not be

template <class T>
class Best final : public Local<T> {  // of each step by itself
 public:
  Best(const Told<T>& told, const std::vector<Form>& given) : width_(one(told, given).width) {
    this->form = {width_, Kind::kSymbols};
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    for (int64_t r = 0; r < rows; ++r) {
      const T* const x = static_cast<const T*>(given[0]) + r * width_;
      static_cast<int64_t*>(result)[r] = std::max_element(x, x + width_) - x;
    }
  }

 private:
  int64_t width_;
};

template <class T>
class Path final : public Op<T> {
 public:
  Path(const Told<T>& told, const std::vector<Form>& given) : k_(steps(told, given).width) {
    this->form = {k_, Kind::kSymbols}, this->streams = false;
    std::vector<T> allowed;
    if (told.has("allowed")) allowed = told.array("allowed", {k_ + 1, k_ + 1});
    if (told.has("between")) {
      between_ = told.array("between", {k_, k_});
      first_ = told.array("first", {k_}), last_ = told.array("last", {k_});
    } else {
      between_.resize(size_t(k_ * k_)), first_.resize(size_t(k_)), last_.resize(size_t(k_));
    }
    if (allowed.empty()) return;
    for (int64_t i = 0; i <= k_; ++i)
      for (int64_t j = 0; j <= k_; ++j)
        if (allowed[size_t(i * (k_ + 1) + j)] == T(0) && i + j < 2 * k_)
          (i == k_ ? first_[size_t(j)] : j == k_ ? last_[size_t(i)] : between_[size_t(i * k_ + j)]) = T(kNever);
  }
  std::unique_ptr<Worker<T>> work(int64_t) const override { return nullptr; }

 protected:
  void sequence(int64_t count, const std::vector<Row>& given, void* result) const override {
    if (!count) return;
    const T* const scores = reinterpret_cast<const T*>(given[0].data);
    auto* const found = static_cast<int64_t*>(result);
    const size_t k = size_t(k_);
    std::vector<T> best(k), next(k);
    std::vector<int64_t> came(k * size_t(count));
    for (int64_t j = 0; j < k_; ++j) best[size_t(j)] = scores[j] + first_[size_t(j)];
    for (int64_t t = 1; t < count; ++t) {
      for (int64_t j = 0; j < k_; ++j) {
        int64_t from = 0;
        T most = -std::numeric_limits<T>::infinity();
        for (int64_t i = 0; i < k_; ++i) {
          const T way = best[size_t(i)] + between_[size_t(i * k_ + j)];
          if (way > most) most = way, from = i;
        }
        came[size_t(t * k_ + j)] = from, next[size_t(j)] = most + scores[t * k_ + j];
      }
      best.swap(next);
    }
    for (int64_t j = 0; j < k_; ++j) best[size_t(j)] += last_[size_t(j)];
    found[count - 1] = std::max_element(best.begin(), best.end()) - best.begin();
    for (int64_t t = count - 1; t > 0; --t) found[t - 1] = came[size_t(t * k_ + found[t])];
  }

 private:
  int64_t k_;
  std::vector<T> between_, first_, last_;
};

}  // namespace

template <class T>
Made<T> make_path(const Told<T>& told, const std::vector<Form>& given) {
  if (told.has("between") || told.has("allowed")) return std::make_unique<Path<T>>(told, given);
  return std::make_unique<Best<T>>(told, given);
}

template Made<float> make_path(const Told<float>&, const std::vector<Form>&);
template Made<double> make_path(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise
