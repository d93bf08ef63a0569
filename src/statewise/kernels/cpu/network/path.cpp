// The best of each step, or the best way through the steps.

#include <algorithm>
#include <utility>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

template <class T>
class Best final : public Local<T> {  // of each step by itself
 public:
  Best(const Told<T>& told, const std::vector<Form>& given) : width_(steps(told, given).width) {
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
  int64_t room(const Extent&) const override { return 3 * k_; }
  bool feed(const Extent& extent, const void* const* given, const StatePart*, T* const*, void* result,
            T* room) const override {
    auto* const found = static_cast<int64_t*>(result);
    std::vector<int32_t> came(size_t(extent.steps * k_));
    for (int64_t n = 0; n < extent.rows; ++n) {
      const int64_t count = extent.of(n);
      for (int64_t t = count; t < extent.steps; ++t) found[t * extent.rows + n] = 0;
      if (count) best_way(count, extent.rows, static_cast<const T*>(given[0]) + n * k_, came.data(), room, found + n);
    }
    return true;
  }

 private:
  // Of one row, whose steps lie `apart` rows from each other.
  void best_way(int64_t count, int64_t apart, const T* scores, int32_t* came, T* room, int64_t* found) const {
    T *best = room, *ways = room + k_, *const end = room + 2 * k_;
    for (int64_t j = 0; j < k_; ++j) best[j] = scores[j] + first_[size_t(j)];
    for (int64_t t = 1; t < count; ++t) {
      int32_t* const from = came + t * k_;
      for (int64_t i = 0; i < k_; ++i) {
        const T* const between = between_.data() + i * k_;
        for (int64_t j = 0; j < k_; ++j) {
          const T way = best[i] + between[j];
          const bool better = i == 0 || way > ways[j];
          ways[j] = better ? way : ways[j], from[j] = better ? int32_t(i) : from[j];
        }
      }
      for (int64_t j = 0; j < k_; ++j) ways[j] += scores[t * apart * k_ + j];
      std::swap(best, ways);
    }
    for (int64_t j = 0; j < k_; ++j) end[j] = best[j] + last_[size_t(j)];
    int64_t tag = std::max_element(end, end + k_) - end;
    for (int64_t t = count - 1; t >= 0; --t) {
      found[t * apart] = tag;
      if (t) tag = came[t * k_ + tag];
    }
  }

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

}  // namespace statewise::runtime
