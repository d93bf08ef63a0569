// numpy's arrays, read through Python's buffer protocol, and made by numpy.empty.

#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>

namespace statewise {

constexpr int kMostAxes = 3;

// An array of the class numpy.ndarray itself, whose memory stays where it is as long as it lives.
struct Array {
  char* data = nullptr;
  char kind = 0;  // 'f', 'd' or, of 64-bit integers, 'q'
  int rank = 0;
  int64_t sizes[kMostAxes]{};
  bool dense = false;
};

// False for any other object, and for what lies otherwise than the kernels read it.
bool read_array(nanobind::handle array, Array& to);
// A copy of any array, dense.
nanobind::object dense_copy(nanobind::handle array, Array& to);
// A new one of kind 'f', 'd' or 'q'; `data` is its memory.
nanobind::object new_array(char kind, int rank, const int64_t* sizes, void*& data);

// The sizes as Python writes them.
std::string said(const Array& array);

}  // namespace statewise
