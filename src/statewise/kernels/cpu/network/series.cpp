// What is done to series of numbers before a network reads them.

#include <algorithm>
#include <cmath>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

// (x - mean) / scale in float64; with `carry` a missing value, NaN, is the last one before it, or else 0.
template <class T>
class Scaled final : public Folded<T> {
 public:
  Scaled(const Told<T>& told, const std::vector<Form>& given) : carry_(told.flag("carry")) {
    if (given.size() != 1 || (given[0].kind != Kind::kExact && given[0].kind != Kind::kValues))
      told.refuse("steps to read");
    exact_ = given[0].kind == Kind::kExact;
    this->form = {given[0].width}, this->states = {{1, given[0].width}};
    this->reads_rows_of(given);
    mean_ = told.template array<double>("mean", {this->form.width});
    scale_ = told.template array<double>("scale", {this->form.width});
    for (double scale : scale_)
      if (!(scale > 0)) told.refuse("scales above 0", std::to_string(scale));
  }
  bool step_row(const void* const* given, T* const* state, T* y) const override {
    bool fits = true;
    for (int64_t i = 0; i < this->form.width; ++i) {
      const double x = exact_ ? static_cast<const double*>(given[0])[i] : double(static_cast<const T*>(given[0])[i]);
      const T v = T((x - mean_[size_t(i)]) / scale_[size_t(i)]);
      if (!std::isnan(v)) state[0][i] = v;
      fits = fits && (carry_ || !std::isnan(v));
      y[i] = state[0][i];
    }
    return fits;
  }

 private:
  bool carry_, exact_ = false;
  std::vector<double> mean_, scale_;
};

// `size` steps as one; the last one's are filled up with the last step that there is.
template <class T>
class Segments final : public Op<T> {
 public:
  Segments(const Told<T>& told, const std::vector<Form>& given) : size_(told.count("size")) {
    const Form& form = steps(told, given);
    if (size_ > kMostAround / form.width) told.refuse("shorter segments", std::to_string(size_));
    width_ = form.width, this->form = {form.width * size_}, this->streams = false;
    this->keeps_steps = size_ == 1;
  }
  int64_t left(int64_t count) const override { return (count + size_ - 1) / size_; }
  bool feed(const Extent& extent, const void* const* given, const StatePart*, T* const*, void* result,
            T*) const override {
    T* to = static_cast<T*>(result);
    for (int64_t t = 0; t < left(extent.steps); ++t)
      for (int64_t n = 0; n < extent.rows; ++n)
        for (int64_t i = 0; i < size_; ++i) {
          const int64_t at = std::min(t * size_ + i, std::max<int64_t>(extent.of(n) - 1, 0));
          to = std::copy_n(static_cast<const T*>(given[0]) + (at * extent.rows + n) * width_, width_, to);
        }
    return true;
  }

 private:
  int64_t size_, width_ = 0;
};

// Each row's steps, the last one first.
template <class T>
class Reversed final : public Op<T> {
 public:
  Reversed(const Told<T>& told, const std::vector<Form>& given) {
    this->form = steps(told, given), this->streams = false;
  }
  bool feed(const Extent& extent, const void* const* given, const StatePart*, T* const*, void* result,
            T*) const override {
    const int64_t width = this->form.width;
    T* to = static_cast<T*>(result);
    for (int64_t t = 0; t < extent.steps; ++t)
      for (int64_t n = 0; n < extent.rows; ++n) {
        const int64_t from = t < extent.of(n) ? extent.of(n) - 1 - t : t;
        to = std::copy_n(static_cast<const T*>(given[0]) + (from * extent.rows + n) * width, width, to);
      }
    return true;
  }
};

}  // namespace

template <class T>
Made<T> make_scale(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Scaled<T>>(told, given);
}

template <class T>
Made<T> make_segment(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Segments<T>>(told, given);
}

template <class T>
Made<T> make_reverse(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Reversed<T>>(told, given);
}

template Made<float> make_reverse(const Told<float>&, const std::vector<Form>&);
template Made<double> make_reverse(const Told<double>&, const std::vector<Form>&);
template Made<float> make_scale(const Told<float>&, const std::vector<Form>&);
template Made<double> make_scale(const Told<double>&, const std::vector<Form>&);
template Made<float> make_segment(const Told<float>&, const std::vector<Form>&);
template Made<double> make_segment(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise::runtime
