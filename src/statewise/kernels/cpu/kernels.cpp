// One instruction set's copy of the kernels: compiled once for each, under the name and flags that CMakeLists.txt
// gives.

#include "backward.hpp"
#include "cells.hpp"
#include "forward.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

template <class C, class T>
void compute_layout(Job& job) {
  constexpr int L = lanes<T>;
  const Sizes<C, T> z(job);
  const int64_t recurrent_input_vectors = panel_vectors<T>(plain_panels<T>(job.P)),
                unit_vectors = panel_vectors<T>(plain_panels<T>(job.H));
  const auto depth = [&](const int (&from)[4]) { return z.blocks.depth(from).total(); };
  Layout& o = job.layout;
  o.columns = z.columns;
  o.units = z.units;
  o.recurrent_input = z.recurrent_input;
  o.columns_ih = panel_vectors<T>(z.blocks.panels(C::from_x)) * L * job.widest;
  o.columns_hh = panel_vectors<T>(z.blocks.panels(C::from_h)) * L * job.P;
  o.columns_hr = job.projected ? recurrent_input_vectors * L * job.H : 0;
  o.rows_ih = depth(C::from_x) * round_up(job.widest, L);
  o.rows_hh = depth(C::from_h) * recurrent_input_vectors * L;
  o.rows_hr = job.projected ? job.P * unit_vectors * L : 0;
  o.sum_hr = job.projected ? job.H * z.recurrent_input : 0;
  o.sum_b = z.columns;
  for (int64_t l = 0; l < job.L; ++l) {
    Layer& layer = job.layer[l];
    const auto partials = [&](bool direct, int64_t width) {
      return (job.groups - direct) * partial_size(z.blocks, direct, width);
    };
    layer.direct_ih = worth_direct(z.blocks, C::from_x, layer.input, job.steps, job.groups);
    layer.direct_hh = worth_direct(z.blocks, C::from_h, job.P, job.steps, job.groups);
    layer.sum_ih = partials(layer.direct_ih, layer.input);
    layer.sum_hh = partials(layer.direct_hh, job.P);
  }
  if (job.segment) job.segment = round_up(job.segment, chunk_steps(job.T, job.largest_group));
  Arena forward{nullptr}, backward{nullptr};
  ForwardScratch<C, T>(forward, job, z);
  BackwardScratch<C, T>(backward, job, z);
  o.forward_scratch = round_up(forward.used, 64);
  o.backward_scratch = round_up(backward.used, 64);
}

// What a task of those that go over the weights is about.
struct WeightTask {
  const Layer& layer;
  const Direction& w;
  int64_t part;
  WeightTask(const Job& job, int64_t task)
      : layer(job.layer[task / kWeightParts / job.D]),
        w(layer.direction[task / kWeightParts % job.D]),
        part(task % kWeightParts) {}
};

template <class C, class T>
void pack_forward(const Job& job, int64_t task) {
  const Blocks<C, T> blocks(job.H);
  const auto [layer, w, part] = WeightTask(job, task);
  if (!job.unpacked_forward) {
    pack_columns(blocks, C::from_x, static_cast<const T*>(w.w_ih), layer.input, static_cast<T*>(w.columns_ih), part,
                 kWeightParts);
    pack_columns(blocks, C::from_h, static_cast<const T*>(w.w_hh), job.P, static_cast<T*>(w.columns_hh), part,
                 kWeightParts);
  }
  if (part > 0) return;
  if (job.projected) pack_projection(static_cast<const T*>(w.w_hr), job.P, job.H, static_cast<T*>(w.columns_hr));
  T* bias = static_cast<T*>(w.bias);
  clear(bias, blocks.columns());
  if (!job.bias) return;
  const T *b_ih = static_cast<const T*>(w.b_ih), *b_hh = static_cast<const T*>(w.b_hh);
  for (int s = 0; s < (C::units == 4 ? 1 : 4); ++s)
    for (int64_t u = 0; u < job.H; ++u)
      bias[blocks.column(s, u)] = (C::from_x[s] < 0 ? T(0) : b_ih[C::from_x[s] * job.H + u]) +
                                  (C::from_h[s] < 0 ? T(0) : b_hh[C::from_h[s] * job.H + u]);
}

template <class C, class T>
void pack_backward(const Job& job, int64_t task) {
  if (job.unpacked_backward) return;
  const Blocks<C, T> blocks(job.H);
  const auto [layer, w, part] = WeightTask(job, task);
  if (layer.dx.data)
    pack_rows(blocks, C::from_x, static_cast<const T*>(w.w_ih), layer.input, static_cast<T*>(w.rows_ih), part,
              kWeightParts);
  pack_rows(blocks, C::from_h, static_cast<const T*>(w.w_hh), job.P, static_cast<T*>(w.rows_hh), part, kWeightParts);
  if (job.projected && part == 0)
    pack_projection_rows(static_cast<const T*>(w.w_hr), job.P, job.H, static_cast<T*>(w.rows_hr));
}

// The groups' partials of the gradients, added in the groups' order, as torch lays them out.
template <class C, class T>
void reduce(const Job& job, int64_t task) {
  const Blocks<C, T> blocks(job.H);
  const Layout& o = job.layout;
  const auto [layer, w, part] = WeightTask(job, task);
  const auto weight = [&](void* dw, const int (&from)[4], const void* sums, bool direct, int64_t width) {
    if (!dw) return;
    T* const to = static_cast<T*>(dw);
    const T* const sum = static_cast<const T*>(sums);
    if (direct) {
      const int64_t size = partial_size(blocks, true, width);
      if (job.groups > 1)
        add_partials(sum, job.groups, size, size * part / kWeightParts, size * (part + 1) / kWeightParts, to);
      return;
    }
    for (int64_t b = part; b < blocks.count(); b += kWeightParts)
      transpose_block(blocks, from, sum, job.groups, width, to, b);
  };
  weight(w.dw_ih, C::from_x, w.sum_ih, layer.direct_ih, layer.input);
  weight(w.dw_hh, C::from_h, w.sum_hh, layer.direct_hh, job.P);
  if (part > 0) return;
  const auto bias = [&](void* to, const int (&from)[4]) {
    if (!to) return;
    const T* sum = static_cast<const T*>(w.sum_b);
    for (int s = 0; s < (C::units == 4 ? 1 : 4); ++s)
      for (int64_t u = 0; from[s] >= 0 && u < job.H; ++u) {
        T v = 0;
        for (int64_t g = 0; g < job.groups; ++g) v += sum[g * o.sum_b + blocks.column(s, u)];
        static_cast<T*>(to)[from[s] * job.H + u] = v;
      }
  };
  bias(w.db_ih, C::from_x);
  bias(w.db_hh, C::from_h);
  const T* hr = static_cast<const T*>(w.sum_hr);
  for (int64_t p = 0; w.dw_hr && p < job.P; ++p)
    for (int64_t u = 0; u < job.H; ++u) {
      T v = 0;
      for (int64_t g = 0; g < job.groups; ++g) v += hr[g * o.sum_hr + u * o.recurrent_input + p];
      static_cast<T*>(w.dw_hr)[p * job.H + u] = v;
    }
}

template <class C, class T>
constexpr Kernels kernels() {
  return {sizeof(T),          C::gates,      1 + C::has_c,        C::carries_h,   C::units == 4, compute_layout<C, T>,
          pack_forward<C, T>, forward<C, T>, pack_backward<C, T>, backward<C, T>, reduce<C, T>};
}

constexpr Cell cells[] = {
#define STATEWISE_CELL(name, type) {#name, kernels<type, float>(), kernels<type, double>()},
#include "cells.def"
#undef STATEWISE_CELL
};

}  // namespace

#define STATEWISE_QUOTE(x) #x
#define STATEWISE_NAME(x) STATEWISE_QUOTE(x)

extern const InstructionSet instruction_set;
const InstructionSet instruction_set{STATEWISE_NAME(STATEWISE_NS), cells, sizeof cells / sizeof *cells};

}  // namespace STATEWISE_NS
}  // namespace statewise
