#include "operands.hpp"

#include <algorithm>
#include <numeric>

#include "python.hpp"

namespace nb = nanobind;

namespace statewise {
bool Operands::read_dtype(nb::handle tensor) {
  View v;
  return read_dtype(tensor, v);
}

bool Operands::read_dtype(nb::handle tensor, View& v) {
  if (!tensors_.is_memory(tensor, bits_ = 32, v) && !tensors_.is_memory(tensor, bits_ = 64, v) &&
      !(bfloat16_set() && tensors_.is_memory(tensor, bits_ = 16, v)))
    return false;
  call_.float64 = bits_ == 64;
  call_.bfloat16 = bits_ == 16;
  const Cell* const cell = find_cell(instruction_set(), call_.cell);
  if (!cell) return false;
  shape_ = &cell->shape;
  const bool after_step = mixes(call_) || call_.gradient_clip > 0;
  return !(call_.projected && (shape_->late || shape_->heads_h || after_step));
}

bool Operands::read_input(nb::handle x, nb::handle rows) {
  View v;
  if (!read_dtype(x, v)) return false;
  const int full = form_ == Form::kStep ? 2 : 3;  // the rank of a batch
  if (v.rank == 0 || v.sizes[v.rank - 1] != call_.I || call_.I == 0 || call_.H == 0) return false;
  if (PyTuple_CheckExact(rows.ptr())) {
    if (v.rank != 2 || !read_packing(rows, v.sizes[0])) return false;
  } else {
    batched_ = v.rank == full;
    if (!batched_ && v.rank != full - 1) return false;
    const int row = form_ == Form::kTimeFirst ? 1 : 0;
    call_.N = batched_ ? v.sizes[row] : 1;
    call_.T = form_ == Form::kStep ? 1 : v.sizes[batched_ ? 1 - row : 0];
    steps_ = call_.T * call_.N;
    if (!rows.is_none()) {
      if (!batched_ || !read_counts(rows, call_.N, call_.lengths)) return false;
      for (int64_t n = 0; n < call_.N; ++n)
        if (call_.lengths[n] < 0 || call_.lengths[n] > call_.T) return false;
      steps_ = std::accumulate(call_.lengths, call_.lengths + call_.N, int64_t{0});
    }
  }
  return read_rows(x, sequence_sizes(call_.I), call_.x);
}

bool Operands::read_packing(nb::handle rows, int64_t data_rows) {
  if (size(rows) != 3) return false;
  const nb::handle batch_sizes = item(rows, 0), sorted = item(rows, 1), unsorted = item(rows, 2);
  View v;
  if (!tensors_.is_counts(batch_sizes, v) || v.rank != 1) return false;
  call_.T = v.sizes[0];
  if (!read_counts(batch_sizes, call_.T, call_.batch_sizes)) return false;
  if (call_.T == 0) return false;
  call_.N = call_.batch_sizes[0];
  for (int64_t t = 0; t < call_.T; ++t) {
    if (call_.batch_sizes[t] < 0 || (t && call_.batch_sizes[t] > call_.batch_sizes[t - 1])) return false;
    steps_ += call_.batch_sizes[t];
  }
  if (steps_ != data_rows) return false;
  if (sorted.is_none()) return unsorted.is_none();
  const int64_t* inverse = nullptr;
  if (!read_counts(sorted, call_.N, call_.sorted_indices) || !read_counts(unsorted, call_.N, inverse)) return false;
  for (int64_t n = 0; n < call_.N; ++n) {  // and so both are permutations
    const int64_t at = call_.sorted_indices[n];
    if (at < 0 || at >= call_.N || inverse[at] != n) return false;
  }
  return true;
}

bool Operands::read_hx(nb::handle hx) {
  if (hx.is_none()) return true;
  if (states() == 1) return read_states(&hx);
  const bool tuple = PyTuple_CheckExact(hx.ptr());
  if (!tuple && !PyList_CheckExact(hx.ptr())) return false;
  if (size(hx) != states()) return false;
  nb::handle given[kMaxStates];
  for (int k = 0; k < states(); ++k) {
    given[k] = item(hx, k);
    if (!tuple) copies_.push_back(nb::borrow(given[k]));  // a list may change while the kernels run
  }
  return read_states(given);
}

bool Operands::read_states(const nb::handle* given) {
  for (int k = 0; k < states(); ++k) {
    given_[k] = given[k];
    if (!read_dense(given[k], state_sizes(k), call_.state[k].initial)) return false;
  }
  return true;
}

bool Operands::read_extras(nb::handle extras) {
  if (extras.is_none()) return true;
  const nb::handle masks = item(extras, 0), names = item(extras, 1), starts = item(extras, 2), seed = item(extras, 3);
  const Py_ssize_t count = size(masks);
  if (count != 0 && count != call_.L * call_.D) return false;
  call_.recurrent_masks.resize(size_t(count));
  for (Py_ssize_t i = 0; i < count; ++i)
    if (!read_dense(item(masks, i), {{call_.N, recurrent_input(), 0}, 2}, call_.recurrent_masks[size_t(i)]))
      return false;
  if (!names.is_none() && !read_counts(names, call_.N, call_.noise_rows)) return false;
  if (!starts.is_none() && !read_counts(starts, call_.N, call_.starts)) return false;
  call_.has_seed = !seed.is_none();
  if (call_.has_seed) call_.seed = uint64_t(nb::cast<int64_t>(seed));
  all_states_ = item(extras, 4).is(Py_True);
  return true;
}

bool Operands::read_output(nb::handle y) { return read_rows(y, sequence_sizes(width()), call_.y); }

bool Operands::read_tape(nb::handle tape) {
  View v;
  if (!tensors_.is_bytes(tape, v) || v.rank != 1 || !v.has_dense_rows()) return false;
  call_.tape = v.begin();
  return true;
}

bool Operands::read_output_gradient(nb::handle g) {
  return g.is_none() || read_rows(g, sequence_sizes(width()), call_.dy);
}

bool Operands::read_state_gradient(nb::handle g, int k) {
  return g.is_none() || read_dense(g, state_sizes(k), call_.state[k].dfinal);
}

bool Operands::read_passed_gradient(nb::handle g, int k) {
  return g.is_none() || read_dense(g, passed_sizes(k), call_.state[k].dpassed);
}

nb::object Operands::make_passed(nb::handle x, int k) {
  View v;
  nb::object made = tensors_.empty(x, passed_sizes(k), v);
  call_.state[k].passed = v.begin();
  return made;
}

nb::object Operands::make_output(nb::handle x) {
  const Sizes sizes = sequence_sizes(width());
  View v;
  nb::object made = tensors_.empty(x, sizes, v);
  call_.y = strided(v);
  return made;
}

nb::object Operands::make_state(nb::handle x, int k) {
  View v;
  nb::object made = given_[k].is_valid() ? tensors_.empty_like(given_[k], v) : tensors_.empty(x, state_sizes(k), v);
  if (!is_dense(v, state_sizes(k))) made = tensors_.empty(x, state_sizes(k), v);
  call_.state[k].final = v.begin();
  if (k == 0 && !has_output()) call_.y = {v.begin(), 0, call_.H};  // it is no harm to write it twice
  return made;
}

nb::object Operands::make_tape(nb::handle x) {
  call_.training = true;
  return empty_bytes(x, tape_size(call_), call_.tape);
}

nb::object Operands::make_input_gradient(nb::handle x) {
  const Sizes sizes = sequence_sizes(call_.I);
  View v;
  nb::object made = tensors_.empty_like(x, v);
  if (!v.has_dense_rows()) made = tensors_.empty(x, sizes, v);
  call_.dx = strided(v);
  return made;
}

nb::object Operands::make_state_gradient(int k, nb::handle state) {
  View v;
  nb::object made = tensors_.empty_like(state, v);
  if (!is_dense(v, state_sizes(k))) made = tensors_.empty(state, state_sizes(k), v);
  call_.state[k].dinitial = v.begin();
  return made;
}

nb::object Operands::make_weight_gradient(int64_t i, nb::handle weight) {
  View v;
  nb::object made = tensors_.empty_like(weight, v);
  if (!is_dense(v, weight_sizes(i))) made = tensors_.empty(weight, weight_sizes(i), v);
  call_.weight_gradients.resize(call_.weights.size());  // zeros: not wanted
  call_.weight_gradients[size_t(i)] = v.begin();
  return made;
}

double Operands::multiply_adds() const {
  return double(steps_) * double(call_.H) * double(call_.I + call_.H) * double(call_.L);
}

bool Operands::read_dense(nb::handle tensor, const Sizes& sizes, void*& start) {
  View v;
  if (!tensors_.is_memory(tensor, bits_, v) || !has_sizes(v, sizes)) return false;
  if (!is_dense(v, sizes) || tensors_.is_negated(tensor)) copies_.push_back(tensors_.dense_copy(tensor, v));
  start = v.begin();
  return true;
}

bool Operands::read_rows(nb::handle tensor, const Sizes& sizes, Strided& to) {
  View v;
  if (!tensors_.is_memory(tensor, bits_, v) || !has_sizes(v, sizes)) return false;
  if (!v.has_dense_rows() || tensors_.is_negated(tensor)) copies_.push_back(tensors_.dense_copy(tensor, v));
  to = strided(v);
  return true;
}

bool Operands::read_counts(nb::handle tensor, int64_t count, const int64_t*& start) {
  View v;
  if (!tensors_.is_counts(tensor, v) || !has_sizes(v, {{count, 0, 0}, 1})) return false;
  if (!v.has_dense_rows()) copies_.push_back(tensors_.dense_copy(tensor, v));
  start = static_cast<const int64_t*>(v.begin());
  return true;
}

Strided Operands::strided(const View& v) const {
  if (packed()) return {v.begin(), 0, v.strides[0]};
  if (form_ == Form::kStep) return {v.begin(), 0, batched_ ? v.strides[0] : 0};
  const int row = form_ == Form::kTimeFirst ? 1 : 0;
  return batched_ ? Strided{v.begin(), v.strides[1 - row], v.strides[row]} : Strided{v.begin(), v.strides[0], 0};
}

Sizes Operands::sequence_sizes(int64_t width) const {
  if (packed()) return {{steps_, width, 0}, 2};
  if (form_ == Form::kStep) return batched_ ? Sizes{{call_.N, width, 0}, 2} : Sizes{{width, 0, 0}, 1};
  if (!batched_) return {{call_.T, width, 0}, 2};
  return form_ == Form::kTimeFirst ? Sizes{{call_.T, call_.N, width}, 3} : Sizes{{call_.N, call_.T, width}, 3};
}

Sizes Operands::state_sizes(int k) const {
  const int64_t width = k == 0 && !shape_->carries_h ? recurrent_input() : call_.H;
  if (form_ == Form::kStep) return batched_ ? Sizes{{call_.N, width, 0}, 2} : Sizes{{width, 0, 0}, 1};
  const int64_t depth = call_.L * call_.D;
  return batched_ ? Sizes{{depth, call_.N, width}, 3} : Sizes{{depth, width, 0}, 2};
}

Sizes Operands::passed_sizes(int k) const {
  const int64_t width = k == 0 && !shape_->carries_h ? recurrent_input() : call_.H, depth = call_.L * call_.D;
  return packed() ? Sizes{{depth * steps_, width, 0}, 2} : Sizes{{depth * call_.T, call_.N, width}, 3};
}

bool Operands::list_weights(int64_t count) {
  if (!shape_) return false;
  per_direction_ = statewise::list_weights(*shape_, call_.bias, call_.projected > 0, weight_list_);
  return count == per_direction_ * call_.L * call_.D;
}

Sizes Operands::weight_sizes(int64_t i) const {
  const auto [kind, parts, first] = weight_list_[i % per_direction_];
  const int64_t rows = parts * call_.H;
  if (kind == WeightKind::kInput) {
    const int64_t input = i / per_direction_ < call_.D ? call_.I : width();
    return {{rows, input / (shape_->heads_x ? call_.heads : 1), 0}, 2};
  }
  if (kind == WeightKind::kRecurrent) return {{rows, recurrent_input() / call_.heads, 0}, 2};
  if (kind == WeightKind::kProjection) return {{call_.projected, call_.H, 0}, 2};
  return {{rows, 0, 0}, 1};
}

}  // namespace statewise
