// What a layer or a cell is called with, read from tensors into a Call; and the tensors that it makes.
//
// Each function is false for what the kernels don't take, a mistake or a tensor that is more than its memory, and
// nothing has happened then: Python knows the words for it. A tensor that doesn't lie as the kernels read it is copied.

#pragma once

#include <nanobind/nanobind.h>

#include <vector>

#include "dispatch.hpp"
#include "dlpack.hpp"
#include "stack.hpp"

namespace statewise {

// What the axes of a caller's tensors are: (T, N, I) or (T, I); (N, T, I) or (T, I); for a cell (N, I) or (I,). Packed
// input is (S, I).
enum class Form { kTimeFirst, kBatchFirst, kStep };

class Operands {
 public:
  // `stack` has the sizes of the stack; the others, the dtype and the tensors are read.
  Operands(const Call& stack, Form form, const Tensors& tensors = torch_tensors())
      : call_(stack), form_(form), tensors_(tensors) {}

  // x and how its rows are long: `rows` is None, the lengths (N,), or (batch_sizes, sorted_indices, unsorted_indices)
  // of packed input, of which the latter two may be None.
  bool read_input(nanobind::handle x, nanobind::handle rows);
  // The dtype alone, of a tensor of any size.
  bool read_dtype(nanobind::handle tensor);
  // As a layer or cell is given it: None, a tensor, or a tuple or list of one tensor a state.
  bool read_hx(nanobind::handle hx);
  bool read_states(const nanobind::handle* given);
  // Per layer and direction, in the order of statewise::list_weights. `get(i)` is the i-th.
  template <class Get>
  bool read_weights(int64_t count, const Get& get) {
    if (!list_weights(count)) return false;
    call_.weights.resize(size_t(count));
    for (int64_t i = 0; i < count; ++i)
      if (!read_dense(get(i), weight_sizes(i), call_.weights[size_t(i)])) return false;
    return true;
  }
  // One mask for each layer but the last.
  template <class Get>
  bool read_masks(int64_t count, const Get& get) {
    if (count != call_.L - 1) return false;
    call_.masks.resize(size_t(count));
    const Sizes sizes = packed() ? Sizes{{steps_, width(), 0}, 2} : Sizes{{call_.T, call_.N, width()}, 3};
    for (int64_t i = 0; i < count; ++i)
      if (!read_dense(get(i), sizes, call_.masks[size_t(i)])) return false;
    return true;
  }
  // What a call has beside these: None, or (masks of what W_hh reads, a list; the noise's names of the rows and their
  // first steps, both (N,) or None; its seed or None; whether all states are asked for).
  bool read_extras(nanobind::handle extras);
  bool read_output(nanobind::handle y);
  bool read_tape(nanobind::handle tape);
  // Gradients that come in; None means zeros.
  bool read_output_gradient(nanobind::handle g);
  bool read_state_gradient(nanobind::handle g, int k);
  bool read_passed_gradient(nanobind::handle g, int k);

  // New tensors, whose memory the call will write.
  nanobind::object make_output(nanobind::handle x);
  nanobind::object make_state(nanobind::handle x, int k);
  nanobind::object make_passed(nanobind::handle x, int k);
  nanobind::object make_tape(nanobind::handle x);
  nanobind::object make_input_gradient(nanobind::handle x);
  nanobind::object make_state_gradient(int k, nanobind::handle state);
  nanobind::object make_weight_gradient(int64_t i, nanobind::handle weight);

  Call& call() { return call_; }
  int states() const { return shape_->states; }
  nanobind::handle given(int k) const { return given_[k]; }
  bool has_output() const { return form_ != Form::kStep; }  // a cell's is its state
  bool all_states() const { return all_states_; }
  bool packed() const { return call_.batch_sizes != nullptr; }
  int64_t steps() const { return steps_; }  // of all rows together
  double multiply_adds() const;             // of a gate

 private:
  bool read_dtype(nanobind::handle tensor, View& v);
  bool read_dense(nanobind::handle tensor, const Sizes& sizes, void*& start);
  bool read_rows(nanobind::handle tensor, const Sizes& sizes, Strided& to);
  bool read_counts(nanobind::handle tensor, int64_t count, const int64_t*& start);
  bool read_packing(nanobind::handle rows, int64_t data_rows);
  Strided strided(const View& v) const;
  Sizes sequence_sizes(int64_t width) const;
  Sizes state_sizes(int k) const;
  Sizes passed_sizes(int k) const;
  bool list_weights(int64_t count);
  Sizes weight_sizes(int64_t i) const;
  int64_t recurrent_input() const { return call_.projected ? call_.projected : call_.H; }  // P, what W_hh reads
  int64_t width() const { return call_.D * recurrent_input(); }

  Call call_;
  Form form_;
  const Tensors& tensors_;
  bool batched_ = true, all_states_ = false;
  int bits_ = 0;
  int64_t steps_ = 0;
  const CellShape* shape_ = nullptr;
  WeightOf weight_list_[kMaxWeights];
  int per_direction_ = 0;
  nanobind::handle given_[kMaxStates];
  std::vector<nanobind::object> copies_;  // of tensors that didn't lie right, while the kernels read them
};

}  // namespace statewise
