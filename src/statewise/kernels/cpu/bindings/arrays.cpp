#include "arrays.hpp"

#include <stdexcept>
#include <string>

#include "python.hpp"

namespace nb = nanobind;

namespace statewise {
namespace {

struct Numpy {
  const nb::object module = nb::module_::import_("numpy"), array = module.attr("ndarray"), empty = module.attr("empty"),
                   contiguous = module.attr("ascontiguousarray"), float32 = module.attr("dtype")("float32"),
                   float64 = module.attr("dtype")("float64"), int64 = module.attr("dtype")("int64");
};

const Numpy& numpy() {
  static const Numpy* const found = new Numpy();  // for good: numpy isn't unloaded either
  return *found;
}

bool read(const Py_buffer& buffer, Array& to) {
  if (buffer.ndim > kMostAxes || !buffer.format || buffer.format[0] == '\0' || buffer.format[1] != '\0')
    return false;  // '>f' is of the other byte order
  const char format = buffer.format[0] == 'l' && buffer.itemsize == 8 ? 'q' : buffer.format[0];
  if (format != 'f' && format != 'd' && format != 'q') return false;
  if (reinterpret_cast<uintptr_t>(buffer.buf) % size_t(buffer.itemsize) != 0) return false;
  to.data = static_cast<char*>(buffer.buf), to.kind = format, to.rank = buffer.ndim, to.dense = true;
  int64_t apart = buffer.itemsize;
  for (int k = to.rank - 1; k >= 0; --k) {
    to.sizes[k] = buffer.shape[k];
    to.dense = to.dense && (to.sizes[k] == 1 || buffer.strides[k] == apart);
    apart *= to.sizes[k];
  }
  to.dense = to.dense || apart == 0;
  return true;
}

nb::object owned(PyObject* made, Array& to) {
  if (!made) nb::raise_python_error();
  nb::object array = nb::steal(made);
  if (!read_array(array, to)) throw std::runtime_error("numpy made an array that can't be read");
  return array;
}

}  // namespace

bool read_array(nb::handle array, Array& to) {
  if (reinterpret_cast<PyObject*>(Py_TYPE(array.ptr())) != numpy().array.ptr()) return false;
  Py_buffer buffer;
  if (PyObject_GetBuffer(array.ptr(), &buffer, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
    PyErr_Clear();
    return false;
  }
  const bool plain = read(buffer, to);
  PyBuffer_Release(&buffer);
  return plain;
}

nb::object dense_copy(nb::handle array, Array& to) { return owned(call(numpy().contiguous, array), to); }

nb::object new_array(char kind, int rank, const int64_t* sizes, void*& data) {
  const nb::object shape = new_tuple(rank);
  for (int k = 0; k < rank; ++k) put(shape, k, nb::int_(sizes[k]));
  const nb::object& dtype = kind == 'f' ? numpy().float32 : kind == 'd' ? numpy().float64 : numpy().int64;
  Array made;
  nb::object array = owned(call(numpy().empty, shape, dtype), made);
  data = made.data;
  return array;
}

std::string said(const Array& array) {
  std::string text = "(";
  for (int k = 0; k < array.rank; ++k) text += (k ? ", " : "") + std::to_string(array.sizes[k]);
  return text + (array.rank == 1 ? ",)" : ")");
}

}  // namespace statewise
