// Looking at what a memory holds.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

// The mean of a memory's values, weighted by how well their keys fit what is given: the softmax of the scores. The
// state is the memory of T' steps: values (T', N, V), keys (T', N, F) and what there is of a row (T', N, 1), 1 or 0. A
// score is a product, over sqrt(F), or what `energy` makes of a sum (Bahdanau).
template <class T>
class Attention final : public Op<T> {
 public:
  Attention(const Told<T>& told, const std::vector<Form>& given) {
    const int64_t width = steps(told, given).width, values = told.count("values");
    this->form = {values};
    this->states = {{0, values, false, true}, {0, width, false, true}, {0, 1, false, true}};
    if (!told.has("energy.weight")) return;
    const std::vector<T> query = told.array("query.weight", {width, width}), bias = told.array("query.bias", {width});
    query_ = Matrix<T>(query.data(), width, width, bias.data());
    energy_ = told.array("energy.weight", {1, width});
  }

  int64_t room(const Extent&) const override { return 2 * this->states[1].width; }
  bool feed(const Extent& extent, const void* const* given, const StatePart* before, T* const*, void* result,
            T* room) const override {
    const int64_t width = this->states[1].width, depth = before ? before[0].depth : 0;
    if (!depth) throw Unfit(this->name + ": there is nothing to look at: a memory is part of the state");
    std::vector<T> scores(static_cast<size_t>(depth));
    for (int64_t i = 0; i < extent.steps * extent.rows; ++i) {
      const T* const query = static_cast<const T*>(given[0]) + i * width;
      look(query, i % extent.rows, extent.rows, depth, before, scores.data(), room,
           static_cast<T*>(result) + i * this->form.width);
    }
    return true;
  }

 private:
  void look(const T* query, int64_t row, int64_t rows, int64_t depth, const StatePart* memory, T* scores, T* room,
            T* y) const {
    const int64_t width = this->states[1].width, wide = this->form.width;
    const auto at = [&](int part, int64_t t) {
      return static_cast<const T*>(memory[part].data) + (t * rows + row) * this->states[size_t(part)].width;
    };
    T *const asked = room, *const sum = room + width;
    if (!energy_.empty()) query_.multiply(1, query, width, asked, width);
    T most = -std::numeric_limits<T>::infinity();
    for (int64_t t = 0; t < depth; ++t) {
      if (!(*at(2, t) > 0)) continue;
      const T* const key = at(1, t);
      if (energy_.empty()) {
        scores[t] = product(key, query, width) / std::sqrt(T(width));
      } else {
        for (int64_t i = 0; i < width; ++i) sum[i] = key[i] + asked[i];
        apply(Function::kTanh, sum, width, sum);
        scores[t] = product(sum, energy_.data(), width);
      }
      most = scores[t] > most || scores[t] != scores[t] ? scores[t] : most;
    }
    T weights = 0;
    std::fill_n(y, wide, T(0));
    for (int64_t t = 0; t < depth; ++t) {
      if (!(*at(2, t) > 0)) continue;
      const T weight = std::exp(scores[t] - most), *const values = at(0, t);
      weights += weight;
      for (int64_t i = 0; i < wide; ++i) y[i] += weight * values[i];
    }
    for (int64_t i = 0; i < wide; ++i) y[i] /= weights;
  }

  // In several sums, which wait for one another less.
  static T product(const T* a, const T* b, int64_t count) {
    T sums[8]{}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
      for (int k = 0; k < 8; ++k) sums[k] += a[i + k] * b[i + k];
    for (; i < count; ++i) sum += a[i] * b[i];
    for (T each : sums) sum += each;
    return sum;
  }

  Matrix<T> query_;
  std::vector<T> energy_;
};

}  // namespace

template <class T>
Made<T> make_attention(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Attention<T>>(told, given);
}

template Made<float> make_attention(const Told<float>&, const std::vector<Form>&);
template Made<double> make_attention(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise::runtime
