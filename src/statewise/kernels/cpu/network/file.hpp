// What statewise.save writes: a .safetensors file, whose header says what the tensors are for.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"

namespace statewise::runtime {

// A tensor as it lies in the file, whose memory must live as long.
struct Tensor {
  std::string dtype;
  std::vector<int64_t> shape;
  const char* data;
  int64_t count;  // of numbers
};

struct File {
  Json told;  // kind, format, version, content
  std::map<std::string, Tensor> tensors;
};

// All that the header says is checked against the bytes that there are before anything of its sizes is made. Throws
// Damaged.
File read_file(std::string_view data);

// A tensor's numbers as T, whatever they are in the file.
template <class T>
std::vector<T> numbers(const Tensor& tensor);

uint32_t crc32(const void* data, size_t size, uint32_t before = 0);

}  // namespace statewise::runtime
