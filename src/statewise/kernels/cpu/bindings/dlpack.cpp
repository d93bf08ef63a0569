#include "dlpack.hpp"

#include <algorithm>
#include <utility>

#include "python.hpp"

namespace nb = nanobind;

namespace statewise {
namespace {

struct Exchange {
  uint32_t major, minor;
  void *before, *allocate, *export_, *import_;
  int (*view)(void* tensor, View* view);  // 0, or a Python exception is set
};
enum { kOnCpu = 1 };

const Torch* torch = nullptr;
const Exchange* exchange = nullptr;

// Whether `answer`, which is taken over, is 0, None or False; an exception is not, but for an interrupt, which goes on.
bool is_no(PyObject* answer) {
  if (!answer) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) nb::raise_python_error();
    PyErr_Clear();
    return false;
  }
  const int truth = PyObject_IsTrue(answer);
  Py_DECREF(answer);
  if (truth < 0) PyErr_Clear();
  return truth == 0;
}

// Views what was made here; raises what torch did, if there is none.
nb::object viewed(PyObject* made, View& v) {
  nb::object owned = nb::steal(made);
  if (!made || exchange->view(made, &v) != 0) nb::raise_python_error();
  return owned;
}

}  // namespace

bool is_parameter(nb::handle tensor) {
  return reinterpret_cast<PyObject*>(Py_TYPE(tensor.ptr())) == torch->parameter.ptr();
}

namespace {

class TorchTensors final : public Tensors {
 public:
  // Of the very class or a parameter.
  bool view(nb::handle tensor, View& v) const override {
    const auto* type = reinterpret_cast<PyObject*>(Py_TYPE(tensor.ptr()));
    if (type != torch->tensor.ptr() && !is_parameter(tensor)) return false;
    if (exchange->view(tensor.ptr(), &v) != 0) {
      PyErr_Clear();
      return false;
    }
    const bool empty = std::find(v.sizes, v.sizes + v.rank, 0) != v.sizes + v.rank;
    return v.device_type == kOnCpu && v.lanes == 1 && (v.data || empty);  // torch has zeros without memory
  }

  bool is_negated(nb::handle tensor) const override { return !is_no(call(torch->is_neg, tensor)); }

  nb::object dense_copy(nb::handle tensor, View& v) const override {
    static PyObject* const resolve = PyUnicode_InternFromString("resolve_neg");
    static PyObject* const contiguous = PyUnicode_InternFromString("contiguous");
    PyObject* const positive = call_method(tensor, resolve);
    if (!positive) nb::raise_python_error();
    const nb::object owned = nb::steal(positive);
    return viewed(call_method(owned, contiguous), v);
  }

  nb::object empty(nb::handle like, const Sizes& sizes, View& v) const override {
    PyObject* arguments[4] = {like.ptr()};
    nb::object owned[3];
    for (int k = 0; k < sizes.rank; ++k) arguments[k + 1] = (owned[k] = nb::int_(sizes.of[k])).ptr();
    return viewed(PyObject_Vectorcall(torch->new_empty.ptr(), arguments, size_t(sizes.rank) + 1, nullptr), v);
  }

  // torch.empty_like saves reading the sizes: 0.15 us.
  nb::object empty_like(nb::handle like, View& v) const override { return viewed(call(torch->empty_like, like), v); }
};

}  // namespace

const Tensors& torch_tensors() {
  static const TorchTensors tensors;
  return tensors;
}

bool connect(Torch found) {
  constexpr const char* kName = "dlpack_exchange_api";
  if (!PyCapsule_IsValid(found.exchange.ptr(), kName)) return false;
  const auto* api = static_cast<const Exchange*>(PyCapsule_GetPointer(found.exchange.ptr(), kName));
  if (api->major != 1 || !api->view) return false;
  torch = new Torch(std::move(found));  // for good: torch isn't unloaded either
  exchange = api;
  return true;
}

void disconnect() { torch = nullptr; }

bool torch_is_known() { return torch != nullptr; }

bool torch_is_plain() {
  for (Py_ssize_t i = 0; i < size(torch->modes); ++i)
    if (!is_no(call(item(torch->modes, i)))) return false;
  static PyObject* const level = PyUnicode_InternFromString("_current_level");
  PyObject* const found = PyDict_GetItemWithError(torch->forward_ad.ptr(), level);
  return found && PyLong_Check(found) && PyLong_AsLong(found) < 0;
}

bool autocast_enabled() { return !is_no(call(torch->autocast)); }

bool grad_enabled() { return !is_no(call(torch->grad_enabled)); }

int torch_threads() { return nb::cast<int>(torch->get_threads()); }

bool precision_is_medium() {
  const nb::object precision = torch->get_precision();
  return PyUnicode_Check(precision.ptr()) && PyUnicode_CompareWithASCIIString(precision.ptr(), "medium") == 0;
}

bool Tensors::is_memory(nb::handle tensor, int bits, View& v) const {
  return view(tensor, v) && v.kind == (bits == 16 ? kBfloat : kFloat) && v.bits == bits;
}

bool Tensors::is_bytes(nb::handle tensor, View& v) const {
  return view(tensor, v) && v.kind == kUnsigned && v.bits == 8;
}

bool Tensors::is_counts(nb::handle tensor, View& v) const {
  return view(tensor, v) && v.kind == kSigned && v.bits == 64;
}

bool requires_grad(nb::handle tensor) {
  static PyObject* const name = PyUnicode_InternFromString("requires_grad");
  return !is_no(PyObject_GetAttr(tensor.ptr(), name));
}

int64_t version_of(nb::handle tensor) {
  static PyObject* const name = PyUnicode_InternFromString("_version");
  return nb::cast<int64_t>(tensor.attr(name));
}

bool has_sizes(const View& v, const Sizes& sizes) {
  return v.rank == sizes.rank && std::equal(v.sizes, v.sizes + v.rank, sizes.of);
}

bool is_dense(const View& v, const Sizes& sizes) {
  if (!has_sizes(v, sizes)) return false;
  int64_t stride = 1;
  for (int k = v.rank - 1; k >= 0; --k) {
    if (v.strides[k] != stride && v.sizes[k] != 1) return false;
    stride *= v.sizes[k];
  }
  return true;
}

nb::object empty_bytes(nb::handle like, int64_t count, void*& memory) {
  static PyObject* const names = PyTuple_Pack(1, nb::str("dtype").ptr());
  const nb::int_ size(count);
  PyObject* arguments[3] = {like.ptr(), size.ptr(), torch->bytes.ptr()};
  View v;
  nb::object made = viewed(PyObject_Vectorcall(torch->new_empty.ptr(), arguments, 2, names), v);
  memory = v.begin();
  return made;
}

}  // namespace statewise
