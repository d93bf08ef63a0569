// A layer norm over the features.

#include <cmath>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

template <class T>
class Norm final : public Local<T> {
 public:
  Norm(const Told<T>& told, const std::vector<Form>& given) {
    this->form = one(told, given);
    epsilon_ = T(told.number("epsilon", 1e-5));
    if (told.has("weight")) weight_ = told.array("weight", {this->form.width});
    if (told.has("bias")) bias_ = told.array("bias", {this->form.width});
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    const int64_t width = this->form.width;
    for (int64_t r = 0; r < rows; ++r) {
      const T* const x = static_cast<const T*>(given[0]) + r * width;
      T* const y = static_cast<T*>(result) + r * width;
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < width; ++i) sum += double(x[i]);
      const double mean = sum / double(width);
      for (int64_t i = 0; i < width; ++i) squares += (double(x[i]) - mean) * (double(x[i]) - mean);
      const double scale = 1 / std::sqrt(squares / double(width) + double(epsilon_));
      for (int64_t i = 0; i < width; ++i) {
        const T v = T((double(x[i]) - mean) * scale);
        y[i] = (weight_.empty() ? v : v * weight_[size_t(i)]) + (bias_.empty() ? T(0) : bias_[size_t(i)]);
      }
    }
  }

 private:
  T epsilon_;
  std::vector<T> weight_, bias_;
};

}  // namespace

template <class T>
Made<T> make_norm(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Norm<T>>(told, given);
}

template Made<float> make_norm(const Told<float>&, const std::vector<Form>&);
template Made<double> make_norm(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise::runtime
