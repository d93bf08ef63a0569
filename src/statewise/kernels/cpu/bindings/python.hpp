// Python's C interface as the bindings use it: within the stable ABI of 3.12 where a wheel is built for that, by the
// faster macros elsewhere; and on an interpreter without a lock as well.

#pragma once

#include <nanobind/nanobind.h>

namespace statewise {

inline Py_ssize_t size(nanobind::handle sequence) {  // of a tuple or list
#ifdef Py_LIMITED_API
  return PyTuple_CheckExact(sequence.ptr()) ? PyTuple_Size(sequence.ptr()) : PyList_Size(sequence.ptr());
#else
  return Py_SIZE(sequence.ptr());
#endif
}

// The item of a tuple or list, neither of which owns what it lends.
inline nanobind::handle item(nanobind::handle sequence, Py_ssize_t i) {
#ifdef Py_LIMITED_API
  return PyTuple_CheckExact(sequence.ptr()) ? PyTuple_GetItem(sequence.ptr(), i) : PyList_GetItem(sequence.ptr(), i);
#else
  return PyTuple_CheckExact(sequence.ptr()) ? PyTuple_GET_ITEM(sequence.ptr(), i) : PyList_GET_ITEM(sequence.ptr(), i);
#endif
}

// A list whose items stay while they are read: itself, unless other threads may change it meanwhile.
inline nanobind::object held(nanobind::handle list) {
#ifdef Py_GIL_DISABLED
  return nanobind::steal(PyList_AsTuple(list.ptr()));
#else
  return nanobind::borrow(list);
#endif
}

inline nanobind::object new_tuple(Py_ssize_t size) {
  PyObject* const made = PyTuple_New(size);
  if (!made) nanobind::raise_python_error();
  return nanobind::steal(made);
}

// Puts `item` into a new tuple, of which nobody else knows.
inline void put(nanobind::handle tuple, Py_ssize_t i, nanobind::object item) {
#ifdef Py_LIMITED_API
  PyTuple_SetItem(tuple.ptr(), i, item.release().ptr());
#else
  PyTuple_SET_ITEM(tuple.ptr(), i, item.release().ptr());
#endif
}

// The result of a call, new or null.
template <class... Arguments>
PyObject* call(nanobind::handle function, Arguments... arguments) {
  PyObject* const given[] = {arguments.ptr()..., nullptr};
  return PyObject_Vectorcall(function.ptr(), given, sizeof...(arguments), nullptr);
}

inline PyObject* call_method(nanobind::handle self, PyObject* name) {
  PyObject* const given[] = {self.ptr()};
  return PyObject_VectorcallMethod(name, given, 1, nullptr);
}

}  // namespace statewise
