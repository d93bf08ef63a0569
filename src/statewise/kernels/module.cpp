// The one file that knows Python. Tensors come as addresses: whoever calls has checked them and keeps them alive.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <tuple>

#include "dispatch.hpp"
#include "stack.hpp"
#include "threads.hpp"

namespace nb = nanobind;

namespace {

using Address = uint64_t;
using Rows = std::tuple<Address, int64_t, int64_t>;  // address, step, row

void* pointer(Address a) { return reinterpret_cast<void*>(a); }

std::vector<void*> pointers(const std::vector<Address>& addresses) {
  std::vector<void*> all;
  all.reserve(addresses.size());
  for (const Address a : addresses) all.push_back(pointer(a));
  return all;
}

statewise::Strided strided(const Rows& r) { return {pointer(std::get<0>(r)), std::get<1>(r), std::get<2>(r)}; }

// (cell, is double, threads, T, N, I, H, projection, L, D, bias)
using Shape = std::tuple<int, bool, int, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool>;

statewise::Call shaped(const Shape& s, Address lengths, Address batch_sizes) {
  statewise::Call call;
  std::tie(call.cell, call.twofold, call.threads, call.T, call.N, call.I, call.H, call.projected, call.L, call.D,
           call.bias) = s;
  call.lengths = static_cast<const int64_t*>(pointer(lengths));
  call.batch_sizes = static_cast<const int64_t*>(pointer(batch_sizes));
  return call;
}

}  // namespace

NB_MODULE(_kernels, m) {
  m.doc() = "statewise's kernels. Private: statewise.ops is the interface.";

  m.def("cells", [] {
    nb::list names;
    const statewise::InstructionSet& set = statewise::instruction_set();
    for (int i = 0; i < set.count; ++i) names.append(set.cells[i].name);
    return names;
  });
  m.def("instruction_set", [] { return std::string(statewise::instruction_set().name); });
  m.def("instruction_sets", [] {
    nb::list names;
    for (const statewise::InstructionSet* set : statewise::instruction_sets()) names.append(set->name);
    return names;
  });
  m.def("use_instruction_set", &statewise::use_instruction_set, nb::arg("name"));
  m.def("thread_runtime", [] { return std::string(statewise::thread_runtime()); });

  m.def("tape_bytes", [](const Shape& shape, bool masked) {
    statewise::Call call = shaped(shape, 0, 0);
    if (masked) call.masks.resize(size_t(call.L - 1));
    const statewise::TapeBytes bytes = statewise::tape_bytes(call);
    return std::make_tuple(bytes.a_step, bytes.a_row, bytes.always);
  });

  m.def("packed_bytes", [](const Shape& shape) { return statewise::packed_bytes(shaped(shape, 0, 0)); });

  m.def("pack", [](const Shape& shape, const std::vector<Address>& weights, Address to) {
    statewise::Call call = shaped(shape, 0, 0);
    call.weights = pointers(weights);
    const nb::gil_scoped_release released;
    statewise::pack(call, pointer(to));
  });

  m.def("forward", [](const Shape& shape, Address lengths, Address batch_sizes, const std::vector<Address>& weights,
                      const std::vector<Address>& masks, Rows x, Rows y, Address tape, Address h0, Address c0,
                      Address hn, Address cn) {
    statewise::Call call = shaped(shape, lengths, batch_sizes);
    call.weights = pointers(weights);
    call.masks = pointers(masks);
    call.x = strided(x);
    call.y = strided(y);
    call.training = tape != 0;
    call.tape = pointer(tape);
    call.h0 = pointer(h0), call.c0 = pointer(c0), call.hn = pointer(hn), call.cn = pointer(cn);
    const nb::gil_scoped_release released;
    statewise::forward(call);
  });

  // Without a tape, from weights that pack() has packed.
  m.def("forward_packed", [](const Shape& shape, Address lengths, Address batch_sizes, Address packed, Rows x, Rows y,
                             Address h0, Address c0, Address hn, Address cn) {
    statewise::Call call = shaped(shape, lengths, batch_sizes);
    call.packed = pointer(packed);
    call.x = strided(x);
    call.y = strided(y);
    call.h0 = pointer(h0), call.c0 = pointer(c0), call.hn = pointer(hn), call.cn = pointer(cn);
    const nb::gil_scoped_release released;
    statewise::forward(call);
  });

  m.def("backward",
        [](const Shape& shape, Address lengths, Address batch_sizes, const std::vector<Address>& weights,
           const std::vector<Address>& masks, Rows x, Rows y, Address tape, Address h0, Address c0, Rows dx, Rows dy,
           Address dhn, Address dcn, Address dh0, Address dc0, const std::vector<Address>& weight_gradients) {
          statewise::Call call = shaped(shape, lengths, batch_sizes);
          call.weights = pointers(weights);
          call.masks = pointers(masks);
          call.x = strided(x);
          call.y = strided(y);
          call.training = true;
          call.tape = pointer(tape);
          call.h0 = pointer(h0), call.c0 = pointer(c0), call.dhn = pointer(dhn), call.dcn = pointer(dcn);
          call.dh0 = pointer(dh0), call.dc0 = pointer(dc0);
          call.dx = strided(dx);
          call.dy = strided(dy);
          call.weight_gradients = pointers(weight_gradients);
          const nb::gil_scoped_release released;
          statewise::backward(call);
        });
}
