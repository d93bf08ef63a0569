// A network that runs: whole sequences, and streams step by step.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ops.hpp"

namespace statewise::runtime {

// An input or a result. element: bytes of a number, int64 where the kind is symbols.
struct Port {
  std::string name;
  Form form;
  int64_t element;
};

// Rows that read a step at a time.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void begin() = 0;
  // So many steps: inputs (T, N, F) each; results likewise, of each step what there is by then. The numbers don't
  // depend on how many are made at once. False where what is given is not what the network can read: a symbol that
  // there isn't, a missing value; the state is then to be begun anew, or loaded. Takes no memory, lock or system call.
  virtual bool step(int64_t steps, const void* const* inputs, void* const* results) = 0;
  virtual int64_t rows() const = 0;
  // The state as bytes, for this very network and this number of rows.
  virtual int64_t state_bytes() const = 0;
  virtual void save(void* to) const = 0;
  // False, and nothing has changed, for what isn't such a state or is damaged.
  virtual bool load(const void* from, int64_t bytes) = 0;
};

// What runs an op of the program.
struct Part {
  std::string name, op;
  Form form;
  std::vector<StateForm> states;
  bool keeps_steps;  // whether it gives as many as it reads
};

// Nothing in it changes that a caller could see, so several threads may share one.
class Network {
 public:
  virtual ~Network() = default;
  std::vector<Port> inputs, results;
  std::vector<Part> parts;
  bool float64 = false;
  // Why it can't read a step at a time; empty where it can.
  std::string whole;

  virtual int64_t result_steps(size_t result, int64_t steps) const = 0;
  // Which of all parts' states, one after the other, a result of a single step is; -1: none.
  virtual int state_of_result(size_t result) const = 0;
  // State k, of all of them, of rows that have read nothing.
  virtual void begin(size_t k, int64_t rows, void* to) const = 0;
  // Whole sequences (T, N, F) or a single step. before, after: all parts' states, one after the other; null: as they
  // begin; not wanted. Of memories nothing is written. Results past a row's end are zeros. A result that is a state may
  // be written to the same memory. Throws Unfit.
  virtual void feed(const Extent& extent, const void* const* given, const StatePart* before, void* const* after,
                    void* const* made) const = 0;
  // Multiply-adds of a step of a row, about.
  virtual double work() const = 0;
  // Throws Unfit. The network must live as long.
  virtual std::unique_ptr<Stream> start(int64_t rows) const = 0;
};

// The network in a file of statewise.save's, of which nothing is kept. Throws Damaged or Unsupported.
std::unique_ptr<Network> read_network(std::string_view file, int threads = 1);

// A program: inputs, ops and results.
std::unique_ptr<Network> make_network(const Json& content, const std::map<std::string, Tensor>& tensors,
                                      const std::map<std::string, CellNames>& cells, int threads, uint64_t mark = 0);

}  // namespace statewise::runtime
