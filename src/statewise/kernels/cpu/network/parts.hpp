// What ops are made of: products, memory, and what all that look at a row of a step by itself have in common.

#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "../dispatch.hpp"
#include "../memory.hpp"
#include "../threads.hpp"
#include "ops.hpp"

namespace statewise::runtime {

template <class T>
const StreamKernels& kernels() {
  const StreamKernelsOfSet& all = stream_kernels(instruction_set());
  return sizeof(T) == 4 ? all.float32 : all.float64;
}

template <class T>
void apply(Function function, const T* x, int64_t count, T* y) {
  kernels<T>().apply[int(function)](x, count, y);
}

// Memory of whole cache lines.
template <class T>
class Numbers {
 public:
  Numbers() = default;
  explicit Numbers(int64_t count)
      : memory_(line_memory(std::max<int64_t>(count, 1) * int64_t(sizeof(T)))), count_(count) {
    std::fill_n(data(), count, T(0));
  }
  T* data() const { return static_cast<T*>(memory_.get()); }
  int64_t size() const { return count_; }

 private:
  Memory memory_;
  int64_t count_ = 0;
};

constexpr int64_t kWorthAThread = 1 << 20;  // multiply-adds

// y = x W^T + b.
template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(const T* weight, int64_t outputs, int64_t inputs, const T* bias)
      : dense_{inputs, outputs, nullptr, nullptr},
        panels_(kernels<T>().dense_columns(outputs) * inputs),
        bias_(bias ? kernels<T>().dense_columns(outputs) : 0) {
    kernels<T>().pack_dense(dense_, weight, panels_.data());
    dense_.panels = panels_.data();
    if (!bias) return;
    std::copy_n(bias, outputs, bias_.data());
    dense_.bias = bias_.data();
  }
  void multiply(int64_t rows, const T* x, int64_t x_row, T* y, int64_t y_row) const {
    kernels<T>().multiply(dense_, rows, x, x_row, y, y_row);
  }
  // On several threads, where that is worth it.
  void multiply(int64_t rows, const T* x, int64_t x_row, T* y, int64_t y_row, int threads) const {
    const int64_t adds = rows * dense_.inputs * dense_.outputs;
    const int64_t parts = std::min<int64_t>({threads, rows, adds / kWorthAThread});
    if (parts < 2) return multiply(rows, x, x_row, y, y_row);
    parallel(threads, parts, [&](int64_t part) {
      const int64_t begin = rows * part / parts, end = rows * (part + 1) / parts;
      multiply(end - begin, x + begin * x_row, x_row, y + begin * y_row, y_row);
    });
  }
  int64_t inputs() const { return dense_.inputs; }
  int64_t outputs() const { return dense_.outputs; }

 private:
  Dense dense_{};
  Numbers<T> panels_, bias_;
};

template <class T>
const Form& one(const Told<T>& told, const std::vector<Form>& given) {
  if (given.size() != 1 || given[0].kind == Kind::kSymbols || given[0].kind == Kind::kExact)
    told.refuse("one value that isn't symbols");
  return given[0];
}

template <class T>
void check_values(const Told<T>& told, const std::vector<Form>& given) {
  for (const Form& form : given)
    if (form.kind == Kind::kSymbols || form.kind == Kind::kExact) told.refuse("values that aren't symbols");
}

template <class T>
const Form& steps(const Told<T>& told, const std::vector<Form>& given) {
  if (one(told, given).kind == Kind::kSummary) told.refuse("steps to read", "a summary of them");
  return given[0];
}

// An op that looks at each row of each step by itself.
template <class T>
class Local : public Op<T> {
 public:
  Local() { this->local = true; }
  // So many rows; `room` is memory for scratch() numbers.
  virtual void apply_to(int64_t rows, const void* const* given, void* result, T* room) const = 0;
  virtual int64_t scratch() const { return 0; }

  int64_t room(const Extent&) const override { return scratch(); }
  bool feed(const Extent& extent, const void* const* given, const StatePart*, T* const*, void* result,
            T* room) const override {
    apply_to(extent.steps * extent.rows, given, result, room);
    return true;
  }
};

// An op that reads the steps of a row one after the other, and knows of those before as much as its state holds.
template <class T>
class Folded : public Op<T> {
 public:
  // One more step of a row; false where a value is missing. y: of what is over time.
  virtual bool step_row(const void* const* given, T* const* state, T* y) const = 0;
  // What sums up the steps by now.
  virtual void sum_up(T* const*, T*) const {}

  int64_t room(const Extent&) const override {
    int64_t count = 0;
    for (const StateForm& each : this->states) count += each.width;
    return count;
  }

  bool feed(const Extent& extent, const void* const* given, const StatePart* before, T* const* after, void* result,
            T* room) const override {
    const bool summary = this->form.kind == Kind::kSummary;
    const int64_t width = this->form.width, rows = extent.rows;
    bool fits = true;
    for (int64_t n = 0; n < rows; ++n) {
      T* state[kMostParts];
      T* own = room;
      for (size_t k = 0; k < this->states.size(); own += this->states[k++].width) {
        const int64_t size = this->states[k].width;
        state[k] = after ? after[k] + n * size : own;
        if (!before)
          this->begin(k, 1, state[k]);
        else if (const T* const from = static_cast<const T*>(before[k].data) + n * size; from != state[k])
          std::copy_n(from, size, state[k]);
      }
      const int64_t length = extent.of(n);
      for (int64_t t = 0; t < length; ++t) {
        const void* row[kMostParts];
        for (size_t i = 0; i < given_bytes.size(); ++i)
          row[i] = static_cast<const char*>(given[i]) + (t * rows + n) * given_bytes[i];
        fits = step_row(row, state, summary ? nullptr : static_cast<T*>(result) + (t * rows + n) * width) && fits;
      }
      if (summary) sum_up(state, static_cast<T*>(result) + n * width);
      for (int64_t t = length; !summary && t < extent.steps; ++t)
        std::fill_n(static_cast<T*>(result) + (t * rows + n) * width, width, T(0));
    }
    return fits;
  }

 protected:
  static constexpr size_t kMostParts = 4;
  void reads_rows_of(const std::vector<Form>& given) {
    for (const Form& form : given) given_bytes.push_back(form.row() * element_bytes<T>(form));
  }
  std::vector<int64_t> given_bytes;  // of a row
};

}  // namespace statewise::runtime
