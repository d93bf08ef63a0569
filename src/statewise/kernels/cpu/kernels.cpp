// One instruction set's copy of the kernels: compiled once for each, under the name and flags that CMakeLists.txt
// gives.

#include "backward.hpp"
#include "cells.hpp"
#include "forward.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

template <class C, class T, class O>
void compute_layout(Job& job) {
  constexpr int L = lanes<T>;
  const Sizes<C, T> z(job);
  const int64_t recurrent_input_vectors = panel_vectors<T>(plain_panels<T>(job.P)),
                unit_vectors = panel_vectors<T>(plain_panels<T>(job.H));
  const auto depth = [&](const int (&from)[4]) { return z.blocks.template depth<O>(from).total(); };
  Layout& o = job.layout;
  o.columns = z.columns;
  o.units = z.units;
  o.recurrent_input = z.recurrent_input;
  o.columns_ih = panel_vectors<T>(z.blocks.panels(C::from_x)) * L * operands<O>(job.widest);
  o.columns_hh = panel_vectors<T>(z.blocks.panels(C::from_h)) * L * operands<O>(job.P);
  o.columns_hr = job.projected ? recurrent_input_vectors * L * operands<O>(job.H) : 0;
  o.rows_ih = depth(C::from_x) * round_up(job.widest, L);
  o.rows_hh = depth(C::from_h) * recurrent_input_vectors * L;
  o.rows_hr = job.projected ? operands<O>(job.P) * unit_vectors * L : 0;
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
  if (job.saved == Saved::kStates) job.segment = round_up(job.segment, chunk_steps(job));
  Arena forward{nullptr}, backward{nullptr};
  ForwardScratch<C, T, O>(forward, job, z);
  BackwardScratch<C, T, O>(backward, job, z);
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

template <class C, class T, class O>
void pack_forward(const Job& job, int64_t task) {
  const Blocks<C, T> blocks(job.H);
  const auto [layer, w, part] = WeightTask(job, task);
  if (job.read_forward == Weights::kPacked) {
    pack_columns(blocks, C::from_x, static_cast<const T*>(w.w_ih), layer.input, static_cast<O*>(w.columns_ih), part,
                 kWeightParts);
    pack_columns(blocks, C::from_h, static_cast<const T*>(w.w_hh), job.P, static_cast<O*>(w.columns_hh), part,
                 kWeightParts);
  }
  if (part > 0) return;
  if (job.projected) pack_projection(static_cast<const T*>(w.w_hr), job.P, job.H, static_cast<O*>(w.columns_hr));
  T* bias = static_cast<T*>(w.bias);
  clear(bias, blocks.columns());
  if (!job.bias) return;
  const T *b_ih = static_cast<const T*>(w.b_ih), *b_hh = static_cast<const T*>(w.b_hh);
  for (int s = 0; s < (C::units == 4 ? 1 : 4); ++s)
    for (int64_t u = 0; u < job.H; ++u)
      bias[blocks.column(s, u)] = (C::from_x[s] < 0 ? T(0) : b_ih[C::from_x[s] * job.H + u]) +
                                  (C::from_h[s] < 0 ? T(0) : b_hh[C::from_h[s] * job.H + u]);
}

template <class C, class T, class O>
void pack_backward(const Job& job, int64_t task) {
  if (job.saved == Saved::kStates) pack_forward<C, T, O>(job, task);
  if (job.read_backward == Weights::kUnpacked) return;
  const Blocks<C, T> blocks(job.H);
  const auto [layer, w, part] = WeightTask(job, task);
  if (w.dx.data)
    pack_rows(blocks, C::from_x, static_cast<const T*>(w.w_ih), layer.input, static_cast<O*>(w.rows_ih), part,
              kWeightParts);
  pack_rows(blocks, C::from_h, static_cast<const T*>(w.w_hh), job.P, static_cast<O*>(w.rows_hh), part, kWeightParts);
  if (job.projected && part == 0)
    pack_projection_rows(static_cast<const T*>(w.w_hr), job.P, job.H, static_cast<O*>(w.rows_hr));
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

// The directions' parts of the gradient of the stack's input, where they were computed side by side.
template <class T>
void add_dx(const Job& job, int64_t part) {
  const Layer& layer = job.layer[0];
  const Sequence &to = layer.direction[0].dx, &beside = layer.direction[1].dx;
  const Span p{0, 0, job.T * part / kWeightParts, job.T * (part + 1) / kWeightParts};
  for (int64_t i = 0; i < job.groups; ++i)
    each_row<T>(job.group[i], p, 0, to, beside, {}, [&](T* dx, const T* more, const T*) {
      for (int64_t k = 0; k < layer.input; ++k) dx[k] += more[k];
    });
}

template <class C, class T, class O>
constexpr Kernels kernels() {
  return {.element = sizeof(T),
          .gates = C::gates,
          .states = 1 + C::has_c,
          .carries_h = C::carries_h,
          .h_in_gates = C::units == 4,
          .compute_layout = compute_layout<C, T, O>,
          .pack_forward = pack_forward<C, T, O>,
          .forward = forward<C, T, O>,
          .pack_backward = pack_backward<C, T, O>,
          .backward = backward<C, T, O>,
          .reduce = reduce<C, T>,
          .add_dx = add_dx<T>};
}

constexpr Cell cells[] = {
#if defined(__AVX512BF16__)  // a copy for products of bfloat16 alone
#define STATEWISE_CELL(name, type) {#name, kernels<type, float, Pair>(), {}},
#else
#define STATEWISE_CELL(name, type) {#name, kernels<type, float, float>(), kernels<type, double, double>()},
#endif
#include "cells.def"
#undef STATEWISE_CELL
};

#if defined(__AVX512BF16__)
void widen(const Bfloat16* from, int64_t count, float* to) {
  constexpr int L = lanes<float>;
  using V = Vec<float, L>;
  int64_t i = 0;
  for (; i + L <= count; i += L) store(to + i, load_elements<V>(from + i));
  for (; i < count; ++i) {
    const Bfloat16 last[4] = {from[i]};  // nothing past the end is read
    to[i] = load_elements<Vec<float, 4>>(last)[0];
  }
}

void narrow(const float* from, int64_t count, Bfloat16* to) {
  constexpr int L = lanes<float>;
  using V = Vec<float, L>;
  int64_t i = 0;
  for (; i + L <= count; i += L) store_elements(to + i, load<V>(from + i));
  for (; i < count; ++i) to[i] = to_bfloat16(Vec<float, 4>{from[i], 0, 0, 0})[0];
}
#else
constexpr void (*widen)(const Bfloat16*, int64_t, float*) = nullptr;
constexpr void (*narrow)(const float*, int64_t, Bfloat16*) = nullptr;
#endif

}  // namespace

#define STATEWISE_QUOTE(x) #x
#define STATEWISE_NAME(x) STATEWISE_QUOTE(x)

extern const InstructionSet instruction_set;
const InstructionSet instruction_set{STATEWISE_NAME(STATEWISE_NS), cells, sizeof cells / sizeof *cells, widen, narrow};

}  // namespace STATEWISE_NS
}  // namespace statewise
