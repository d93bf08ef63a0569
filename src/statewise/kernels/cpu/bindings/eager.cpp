#include "eager.hpp"

#include <atomic>
#include <chrono>

#include "dispatch.hpp"
#include "dlpack.hpp"

namespace nb = nanobind;

namespace statewise {
namespace {

std::atomic<int64_t> nanoseconds{0};

// What a call computes on, read from its tensors one after the other: each function is false for what isn't plain.
class Operands {
 public:
  explicit Operands(Call& call) : call_(call) {}

  bool read_x(nb::handle x) {
    bits_ = 32;
    if (!is_memory(x, bits_, x_) && !is_memory(x, bits_ = 64, x_)) return false;
    if (x_.rank != 3 || x_.sizes[2] != call_.I || !x_.has_dense_rows()) return false;
    call_.float64 = bits_ == 64;
    call_.T = x_.sizes[0];
    call_.N = x_.sizes[1];
    call_.x = strided(x_);
    const Cell& cell = instruction_set().cells[call_.cell];
    kernels_ = call_.float64 ? &cell.float64 : &cell.float32;
    return true;
  }

  // `given` has one for each state, or is null.
  bool read_states(const nb::handle* given) {
    void** const starts[2] = {&call_.h0, &call_.c0};
    for (int k = 0; given && k < states(); ++k)
      if (!read_dense(given[k], state_sizes(k), *starts[k])) return false;
    return true;
  }

  // Per layer and direction W_ih, W_hh, [b_ih, b_hh,] [W_hr].
  template <class Get>
  bool read_weights(int64_t count, const Get& get) {
    const int64_t each = 2 + 2 * call_.bias + (call_.projected > 0), rows = kernels_->gates * call_.H;
    if (count != each * call_.L * call_.D) return false;
    call_.weights.resize(size_t(count));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t kind = i % each, width = i / each < call_.D ? call_.I : call_.D * recurrent_input();
      Sizes sizes{{rows, 0, 0}, 1};
      if (kind == 0) sizes = {{rows, width, 0}, 2};
      if (kind == 1) sizes = {{rows, recurrent_input(), 0}, 2};
      if (call_.projected && kind == each - 1) sizes = {{call_.projected, call_.H, 0}, 2};
      if (!read_dense(get(i), sizes, call_.weights[size_t(i)])) return false;
    }
    return true;
  }

  // The output, whose rows may lie anywhere.
  bool read_output(nb::handle y, Strided& to) const {
    View v;
    if (!is_memory(y, bits_, v) || !has_sizes(v, output_sizes()) || !v.has_dense_rows()) return false;
    to = strided(v);
    return true;
  }

  // Incoming gradients: a copy of what doesn't lie as the kernels read it comes into `copy`. None means zeros.
  bool read_output_gradient(nb::handle g, Strided& to, nb::object& copy) const {
    View v;
    if (g.is_none()) return true;
    if (!is_memory(g, bits_, v) || !has_sizes(v, output_sizes())) return false;
    to = v.has_dense_rows() ? strided(v) : strided(dense_copy(g, v, copy));
    return true;
  }
  bool read_state_gradient(nb::handle g, int k, void*& start, nb::object& copy) const {
    View v;
    if (g.is_none()) return true;
    if (!is_memory(g, bits_, v) || !has_sizes(v, state_sizes(k))) return false;
    start = (is_dense(v, state_sizes(k)) ? v : dense_copy(g, v, copy)).begin();
    return true;
  }

  bool read_dense(nb::handle tensor, const Sizes& sizes, void*& start) const {
    View v;
    if (!is_memory(tensor, bits_, v) || !is_dense(v, sizes)) return false;
    start = v.begin();
    return true;
  }

  int states() const { return kernels_->states; }
  int64_t recurrent_input() const { return call_.projected ? call_.projected : call_.H; }  // P, what W_hh reads
  Sizes x_sizes() const { return {{call_.T, call_.N, call_.I}, 3}; }
  Sizes output_sizes() const { return {{call_.T, call_.N, call_.D * recurrent_input()}, 3}; }
  Sizes state_sizes(int k) const {
    return {{call_.L * call_.D, call_.N, k == 0 && !kernels_->carries_h ? recurrent_input() : call_.H}, 3};
  }

  static Strided strided(const View& v) { return {v.begin(), v.strides[0], v.strides[1]}; }

 private:
  Call& call_;
  int bits_ = 0;
  View x_{};
  const Kernels* kernels_ = nullptr;
};

template <class Kernel>
void run(Call& call, const Kernel& kernel) {
  call.threads = torch_threads();
  const double work = double(call.T) * double(call.N) * double(call.H) * double(call.I + call.H) * double(call.L);
  without_interpreter(work, [&] {
    const auto start = std::chrono::steady_clock::now();
    kernel(call);
    nanoseconds += (std::chrono::steady_clock::now() - start) / std::chrono::nanoseconds(1);
  });
}

// hx as one handle a state; false if it is neither a tensor, where there is one state, nor a tuple of two.
bool split(nb::handle hx, int states, nb::handle* given) {
  given[0] = hx;
  if (states == 1) return true;
  if (!PyTuple_CheckExact(hx.ptr()) || PyTuple_GET_SIZE(hx.ptr()) != states) return false;
  for (int k = 0; k < states; ++k) given[k] = PyTuple_GET_ITEM(hx.ptr(), k);
  return true;
}

int64_t tape_size(const Call& call) {
  const TapeBytes bytes = tape_bytes(call);
  const int64_t kept = call.checkpoint ? (call.T + call.checkpoint - 1) / call.checkpoint : 0;
  return call.T * call.N * bytes.a_step + call.N * (bytes.a_row + kept * bytes.a_kept) + bytes.always;
}

// A tape that forward has written: bytes, one after the other.
bool read_tape(nb::handle tape, void*& start) {
  View v;
  if (!is_bytes(tape, v) || v.rank != 1 || v.strides[0] != 1) return false;
  start = v.begin();
  return true;
}

nb::object new_tuple(int64_t size) {
  PyObject* const made = PyTuple_New(size);
  if (!made) nb::raise_python_error();
  return nb::steal(made);
}

void put(const nb::object& tuple, int64_t at, nb::object item) {
  PyTuple_SET_ITEM(tuple.ptr(), at, item.release().ptr());
}

// The gradient of x, its rows in the order of x's own where those are dense.
nb::object empty_like_x(nb::handle x, const Operands& operands, Strided& to) {
  View v;
  nb::object made = empty_like(x, v);
  if (v.has_dense_rows()) {
    to = Operands::strided(v);
    return made;
  }
  const Sizes sizes = operands.x_sizes();
  made = empty({}, x, sizes, to.data);
  to.row = sizes.of[2];
  to.step = sizes.of[1] * to.row;
  return made;
}

}  // namespace

nb::object forward_tensors(Call call, nb::handle x, nb::handle hx, nb::list weights) {
  Operands operands(call);
  nb::handle given[2];
  const bool begun = !hx.is_none();
  if (!torch_is_plain() || !operands.read_x(x)) return nb::none();
  if (begun && !split(hx, operands.states(), given)) return nb::none();
  const auto weight = [&](int64_t i) { return nb::handle(PyList_GET_ITEM(weights.ptr(), i)); };
  const int64_t count = PyList_GET_SIZE(weights.ptr());
  if (!operands.read_states(begun ? given : nullptr) || !operands.read_weights(count, weight)) return nb::none();

  if (grad_enabled()) {
    call.training = requires_grad(x);
    for (int k = 0; begun && k < operands.states(); ++k) call.training |= requires_grad(given[k]);
    for (int64_t i = 0; i < count && !call.training; ++i) call.training = requires_grad(weight(i));
  }

  const int states = operands.states();
  nb::object results = new_tuple(1 + states), answer = new_tuple(2);
  const Sizes sizes = operands.output_sizes();
  put(results, 0, empty({}, x, sizes, call.y.data));
  call.y.row = sizes.of[2];
  call.y.step = sizes.of[1] * sizes.of[2];
  void** const ends[2] = {&call.hn, &call.cn};
  for (int k = 0; k < states; ++k) put(results, 1 + k, empty(given[k], x, operands.state_sizes(k), *ends[k]));
  put(answer, 0, std::move(results));
  put(answer, 1, call.training ? empty_bytes(x, tape_size(call), call.tape) : nb::none());

  run(call, forward);
  return answer;
}

nb::object backward_tensors(Call call, nb::tuple kept, int states, nb::tuple incoming, nb::tuple needs) {
  Operands operands(call);
  const auto at = [&](int64_t i) { return nb::handle(PyTuple_GET_ITEM(kept.ptr(), i)); };
  const int64_t count = int64_t(nb::len(kept)) - 3 - states;
  if (count < 0 || int64_t(nb::len(needs)) != 2 + states + count || !torch_is_plain() || grad_enabled())
    return nb::none();
  const nb::handle x = at(0), given[2] = {at(1), at(2)};  // the tuple is longer than that in any case
  if (!operands.read_x(x) || (states && states != operands.states())) return nb::none();
  if (!operands.read_states(states ? given : nullptr)) return nb::none();
  if (!operands.read_weights(count, [&](int64_t i) { return at(1 + states + i); })) return nb::none();
  if (!operands.read_output(at(1 + states + count), call.y) || !read_tape(at(2 + states + count), call.tape))
    return nb::none();

  if (int64_t(nb::len(incoming)) != 1 + operands.states()) return nb::none();
  nb::object copies[3];
  if (!operands.read_output_gradient(incoming[0], call.dy, copies[2])) return nb::none();
  void** const ends[2] = {&call.dhn, &call.dcn};
  for (int k = 0; k < operands.states(); ++k)
    if (!operands.read_state_gradient(incoming[1 + k], k, *ends[k], copies[k])) return nb::none();

  const auto needed = [&](int64_t i) { return PyTuple_GET_ITEM(needs.ptr(), 1 + i) == Py_True; };
  nb::object gradients = new_tuple(2 + states + count);
  put(gradients, 0, nb::none());
  put(gradients, 1, needed(0) ? empty_like_x(x, operands, call.dx) : nb::none());
  call.weight_gradients.resize(size_t(count));
  void** const starts[2] = {&call.dh0, &call.dc0};
  for (int64_t i = 1; i < 1 + states + count; ++i) {
    nb::object made = nb::none();
    if (needed(i)) {
      View v;
      made = empty_like(at(i), v);
      (i <= states ? *starts[i - 1] : call.weight_gradients[size_t(i - 1 - states)]) = v.begin();
    }
    put(gradients, 1 + i, std::move(made));
  }

  call.training = true;
  run(call, backward);
  return gradients;
}

int64_t nanoseconds_in_kernels() { return nanoseconds; }

}  // namespace statewise
