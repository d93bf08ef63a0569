// What a file says of an op, and what is known of the values that ops read and give.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "file.hpp"

namespace statewise::runtime {

// What a file asks for and this library doesn't do.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a caller gives that doesn't fit.
struct Unfit : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Kind { kValues, kExact, kSymbols, kSummary };

constexpr int64_t kWidest = int64_t(1) << 31;

// What is known of a value before there is one. Exact values are double, whatever the others are.
struct Form {
  int64_t width = 0;  // F; of symbols how many there are
  Kind kind = Kind::kValues;
  bool operator==(const Form&) const = default;
  int64_t row() const { return kind == Kind::kSymbols ? 1 : width; }  // elements of a row
};

// A cell that programs may name: its number among the kernels', and what its states and weights are called.
struct CellNames {
  int number;
  std::vector<std::string> states, weights;
};

// The cells that come with statewise.
const std::map<std::string, CellNames>& own_cells();

// What a program's ops are made of beside what it says of each.
struct Materials {
  const std::map<std::string, Tensor>& tensors;
  const std::map<std::string, CellNames>& cells;
  int threads;
  std::set<std::string> used{};  // tensors
};

// What a file says of one op: options and tensors, each checked when it is asked for.
template <class T>
class Told {
 public:
  Told(const Json& entry, Materials& materials);

  const std::string& name() const { return name_; }
  const std::string& op() const { return op_; }
  int threads() const { return materials_.threads; }
  size_t tensors() const { return materials_.tensors.size(); }
  const std::map<std::string, CellNames>& cells() const { return materials_.cells; }
  const Json* find(const char* option) const { return entry_.find(option); }
  [[noreturn]] void refuse(const std::string& expected) const;
  [[noreturn]] void refuse(const std::string& expected, const std::string& got) const;

  int64_t count(const char* option, int64_t least = 1) const;
  int64_t count(const char* option, int64_t least, int64_t otherwise) const;
  double number(const char* option, double otherwise) const;
  bool flag(const char* option, bool otherwise = false) const;
  std::string word(const char* option) const;

  bool has(const std::string& tensor) const;
  // The numbers of a tensor of this shape, -1 for any; the shape that it has comes back.
  template <class U = T>
  std::vector<U> array(const std::string& tensor, std::vector<int64_t> shape,
                       std::vector<int64_t>* found = nullptr) const;

 private:
  const Json& entry_;
  Materials& materials_;
  std::string name_, op_;
};

// A value as messages show it, cut where it is long; of null that there is none.
std::string said(const Json* value);

template <class T>
int64_t element_bytes(const Form& form) {
  return form.kind == Kind::kSymbols || form.kind == Kind::kExact ? 8 : int64_t(sizeof(T));
}

}  // namespace statewise::runtime
