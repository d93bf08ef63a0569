// Functions of each number, and sums and rows of several values.

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
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

enum class Special { kNone, kElu, kSoftmax, kLogSoftmax };
struct FunctionName {
  const char* name;
  Function function;
  Special special;
};
constexpr FunctionName kFunctionNames[] = {
    {"relu", Function::kRelu, Special::kNone},       {"tanh", Function::kTanh, Special::kNone},
    {"sigmoid", Function::kSigmoid, Special::kNone}, {"silu", Function::kSilu, Special::kNone},
    {"elu", Function::kExp, Special::kElu},          {"softplus", Function::kSoftplus, Special::kNone},
    {"softmax", Function::kExp, Special::kSoftmax},  {"log_softmax", Function::kExp, Special::kLogSoftmax}};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// In several sums, which wait for one another less.
template <class T>
double total(const T* x, int64_t count) {
  double sums[8]{}, sum = 0;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int k = 0; k < 8; ++k) sums[k] += double(x[i + k]);
  for (; i < count; ++i) sum += double(x[i]);
  for (double each : sums) sum += each;
  return sum;
}

// NaN where there is one.
template <class T>
T largest(const T* x, int64_t count) {
  T most = x[0];
  bool odd = false;
  for (int64_t i = 0; i < count; ++i) most = x[i] > most ? x[i] : most, odd |= x[i] != x[i];
  return odd ? std::numeric_limits<T>::quiet_NaN() : most;
}

template <class T>
class Activation final : public Local<T> {
 public:
  Activation(const Told<T>& told, const std::vector<Form>& given) {
    this->form = one(told, given);
    const std::string function = told.word("function");
    for (const auto& [name, what, special] : kFunctionNames)
      if (function == name) found_ = true, function_ = what, special_ = special;
    if (!found_) told.refuse("function to be " + joined(activation_names()), said(told.find("function")));
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T* room) const override {
    const int64_t width = this->form.width;
    const T* const x = static_cast<const T*>(given[0]);
    T* const y = static_cast<T*>(result);
    if (special_ == Special::kNone) return apply(function_, x, rows * width, y);
    if (special_ == Special::kElu) {
      for (int64_t i = 0; i < rows * width; ++i) y[i] = x[i] > 0 ? x[i] : std::expm1(x[i]);
      return;
    }
    for (int64_t r = 0; r < rows; ++r) normalise(x + r * width, y + r * width, width, room);
  }
  int64_t scratch() const override { return special_ == Special::kLogSoftmax ? this->form.width : 0; }

 private:
  void normalise(const T* x, T* y, int64_t width, T* room) const {
    const T most = largest(x, width);
    for (int64_t i = 0; i < width; ++i) y[i] = x[i] - most;
    if (special_ == Special::kSoftmax) {
      apply(Function::kExp, y, width, y);
      const T scale = T(1 / total(y, width));
      for (int64_t i = 0; i < width; ++i) y[i] *= scale;
      return;
    }
    apply(Function::kExp, y, width, room);
    const T log = T(std::log(total(room, width)));
    for (int64_t i = 0; i < width; ++i) y[i] -= log;
  }

  bool found_ = false;
  Function function_ = Function::kRelu;
  Special special_ = Special::kNone;
};

template <class T>
class Magnitude final : public Local<T> {
 public:
  Magnitude(const Told<T>& told, const std::vector<Form>& given) : positions_(told.count("positions", 1, 1)) {
    this->form = one(told, given);
    if (this->form.width % 2 || this->form.width / 2 % positions_)
      told.refuse("a width that is a multiple of " + std::to_string(2 * positions_), std::to_string(this->form.width));
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

std::vector<std::string> activation_names() {
  std::vector<std::string> names;
  for (const FunctionName& each : kFunctionNames) names.emplace_back(each.name);
  return names;
}

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

}  // namespace statewise::runtime
