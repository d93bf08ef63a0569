// What a program is made of, as in src/statewise/runtime/ops.py: ops over time, each of which computes whole sequences
// and, where it can, a step at a time in memory that is there already.
//
// A value over time is (T, N, F), what sums up the steps is (N, F); symbols are int64 (T, N).

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "told.hpp"

namespace statewise {

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

}  // namespace statewise
