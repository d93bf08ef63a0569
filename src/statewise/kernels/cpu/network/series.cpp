// What is done to series of numbers before a network reads them.

#include <algorithm>
#include <cmath>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise {
namespace {

template <class T>
class Scaled final : public Op<T> {
 public:
  Scaled(const Told<T>& told, const std::vector<Form>& given) : carry_(told.flag("carry")) {
    if (given.size() != 1 || (given[0].kind != Kind::kExact && given[0].kind != Kind::kValues))
      told.refuse("steps to read");
    exact_ = given[0].kind == Kind::kExact;
    this->form = {given[0].width};
    mean_ = told.template array<double>("mean", {this->form.width});
    scale_ = told.template array<double>("scale", {this->form.width});
    for (double scale : scale_)
      if (!(scale > 0)) told.refuse("scales above 0");
  }
  int64_t state_of_row() const { return this->form.width; }
  void begin(T* state) const { std::fill_n(state, this->form.width, T(0)); }
  bool step_row(const void* const* given, int64_t row, T* state, T* y) const {
    const int64_t width = this->form.width;
    bool fits = true;
    for (int64_t i = 0; i < width; ++i) {
      const double x = exact_ ? static_cast<const double*>(given[0])[row * width + i]
                              : double(static_cast<const T*>(given[0])[row * width + i]);
      const T v = T((x - mean_[size_t(i)]) / scale_[size_t(i)]);
      if (!std::isnan(v)) state[i] = v;
      fits = fits && (carry_ || !std::isnan(v));
      y[i] = state[i];
    }
    return fits;
  }
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    return std::make_unique<SmallWorker<T, Scaled>>(*this, rows);
  }

 private:
  bool carry_, exact_ = false;
  std::vector<double> mean_, scale_;
};

template <class T>
class Segments final : public Op<T> {
 public:
  Segments(const Told<T>& told, const std::vector<Form>& given) : size_(told.count("size")) {
    const Form& form = steps(told, given);
    if (size_ > kMostAround / form.width) told.refuse("shorter segments");
    width_ = form.width, this->form = {form.width * size_}, this->streams = false;
  }
  int64_t left(int64_t count) const override { return (count + size_ - 1) / size_; }
  std::unique_ptr<Worker<T>> work(int64_t) const override { return nullptr; }

 protected:
  void sequence(int64_t count, const std::vector<Row>& given, void* result) const override {
    const T* const x = reinterpret_cast<const T*>(given[0].data);
    T* to = static_cast<T*>(result);
    for (int64_t t = 0; t < left(count) * size_; ++t) to = std::copy_n(x + std::min(t, count - 1) * width_, width_, to);
  }

 private:
  int64_t size_, width_ = 0;
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

template Made<float> make_scale(const Told<float>&, const std::vector<Form>&);
template Made<double> make_scale(const Told<double>&, const std::vector<Form>&);
template Made<float> make_segment(const Told<float>&, const std::vector<Form>&);
template Made<double> make_segment(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise
