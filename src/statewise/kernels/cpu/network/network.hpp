// A network that runs: whole sequences, and streams step by step.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ops.hpp"

namespace statewise {

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
  // inputs: (N, F) each; results likewise. False where what is given is not what the network can read: a symbol that
  // there isn't, a missing value; the state is then to be begun anew, or loaded. Takes no memory, lock or system call.
  virtual bool step(const void* const* inputs, void* const* results) = 0;
  virtual int64_t rows() const = 0;
  // The state as bytes, for this very network and this number of rows.
  virtual int64_t state_bytes() const = 0;
  virtual void save(void* to) const = 0;
  // False, and nothing has changed, for what isn't such a state or is damaged.
  virtual bool load(const void* from, int64_t bytes) = 0;
};

// Nothing in it changes, so several threads may share one.
class Network {
 public:
  virtual ~Network() = default;
  std::vector<Port> inputs, results;
  // Why it can't read a step at a time; empty where it can.
  std::string whole;

  virtual int64_t result_steps(size_t result, int64_t steps) const = 0;
  // Whole sequences (T, N, F), of which each row's first lengths[n] steps count; null: all. Results past a row's end
  // are zeros. Throws Unfit.
  virtual void run(int64_t steps, int64_t rows, const int64_t* lengths, const void* const* given,
                   void* const* made) const = 0;
  // Throws Unfit. The network must live as long.
  virtual std::unique_ptr<Stream> start(int64_t rows) const = 0;
};

// The network in a file of statewise.save's, of which nothing is kept. Throws Damaged or Unsupported.
std::unique_ptr<Network> read_network(std::string_view file, int threads = 1);

}  // namespace statewise
