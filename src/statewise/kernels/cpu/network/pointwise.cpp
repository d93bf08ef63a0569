// Functions of each number, and sums and rows of several values.

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise {
namespace {

template <class T>
class Sum final : public Local<T> {
 public:
  Sum(const Told<T>& told, const std::vector<Form>& given) : count_(given.size()) {
    check_values(told, given);
    for (const Form& form : given)
      if (form != given[0]) told.refuse("values of one width");
    this->form = given[0];
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    T* const y = static_cast<T*>(result);
    const int64_t count = rows * this->form.width;
    std::copy_n(static_cast<const T*>(given[0]), count, y);
    for (size_t k = 1; k < count_; ++k)
      for (int64_t i = 0; i < count; ++i) y[i] += static_cast<const T*>(given[k])[i];
  }

 private:
  size_t count_;
};

template <class T>
class Joined final : public Local<T> {
 public:
  Joined(const Told<T>& told, const std::vector<Form>& given) {
    check_values(told, given);
    this->form = {0, given[0].kind};
    for (const Form& form : given) {
      if (form.kind != given[0].kind) told.refuse("steps or summaries");
      widths_.push_back(form.width);
      this->form.width += form.width;
    }
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    T* to = static_cast<T*>(result);
    for (int64_t r = 0; r < rows; ++r)
      for (size_t k = 0; k < widths_.size(); ++k)
        to = std::copy_n(static_cast<const T*>(given[k]) + r * widths_[k], widths_[k], to);
  }

 private:
  std::vector<int64_t> widths_;
};

template <class T>
class Activation final : public Local<T> {
 public:
  Activation(const Told<T>& told, const std::vector<Form>& given) {
    this->form = one(told, given);
    const std::string function = told.word("function");
    const std::pair<const char*, Function> each[] = {{"relu", Function::kRelu},
                                                     {"tanh", Function::kTanh},
                                                     {"sigmoid", Function::kSigmoid},
                                                     {"silu", Function::kSilu},
                                                     {"softplus", Function::kSoftplus}};
    for (const auto& [name, what] : each)
      if (function == name) function_ = what;
    elu_ = function == "elu", soft_ = function == "softmax", log_ = function == "log_softmax";
    if (!function_ && !elu_ && !soft_ && !log_) throw Unsupported(told.name() + ": no function is called " + function);
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    const int64_t width = this->form.width;
    const T* const x = static_cast<const T*>(given[0]);
    T* const y = static_cast<T*>(result);
    if (function_) return apply(*function_, x, rows * width, y);
    if (elu_) {
      for (int64_t i = 0; i < rows * width; ++i) y[i] = x[i] > 0 ? x[i] : std::expm1(x[i]);
      return;
    }
    for (int64_t r = 0; r < rows; ++r) normalise(x + r * width, y + r * width, width);
  }

 private:
  void normalise(const T* x, T* y, int64_t width) const {
    const T most = *std::max_element(x, x + width);
    for (int64_t i = 0; i < width; ++i) y[i] = x[i] - most;
    if (soft_) {
      apply(Function::kExp, y, width, y);
      T sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += y[i];
      for (int64_t i = 0; i < width; ++i) y[i] /= sum;
      return;
    }
    double sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += std::exp(double(y[i]));
    const T log = T(std::log(sum));
    for (int64_t i = 0; i < width; ++i) y[i] -= log;
  }

  std::optional<Function> function_;
  bool elu_ = false, soft_ = false, log_ = false;
};

template <class T>
class Magnitude final : public Local<T> {
 public:
  Magnitude(const Told<T>& told, const std::vector<Form>& given) : positions_(told.count("positions", 1, 1)) {
    this->form = one(told, given);
    if (this->form.width % 2 || this->form.width / 2 % positions_) told.refuse("two halves of the channels");
    this->form.width /= 2;
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    const int64_t half = this->form.width / positions_;
    for (int64_t r = 0; r < rows * positions_; ++r) {
      const T* const x = static_cast<const T*>(given[0]) + r * 2 * half;
      T* const y = static_cast<T*>(result) + r * half;
      for (int64_t i = 0; i < half; ++i) y[i] = std::sqrt(x[i] * x[i] + x[half + i] * x[half + i]);
    }
  }

 private:
  int64_t positions_;
};

// What a convolution makes of positions that are there already, padded: (positions, channels), dense.

}  // namespace

template <class T>
Made<T> make_add(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Sum<T>>(told, given);
}

template <class T>
Made<T> make_concat(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Joined<T>>(told, given);
}

template <class T>
Made<T> make_activation(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Activation<T>>(told, given);
}

template <class T>
Made<T> make_magnitude(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Magnitude<T>>(told, given);
}

template Made<float> make_add(const Told<float>&, const std::vector<Form>&);
template Made<double> make_add(const Told<double>&, const std::vector<Form>&);
template Made<float> make_concat(const Told<float>&, const std::vector<Form>&);
template Made<double> make_concat(const Told<double>&, const std::vector<Form>&);
template Made<float> make_activation(const Told<float>&, const std::vector<Form>&);
template Made<double> make_activation(const Told<double>&, const std::vector<Form>&);
template Made<float> make_magnitude(const Told<float>&, const std::vector<Form>&);
template Made<double> make_magnitude(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise
