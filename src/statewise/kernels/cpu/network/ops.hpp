// What a program is made of: ops over time. Each has one method that computes, feed, which takes whole sequences or a
// single step, of rows that have just begun or go on from a state; what it gives and the state after it are memory of
// the caller's.
//
// A value over time is (T, N, F), what sums up the steps is (N, F); symbols are int64 (T, N).

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "told.hpp"

namespace statewise::runtime {

// Steps of rows, of which each row's first lengths[n] count; null: all.
struct Extent {
  int64_t steps, rows;
  const int64_t* lengths;
  int64_t of(int64_t row) const { return lengths ? lengths[row] : steps; }
};

// A part of an op's state: (depth, N, width), or (N, width) where it is flat. A memory has any depth, by which the
// caller tells how long it is, and is only read.
struct StateForm {
  int64_t depth, width;
  bool flat = true, memory = false;
};

struct StatePart {
  const void* data;
  int64_t depth;
};

// An op at work for some rows of a stream, with the state they are in.
template <class T>
class Worker {
 public:
  virtual ~Worker() = default;
  virtual void begin() {}
  // How many steps it makes at once, at most.
  virtual int64_t most() const { return 1; }
  // So many more steps; false where what is given is not what the network can read. Takes no memory and no lock.
  virtual bool step(int64_t steps, const void* const* given, void* result) = 0;
  // The state as so many numbers.
  virtual int64_t state_size() const { return 0; }
  virtual void save(T*) const {}
  virtual void load(const T*) {}
};

template <class T>
class Op {
 public:
  virtual ~Op() = default;
  Form form;
  std::vector<StateForm> states;
  bool streams = true;
  bool keeps_steps = true;   // whether left() is what it is given
  bool gives_state = false;  // what it gives for a single step is its first state
  bool local = false;        // whether it looks at each row of each step by itself
  std::string name, op;
  std::vector<int> reads;

  // How many steps the result has of so many.
  virtual int64_t left(int64_t steps) const { return steps; }
  // State k of so many rows that have read nothing: zeros.
  virtual void begin(size_t k, int64_t rows, T* to) const {
    std::fill_n(to, states[k].depth * rows * states[k].width, T(0));
  }
  // Numbers that feed needs room for.
  virtual int64_t room(const Extent&) const { return 0; }
  // The result of all rows; past a row's end it is something that can be read. before: of each state, null: as it
  // begins. after: likewise, null: not wanted; of a single step it may be where the state before is. False where a
  // value is missing. Throws Unfit.
  virtual bool feed(const Extent& extent, const void* const* given, const StatePart* before, T* const* after,
                    void* result, T* room) const = 0;
  // Steps in memory of their own, so many at a time at most. By default they are fed.
  virtual std::unique_ptr<Worker<T>> work(int64_t rows, int64_t most) const;
};

// The op that a file describes. Throws Damaged or Unsupported.
template <class T>
std::unique_ptr<Op<T>> make_op(const Told<T>& told, const std::vector<Form>& given);

// The names of all ops, and of what `activation` may compute.
std::vector<std::string> op_names();
std::vector<std::string> activation_names();

constexpr int64_t kMostAround = 1 << 24;  // numbers that a convolution reads at once, or puts before the first
constexpr double kNever = -1e4;           // the score of a move that may not be

}  // namespace statewise::runtime
