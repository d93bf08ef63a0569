#include "frozen.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

namespace nb = nanobind;

namespace statewise {
namespace {

// Multiply-adds of a gate from which other Python threads may run meanwhile: whoever lets go of the interpreter may
// have to wait long until it is free again.
constexpr double kWorthRelease = 1e5;

// DLPack's exchange between C libraries, version 1: https://dmlc.github.io/dlpack. Only what is read here has a name.
struct View {
  void* data;
  int32_t device_type, device_id;
  int32_t rank;
  uint8_t kind, bits;
  uint16_t lanes;
  int64_t *sizes, *strides;
  uint64_t offset;  // bytes
};
struct Exchange {
  uint32_t major, minor;
  void *before, *allocate, *export_, *import_;
  int (*view)(void* tensor, View* view);  // 0, or a Python exception is set
};
enum { kOnCpu = 1, kFloat = 2 };

const Torch* torch = nullptr;
const Exchange* exchange = nullptr;

// Whether `answer`, which is taken over, is 0, None or False; an exception is not.
bool is_no(PyObject* answer) {
  if (!answer) {
    PyErr_Clear();
    return false;
  }
  const int truth = PyObject_IsTrue(answer);
  Py_DECREF(answer);
  if (truth < 0) PyErr_Clear();
  return truth == 0;
}

// Whether torch is in none of the states in which a tensor is more than its memory.
bool torch_is_plain() {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(torch->modes.ptr()); ++i)
    if (!is_no(PyObject_CallNoArgs(PyTuple_GET_ITEM(torch->modes.ptr(), i)))) return false;
  static PyObject* const level = PyUnicode_InternFromString("_current_level");
  PyObject* const found = PyDict_GetItemWithError(torch->forward_ad.ptr(), level);
  return found && PyLong_Check(found) && PyLong_AsLong(found) < 0;
}

// A tensor as plain as tensors come: of the very class, on the CPU, of this dtype, with elements, and no gradient
// asked.
bool is_plain(nb::handle tensor, int bits, View& v) {
  static PyObject* const requires_grad = PyUnicode_InternFromString("requires_grad");
  if (Py_TYPE(tensor.ptr()) != reinterpret_cast<PyTypeObject*>(torch->tensor.ptr())) return false;
  if (exchange->view(tensor.ptr(), &v) != 0) {
    PyErr_Clear();
    return false;
  }
  return v.device_type == kOnCpu && v.kind == kFloat && v.bits == bits && v.lanes == 1 && v.data &&
         is_no(PyObject_GetAttr(tensor.ptr(), requires_grad)) &&
         is_no(PyObject_CallOneArg(torch->is_neg.ptr(), tensor.ptr()));
}

void* begin(const View& v) { return static_cast<char*>(v.data) + v.offset; }

// A tensor's sizes, without the batch's where there is none.
struct Sizes {
  int64_t of[3];
  int rank;
};

bool is_dense(const View& v, const Sizes& sizes) {
  if (v.rank != sizes.rank) return false;
  int64_t stride = 1;
  for (int k = sizes.rank - 1; k >= 0; --k) {
    if (v.sizes[k] != sizes.of[k] || (v.strides[k] != stride && v.sizes[k] != 1)) return false;
    stride *= v.sizes[k];
  }
  return true;
}

// A new tensor of `sizes` and its memory. `twin` has those sizes; null if there is none, and then `like` has others.
nb::object empty(nb::handle twin, nb::handle like, const Sizes& sizes, void*& memory) {
  nb::object made;
  if (twin.is_valid()) {
    made = nb::steal(PyObject_CallOneArg(torch->empty_like.ptr(), twin.ptr()));  // saves reading the sizes: 0.15 us
  } else {
    PyObject* arguments[4] = {like.ptr()};
    nb::object owned[3];
    for (int k = 0; k < sizes.rank; ++k) arguments[k + 1] = (owned[k] = nb::int_(sizes.of[k])).ptr();
    made = nb::steal(PyObject_Vectorcall(torch->new_empty.ptr(), arguments, size_t(sizes.rank) + 1, nullptr));
  }
  View v;
  if (!made.is_valid() || exchange->view(made.ptr(), &v) != 0) nb::raise_python_error();
  memory = begin(v);
  return made;
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

bool connect(Torch found) {
  constexpr const char* kName = "dlpack_exchange_api";
  if (!PyCapsule_IsValid(found.exchange.ptr(), kName)) return false;
  const auto* api = static_cast<const Exchange*>(PyCapsule_GetPointer(found.exchange.ptr(), kName));
  if (api->major != 1 || !api->view) return false;
  torch = new Torch(std::move(found));  // for good: torch isn't unloaded either
  exchange = api;
  return true;
}

Frozen::Frozen(const Call& call, Form form)
    : call_(call), form_(form), set_(&statewise::instruction_set()), packed_(nullptr, std::free) {
  const Cell& cell = set_->cells[call.cell];
  const Kernels& kernels = call.twofold ? cell.twofold : cell.single;
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
  const int bits = call_.twofold ? 64 : 32;
  View v;
  if (!torch || !undisturbed() || !torch_is_plain() || !is_plain(x, bits, v)) return nb::none();

  const int full = form_ == kCell ? 2 : 3;  // the rank with a batch
  const bool batched = v.rank == full;
  if (!batched && v.rank != full - 1) return nb::none();
  if (v.sizes[v.rank - 1] != call_.I || (v.strides[v.rank - 1] != 1 && call_.I != 1)) return nb::none();
  Call call = call_;
  const int row = form_ == kTimeFirst ? 1 : 0, time = !batched ? 0 : 1 - row;
  call.N = batched ? v.sizes[row] : 1;
  call.T = form_ == kCell ? 1 : v.sizes[time];
  if (call.T == 0 || call.N == 0) return nb::none();
  call.x = {begin(v), form_ == kCell ? 0 : v.strides[time], batched ? v.strides[row] : 0};

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
      *starts[k] = begin(s);
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
  call.threads = nb::cast<int>(torch->get_threads());
  if (work < kWorthRelease) {
    forward(call);
  } else {
    const nb::gil_scoped_release released;
    forward(call);
  }
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
