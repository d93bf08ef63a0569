// What ops are made of: products, memory, and what all that look at a row of a step by itself have in common.

#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "../dispatch.hpp"
#include "../memory.hpp"
#include "ops.hpp"

namespace statewise {

constexpr int64_t kMostAround = 1 << 24;  // numbers that a convolution reads at once, or puts before the first

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
  if (one(told, given).kind == Kind::kSummary) told.refuse("steps to read, not a summary of them");
  return given[0];
}

// An op that looks at each row of each step by itself.
template <class T>
class Local : public Op<T> {
 public:
  // So many rows; `room` is memory for scratch() numbers.
  virtual void apply_to(int64_t rows, const void* const* given, void* result, T* room) const = 0;
  virtual int64_t scratch() const { return 0; }

  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    struct Works final : Worker<T> {
      Works(const Local& local, int64_t n) : op(local), rows(n), room(local.scratch()) {}
      bool step(const void* const* given, void* result) override {
        op.apply_to(rows, given, result, room.data());
        return true;
      }
      const Local& op;
      int64_t rows;
      Numbers<T> room;
    };
    return std::make_unique<Works>(*this, rows);
  }

  Value run(const std::vector<const Value*>& given, int64_t rows) const override {
    Value made{this->form, given[0]->steps, given[0]->lengths, {}, nullptr};
    std::vector<const void*> data;
    for (const Value* value : given) data.push_back(value->data);
    const int64_t count = rows * (this->form.kind == Kind::kSummary ? 1 : made.steps);
    made.own.resize(size_t(count * this->form.row() * element_bytes<T>(this->form)));
    made.data = made.own.data();
    const Numbers<T> room(scratch());
    apply_to(count, data.data(), made.own.data(), room.data());
    return made;
  }
};

// An op whose state is so many numbers of each row.
template <class T, class O>
struct SmallWorker final : Worker<T> {
  SmallWorker(const O& of, int64_t n) : op(of), rows(n), state(n * of.state_of_row()) { begin(); }
  void begin() override {
    for (int64_t r = 0; r < rows; ++r) op.begin(state.data() + r * op.state_of_row());
  }
  bool step(const void* const* given, void* result) override {
    bool fits = true;
    for (int64_t r = 0; r < rows; ++r)
      fits = op.step_row(given, r, state.data() + r * op.state_of_row(), static_cast<T*>(result) + r * op.form.width) &&
             fits;
    return fits;
  }
  int64_t state_size() const override { return state.size(); }
  void save(T* to) const override { std::copy_n(state.data(), state.size(), to); }
  void load(const T* from) override { std::copy_n(from, state.size(), state.data()); }
  const O& op;
  int64_t rows;
  Numbers<T> state;
};

}  // namespace statewise
