// Vectors of symbols, and products with a matrix.

#include <algorithm>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

template <class T>
class Embedding final : public Local<T> {
 public:
  Embedding(const Told<T>& told, const std::vector<Form>& given) {
    if (given.size() != 1 || given[0].kind != Kind::kSymbols) told.refuse("numbers of symbols");
    std::vector<int64_t> shape;
    weight_ = told.array("weight", {given[0].width, -1}, &shape);
    this->form = {shape[1]};
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    const auto* const symbols = static_cast<const int64_t*>(given[0]);
    const int64_t width = this->form.width;
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(weight_.data() + symbols[r] * width, width, static_cast<T*>(result) + r * width);
  }

 private:
  std::vector<T> weight_;
};

template <class T>
class Linear final : public Local<T> {
 public:
  Linear(const Told<T>& told, const std::vector<Form>& given) {
    this->form = one(told, given);
    threads_ = told.threads();
    std::vector<int64_t> shape;
    const std::vector<T> weight = told.array("weight", {-1, this->form.width}, &shape);
    std::vector<T> bias;
    if (told.has("bias")) bias = told.array("bias", {shape[0]});
    matrix_ = Matrix<T>(weight.data(), shape[0], shape[1], told.has("bias") ? bias.data() : nullptr);
    this->form.width = shape[0];
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    matrix_.multiply(rows, static_cast<const T*>(given[0]), matrix_.inputs(), static_cast<T*>(result),
                     matrix_.outputs(), threads_);
  }

 private:
  int threads_ = 1;
  Matrix<T> matrix_;
};

}  // namespace

template <class T>
Made<T> make_embedding(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Embedding<T>>(told, given);
}

template <class T>
Made<T> make_linear(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Linear<T>>(told, given);
}

template Made<float> make_embedding(const Told<float>&, const std::vector<Form>&);
template Made<double> make_embedding(const Told<double>&, const std::vector<Form>&);
template Made<float> make_linear(const Told<float>&, const std::vector<Form>&);
template Made<double> make_linear(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise::runtime
