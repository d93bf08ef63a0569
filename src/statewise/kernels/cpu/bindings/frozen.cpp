#include "frozen.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "dlpack.hpp"

namespace nb = nanobind;

namespace statewise {
namespace {

// As plain as tensors come, and no gradient asked.
bool is_plain(nb::handle tensor, int bits, View& v) {
  return !is_parameter(tensor) && is_memory(tensor, bits, v) && !requires_grad(tensor);
}

// Memory of whole cache lines; for a large pack of whole huge pages, where the system has them: processors fetch ahead
// within a page alone (LSTM of H = 512, one step of one row: 119 -> 108 us).
void* memory_for(int64_t bytes) {
  constexpr int64_t kLine = 64, kHuge = 2 << 20, kLarge = 1 << 20;
  const int64_t unit = bytes < kLarge ? kLine : kHuge, whole = (bytes + unit - 1) / unit * unit;
  void* const memory = std::aligned_alloc(size_t(unit), size_t(whole));
  if (!memory) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (unit == kHuge) madvise(memory, size_t(whole), MADV_HUGEPAGE);
#endif
  return memory;
}

nb::object pair(nb::object a, nb::object b) {
  PyObject* const two = PyTuple_New(2);
  if (!two) nb::raise_python_error();
  PyTuple_SET_ITEM(two, 0, a.release().ptr());
  PyTuple_SET_ITEM(two, 1, b.release().ptr());
  return nb::steal(two);
}

}  // namespace

Frozen::Frozen(const Call& call, Form form)
    : call_(call), form_(form), set_(&statewise::instruction_set()), packed_(nullptr, std::free) {
  const Cell& cell = set_->cells[call.cell];
  const Kernels& kernels = call.float64 ? cell.float64 : cell.float32;
  states_ = kernels.states;
  state_widths_[0] = call.projected && !kernels.carries_h ? call.projected : call.H;
  state_widths_[1] = call.H;
  packed_.reset(memory_for(packed_bytes(call)));
  pack(call, packed_.get());
  call_.weights.clear();
  call_.packed = packed_.get();
}

void Frozen::watch(nb::tuple hooks, nb::dict owner) {
  weights_.clear();
  for (auto item : owner) weights_.push_back(nb::borrow(item.second));
  hooks_ = std::move(hooks);
  owner_ = std::move(owner);
}

bool Frozen::undisturbed() const {
  if (set_ != &statewise::instruction_set() || !owner_.is_valid()) return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(hooks_.ptr()); ++i)
    if (PyDict_GET_SIZE(PyTuple_GET_ITEM(hooks_.ptr(), i)) != 0) return false;
  if (size_t(PyDict_GET_SIZE(owner_.ptr())) != weights_.size()) return false;
  Py_ssize_t at = 0;
  size_t i = 0;
  PyObject *name, *weight;
  while (PyDict_Next(owner_.ptr(), &at, &name, &weight))
    if (weight != weights_[i++].ptr()) return false;
  return true;
}

nb::object Frozen::operator()(nb::handle x, nb::handle hx) const {
  const int bits = call_.float64 ? 64 : 32;
  View v;
  if (!undisturbed() || !torch_is_plain() || !is_plain(x, bits, v)) return nb::none();

  const int full = form_ == kCell ? 2 : 3;  // the rank with a batch
  const bool batched = v.rank == full;
  if (!batched && v.rank != full - 1) return nb::none();
  if (v.sizes[v.rank - 1] != call_.I || !v.has_dense_rows()) return nb::none();
  Call call = call_;
  const int row = form_ == kTimeFirst ? 1 : 0, time = !batched ? 0 : 1 - row;
  call.N = batched ? v.sizes[row] : 1;
  call.T = form_ == kCell ? 1 : v.sizes[time];
  if (call.T == 0 || call.N == 0) return nb::none();
  call.x = {v.begin(), form_ == kCell ? 0 : v.strides[time], batched ? v.strides[row] : 0};

  // h, and c for the LSTM: (L*D, [N,] width), for a cell ([N,] width).
  Sizes state[2];
  for (int k = 0; k < states_; ++k) {
    state[k].rank = 0;
    if (form_ != kCell) state[k].of[state[k].rank++] = call.L * call.D;
    if (batched) state[k].of[state[k].rank++] = call.N;
    state[k].of[state[k].rank++] = state_widths_[k];
  }
  void** const starts[2] = {&call.h0, &call.c0};
  nb::handle given[2];
  if (!hx.is_none()) {
    given[0] = hx;
    if (states_ == 2) {
      if (!PyTuple_CheckExact(hx.ptr()) || PyTuple_GET_SIZE(hx.ptr()) != 2) return nb::none();
      for (int k = 0; k < 2; ++k) given[k] = PyTuple_GET_ITEM(hx.ptr(), k);
    }
    for (int k = 0; k < states_; ++k) {
      View s;
      if (!is_plain(given[k], bits, s) || !is_dense(s, state[k])) return nb::none();
      *starts[k] = s.begin();
    }
  }

  void** const ends[2] = {&call.hn, &call.cn};
  nb::object last[2], y;
  for (int k = 0; k < states_; ++k) last[k] = empty(given[k], x, state[k], *ends[k]);
  if (form_ == kCell) {
    call.y = {call.hn, 0, call.H};  // one step's output is the state, and it is no harm to write it twice
  } else {
    const int64_t width = call.D * (call.projected ? call.projected : call.H);
    Sizes sizes{{width, width, width}, v.rank};
    for (int k = 0; k < v.rank - 1; ++k) sizes.of[k] = v.sizes[k];
    const bool alike = v.rank == state[0].rank && std::equal(sizes.of, sizes.of + v.rank, state[0].of);
    y = empty(alike ? given[0] : nb::handle(), x, sizes, call.y.data);
    call.y.step = time == 1 ? width : batched ? call.N * width : width;
    call.y.row = time == 1 ? call.T * width : width;
  }

  const double work = double(call.T) * double(call.N) * double(call.H) * double(call.I + call.H) * double(call.L);
  call.threads = torch_threads();
  without_interpreter(work, [&] { forward(call); });
  nb::object final = states_ == 2 ? pair(std::move(last[0]), std::move(last[1])) : std::move(last[0]);
  return form_ == kCell ? final : pair(std::move(y), std::move(final));
}

int Frozen::traverse(visitproc visit, void* arg) const {
  Py_VISIT(hooks_.ptr());
  Py_VISIT(owner_.ptr());
  for (const nb::object& weight : weights_) Py_VISIT(weight.ptr());
  return 0;
}

void Frozen::clear() {
  hooks_.reset();
  owner_.reset();
  weights_.clear();
}

}  // namespace statewise
