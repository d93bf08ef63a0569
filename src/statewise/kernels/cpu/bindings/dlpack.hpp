// Tensors, read and made: torch's, from C++ that knows nothing else of torch. What costs Python a microsecond a tensor
// takes a tenth of that here.

#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

#include "finalize.hpp"

namespace statewise {

// What is called of torch, and what there tells that a call is no plain one.
struct Torch {
  nanobind::object tensor;         // the class
  nanobind::object parameter;      // torch.nn.Parameter
  nanobind::object exchange;       // torch.Tensor.__dlpack_c_exchange_api__, a capsule
  nanobind::object empty_like;     // torch.empty_like
  nanobind::object new_empty;      // torch.Tensor.new_empty
  nanobind::object bytes;          // torch.uint8
  nanobind::object is_neg;         // torch.Tensor.is_neg
  nanobind::object get_threads;    // torch.get_num_threads
  nanobind::object get_precision;  // torch.get_float32_matmul_precision
  nanobind::object grad_enabled;   // torch.is_grad_enabled
  nanobind::object autocast;       // torch._C._is_any_autocast_enabled
  nanobind::tuple modes;           // functions: where one answers with anything true, Python decides
  nanobind::dict forward_ad;       // of the module torch.autograd.forward_ad, for its _current_level
};

// Used for all calls from then on; false, and without effect, if it isn't the capsule or the version known here.
bool connect(Torch torch);

// From now on no call is a plain one, until somebody connects again.
void disconnect();

// A tensor of DLPack's exchange between C libraries, version 1: https://dmlc.github.io/dlpack. Only what is read here
// has a name.
struct View {
  void* data;
  int32_t device_type, device_id;
  int32_t rank;
  uint8_t kind, bits;
  uint16_t lanes;
  int64_t *sizes, *strides;
  uint64_t offset;    // bytes
  int64_t own[2][3];  // sizes and strides where nobody else keeps them

  void* begin() const { return static_cast<char*>(data) + offset; }
  bool has_dense_rows() const { return strides[rank - 1] == 1 || sizes[rank - 1] == 1; }
};

enum Kind : uint8_t { kSigned = 0, kUnsigned = 1, kFloat = 2, kBfloat = 4 };

// A tensor's sizes, without the batch's where there is none.
struct Sizes {
  int64_t of[3];
  int rank;
};

// Whose tensors a call reads and makes.
class Tensors {
 public:
  virtual bool view(nanobind::handle tensor, View& v) const = 0;  // false unless it is plain memory of this machine's
  virtual bool is_negated(nanobind::handle tensor) const = 0;     // lazily: its memory has the other sign
  virtual nanobind::object dense_copy(nanobind::handle tensor, View& v) const = 0;
  // New ones of the dtype of `like`: of these sizes; or of its own, maybe in its order of strides, which is sooner.
  virtual nanobind::object empty(nanobind::handle like, const Sizes& sizes, View& v) const = 0;
  virtual nanobind::object empty_like(nanobind::handle like, View& v) const = 0;

  // Whether it is plain and of this dtype: 16 bits are bfloat16; likewise of torch.uint8, and of 64-bit integers.
  bool is_memory(nanobind::handle tensor, int bits, View& v) const;
  bool is_bytes(nanobind::handle tensor, View& v) const;
  bool is_counts(nanobind::handle tensor, View& v) const;

 protected:
  ~Tensors() = default;
};

const Tensors& torch_tensors();

// Whether torch is connected; and, besides, in none of the states in which a tensor is more than its memory.
bool torch_is_known();
bool torch_is_plain();
bool autocast_enabled();  // which is of no concern to backward
bool grad_enabled();
int torch_threads();
bool precision_is_medium();  // whether products of float32 may take their operands as bfloat16

bool is_parameter(nanobind::handle tensor);
bool requires_grad(nanobind::handle tensor);
int64_t version_of(nanobind::handle tensor);  // which every change in place raises
bool has_sizes(const View& v, const Sizes& sizes);
bool is_dense(const View& v, const Sizes& sizes);

nanobind::object empty_bytes(nanobind::handle like, int64_t count, void*& memory);

// Multiply-adds of a gate from which other Python threads may run meanwhile: whoever lets go of the interpreter may
// have to wait long until it is free again.
constexpr double kWorthRelease = 1e5;

template <class Work>
void without_interpreter(double multiply_adds, const Work& work) {
  if (multiply_adds < kWorthRelease) return work();
  const InterpreterReleased released;
  work();
}

}  // namespace statewise
