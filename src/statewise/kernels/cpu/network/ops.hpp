// What a program is made of, as in src/statewise/runtime/ops.py: ops over time, each of which computes whole sequences
// and, where it can, a step at a time in memory that is there already.
//
// A value over time is (T, N, F), what sums up the steps is (N, F); symbols are int64 (T, N).

#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../dispatch.hpp"
#include "file.hpp"

namespace statewise {

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

// What a file says of one op: options and tensors, each checked when it is asked for.
template <class T>
class Told {
 public:
  Told(const Json& entry, const std::map<std::string, Tensor>& tensors, std::set<std::string>& used, int threads);

  const std::string& name() const { return name_; }
  const std::string& op() const { return op_; }
  int threads() const { return threads_; }
  size_t tensors() const { return tensors_.size(); }
  const Json* find(const char* option) const { return entry_.find(option); }
  [[noreturn]] void refuse(const std::string& expected) const;

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
  const std::map<std::string, Tensor>& tensors_;
  std::set<std::string>& used_;
  int threads_;
  std::string name_, op_;
};

// What an op gives for whole sequences: (steps, rows, F) in memory of its own, or of the caller's.
struct Value {
  Form form;
  int64_t steps = 0;
  std::vector<int64_t> lengths;  // of each row
  std::vector<std::byte> own;
  const void* data = nullptr;
};

// An op at work for some rows of a stream, with the state they are in.
template <class T>
class Worker {
 public:
  virtual ~Worker() = default;
  virtual void begin() {}
  // One more step; false where what is given is not what the network can read. Takes no memory and no lock.
  virtual bool step(const void* const* given, void* result) = 0;
  // The state as so many numbers.
  virtual int64_t state_size() const { return 0; }
  virtual void save(T*) const {}
  virtual void load(const T*) {}
};

// One row's steps, one after the other.
struct Row {
  const std::byte* data;
  int64_t bytes;  // of a step
};

template <class T>
class Op {
 public:
  virtual ~Op() = default;
  Form form;
  bool streams = true;
  std::string name;
  std::vector<int> reads;

  virtual std::unique_ptr<Worker<T>> work(int64_t rows) const = 0;
  // How many steps the result has of so many.
  virtual int64_t left(int64_t steps) const { return steps; }
  virtual Value run(const std::vector<const Value*>& given, int64_t rows) const;

 protected:
  // Of one row, dense in memory; the result too. By default step after step.
  virtual void sequence(int64_t steps, const std::vector<Row>& given, void* result) const;
  // What a summary is of no steps.
  virtual void nothing(T*) const {}
};

// The op that a file describes. Throws Damaged or Unsupported.
template <class T>
std::unique_ptr<Op<T>> make_op(const Told<T>& told, const std::vector<Form>& given);

template <class T>
int64_t element_bytes(const Form& form) {
  return form.kind == Kind::kSymbols || form.kind == Kind::kExact ? 8 : int64_t(sizeof(T));
}

}  // namespace statewise
