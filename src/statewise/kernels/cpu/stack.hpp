// A whole stack of recurrent layers, forward and backward, in one call: the C++ interface that Python and the C++ tests
// use. It knows neither of them: pointers in, pointers out.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "job.hpp"

namespace statewise {

// A caller's sequence. Padded: the row of step t and batch row n begins at t * step + n * row. Packed: at r * row.
struct Strided {
  void* data;
  int64_t step, row;
};

// Where the plan takes one way or the other. Results depend on partial_bytes in their last bits, on shared_step not.
struct Limits {
  int64_t partial_bytes = 32 << 20;  // what the groups' own sums of the weights' gradients may take together
  int64_t shared_step = 2 << 20;     // multiply-adds of a step from which on the threads share it
};

// As what pack() keeps the matrices among the weights: as they are; rounded to bfloat16; or each row in eight bits and
// a unit, that of a row's largest being 127, with which the products take what they multiply in 16 bits. Float tensors
// alone, and forward alone. Narrower ones are read sooner, where a step reads more than the caches hold.
enum class Stored { kNumbers, kBfloat16, kInt8 };

// What a call computes on. All tensors but x and y, and their gradients, are contiguous; null means absent (a state:
// zeros; a gradient: not wanted, or zero where it comes in).
struct Call {
  int cell = 0;  // its number: see dispatch.hpp
  bool float64 = false;
  // All tensors are bfloat16. Served where bfloat16_set() isn't null; see bfloat16.hpp.
  bool bfloat16 = false;
  // Of float tensors: whether products may take their operands as bfloat16. They do where the processor multiplies
  // such, and of few rows nowhere.
  bool bfloat16_products = false;
  int threads = 1;
  int64_t T = 0, N = 0, I = 0, H = 0, projected = 0, L = 1, D = 1;
  int64_t heads = 1;  // blocks of the weights that the cell has in blocks
  bool bias = true, training = false;
  // Training: of how many steps the tape keeps the states of one alone; backward computes the others again. 0: keep
  // all.
  int64_t checkpoint = 0;
  const int64_t* lengths = nullptr;         // (N,) of padded input
  const int64_t* batch_sizes = nullptr;     // (T,) of packed input
  const int64_t* sorted_indices = nullptr;  // (N,) of packed input: where its rows' states lie; null: in its own order
  std::vector<void*> weights;               // per layer and direction, as list_weights() has them
  Stored stored = Stored::kNumbers;
  const void* packed = nullptr;  // what pack() made of them for the same `stored`, which forward then reads instead
  Strided x{}, y{};
  double clip = 0, gradient_clip = 0;  // of all states and of their gradients after each step; 0: none
  bool has_seed = false;               // without one zoneout is what it is on average
  uint64_t seed = 0;                   // of zoneout's noise: see noise.py
  const int64_t *noise_rows = nullptr, *starts = nullptr;  // (N,): the rows' names for the noise, and their first steps
  std::vector<void*> recurrent_masks;                      // (N, P), L*D of them or none
  std::vector<void*> masks;                                // (T, N, D*P) or (S, D*P), L - 1 of them or none
  void* tape = nullptr;                                    // 64-byte aligned, tape_bytes() of it, if training
  struct State {                                           // (L*D, N, width), or null
    void *initial = nullptr, *final = nullptr;
    void *dfinal = nullptr, *dinitial = nullptr;  // backward only
    void *passed = nullptr, *dpassed = nullptr;   // after all steps: (L*D, T, N, width) or (L*D, S, width)
    double zoneout = 0;                           // the probability that a unit keeps its value
  };
  State state[kMaxStates];
  // backward only
  Strided dx{}, dy{};
  std::vector<void*> weight_gradients;  // in the order of weights
  Limits limits{};
};

// What a training forward saves for backward takes at most S * a_step + N * a_row + N * K * a_kept + always bytes, S
// being the steps of all rows together and K the checkpoints of a row, T / checkpoint rounded up.
struct TapeBytes {
  int64_t a_step, a_row, a_kept, always;
};

// Of `call` only cell, dtype, H, projected, L, D, whether there are checkpoints and whether there are masks count.
TapeBytes tape_bytes(const Call& call);

// What the tape of this very call takes: at most what TapeBytes says.
int64_t tape_size(const Call& call);

// Whether something is done with the states after each step: then the kernels serve no projection.
bool mixes(const Call& call);

// Whether backward reads y as forward wrote it; else what it needs of it is on the tape, and the caller may overwrite
// y.
bool reads_output(const Call& call);

// Weights in the order in which the forward products read them, for whoever keeps them from call to call: they are
// those of this instruction set. `to` is 64-byte aligned. Of `call` the cell, dtype, I, H, projected, L, D, heads,
// bias, stored and weights count.
int64_t packed_bytes(const Call& call);
void pack(const Call& call, void* to);

void forward(const Call& call);

// Steps of the same rows one after the other, as streams make them. What they need is worked out and taken once: a step
// takes no memory, no lock, and no thread but the caller's. One thread at a time.
class Stepper {
 public:
  // `call`: of up to T steps at a time of N rows in one direction, without gradients, with packed weights, which must
  // live as long as this. Its other tensors don't count.
  explicit Stepper(const Call& call);
  ~Stepper();
  Stepper(Stepper&&) noexcept;
  Stepper& operator=(Stepper&&) noexcept;

  int states() const;
  int64_t width(int k) const;  // of state k
  // State k of all layers, (L, N, width): to begin with zeros, and null stands for these.
  void set(int k, const void* from);
  void get(int k, void* to) const;

  // x: (steps, N, I), y: (steps, N, P). Several steps give the very numbers that each by itself would, sooner where one
  // row's W_ih x can be multiplied for all of them at once.
  void step(const void* x, void* y, int64_t steps = 1);

 private:
  class Memory;
  std::unique_ptr<Memory> memory_;
};

// `call` as it was for forward, the tape as forward left it, and the gradients.
void backward(const Call& call);

}  // namespace statewise
