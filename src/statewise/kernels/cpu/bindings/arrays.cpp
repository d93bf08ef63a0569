#include "arrays.hpp"

#include <cstring>
#include <stdexcept>

#include "python.hpp"

namespace nb = nanobind;

namespace statewise {
namespace {

class NumpyArrays final : public Tensors {
 public:
  // Of the very class, whose memory stays where it is as long as the array lives.
  bool view(nb::handle array, View& v) const override {
    if (reinterpret_cast<PyObject*>(Py_TYPE(array.ptr())) != class_.ptr()) return false;
    Py_buffer buffer;
    if (PyObject_GetBuffer(array.ptr(), &buffer, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
      PyErr_Clear();
      return false;
    }
    const bool plain = read(buffer, v);
    PyBuffer_Release(&buffer);
    return plain;
  }

  bool is_negated(nb::handle) const override { return false; }

  nb::object dense_copy(nb::handle array, View& v) const override { return viewed(call(contiguous_, array), v); }

  nb::object empty(nb::handle like, const Sizes& sizes, View& v) const override {
    static PyObject* const dtype = PyUnicode_InternFromString("dtype");
    const nb::object of = nb::steal(PyObject_GetAttr(like.ptr(), dtype));
    const nb::object shape = new_tuple(sizes.rank);
    for (int k = 0; k < sizes.rank; ++k) put(shape, k, nb::int_(sizes.of[k]));
    return viewed(call(empty_, shape, of), v);
  }

  nb::object empty_like(nb::handle like, View& v) const override { return viewed(call(empty_like_, like), v); }

 private:
  static bool read(const Py_buffer& buffer, View& v) {
    if (buffer.ndim < 1 || buffer.ndim > 3 || !buffer.format || buffer.format[0] == '\0' || buffer.format[1] != '\0')
      return false;  // '>f' is of the other byte order
    switch (buffer.format[0]) {
      case 'f':
      case 'd':
        v.kind = kFloat;
        break;
      case 'l':
      case 'q':
        v.kind = kSigned;
        break;
      default:
        return false;
    }
    const Py_ssize_t item = buffer.itemsize;
    if (reinterpret_cast<uintptr_t>(buffer.buf) % size_t(item) != 0) return false;
    v.data = buffer.buf, v.offset = 0, v.bits = uint8_t(8 * item), v.rank = buffer.ndim;
    v.sizes = v.own[0], v.strides = v.own[1];
    for (int k = 0; k < v.rank; ++k) {
      if (buffer.strides[k] % item != 0) return false;
      v.sizes[k] = buffer.shape[k], v.strides[k] = buffer.strides[k] / item;
    }
    return true;
  }

  nb::object viewed(PyObject* made, View& v) const {
    if (!made) nb::raise_python_error();
    nb::object owned = nb::steal(made);
    if (!view(owned, v)) throw std::runtime_error("numpy made an array that can't be read");
    return owned;
  }

  const nb::object numpy_ = nb::module_::import_("numpy"), class_ = numpy_.attr("ndarray"),
                   empty_ = numpy_.attr("empty"), empty_like_ = numpy_.attr("empty_like"),
                   contiguous_ = numpy_.attr("ascontiguousarray");
};

}  // namespace

const Tensors& numpy_arrays() {
  static const NumpyArrays* const arrays = new NumpyArrays();  // for good: numpy isn't unloaded either
  return *arrays;
}

ArrayStack::ArrayStack(nb::handle stack, nb::list weights, int threads, Stored stored)
    : pack_(packed(stack, weights, stored)), one_row_(std::make_unique<OneRow>()) {
  pack_.call.threads = threads;
}

Pack ArrayStack::packed(nb::handle stack, const nb::list& weights, Stored stored) {
  Operands operands(nb::inst_ptr<Stack>(stack)->sizes, Form::kTimeFirst, numpy_arrays());
  const nb::object lent = held(weights);
  const auto weight = [&](int64_t i) { return item(lent, i); };
  const Py_ssize_t count = size(lent);
  if (count == 0 || !operands.read_dtype(weight(0)) || (operands.call().float64 && stored != Stored::kNumbers) ||
      !operands.read_weights(count, weight))
    throw std::invalid_argument("the kernels can't pack these weights");
  return Pack(operands, stored);
}

nb::object ArrayStack::operator()(nb::handle x, nb::handle hx, nb::handle lengths) const {
  View v;
  if (!is_current() || !numpy_arrays().is_memory(x, pack_.call.float64 ? 64 : 32, v)) return nb::none();
  const bool step = v.rank == 2;
  if (step && (pack_.call.L * pack_.call.D != 1 || pack_.call.projected)) return nb::none();
  Operands operands(pack_.call, step ? Form::kStep : Form::kTimeFirst, numpy_arrays());
  if (PyTuple_CheckExact(lengths.ptr()) || !operands.read_input(x, lengths) || !operands.read_hx(hx)) return nb::none();
  nb::object results = make_results(operands, x);
  if (!step || !step_of_one_row(operands.call())) compute(operands, forward);
  return results;
}

// False, and nothing has happened, where another thread is at it.
bool ArrayStack::step_of_one_row(const Call& call) const {
  if (call.N != 1 || call.lengths || one_row_->taken.test_and_set(std::memory_order_acquire)) return false;
  struct Release {
    std::atomic_flag& taken;
    ~Release() { taken.clear(std::memory_order_release); }
  } const release{one_row_->taken};
  std::unique_ptr<Stepper>& stepper = one_row_->stepper;
  if (!stepper) stepper = std::make_unique<Stepper>(call);
  for (int k = 0; k < stepper->states(); ++k) stepper->set(k, call.state[k].initial);
  stepper->step(call.x.data, call.y.data);  // which is the first state
  for (int k = 1; k < stepper->states(); ++k) stepper->get(k, call.state[k].final);
  return true;
}

}  // namespace statewise
