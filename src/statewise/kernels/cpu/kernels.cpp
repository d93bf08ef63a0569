// One instruction set's copy of the kernels: compiled once for each, under the name and flags that CMakeLists.txt
// gives.

#include "backward.hpp"
#include "forward.hpp"

namespace statewise {
namespace STATEWISE_NS {
namespace {

// What backward needs of the layout.
template <class T, class O>
void compute_backward_layout(Job& job, const Sizes<T>& z) {
  constexpr int L = lanes<T>;
  const int64_t recurrent_input_vectors = panel_vectors<T>(plain_panels<T>(job.P)),
                unit_vectors = panel_vectors<T>(plain_panels<T>(job.H));
  const bool recurrent = z.cell.recurrent > 0;
  const auto depth = [&](const Fed& fed) { return z.blocks.template depth<O>(fed).total(); };
  Layout& o = job.layout;
  o.rows_ih = depth(z.by_x) * round_up(job.widest, L);
  o.rows_hh = recurrent ? depth(z.by_h) * recurrent_input_vectors * L : 0;
  o.rows_hr = job.projected ? operands<O>(job.P) * unit_vectors * L : 0;
  o.sum_hr = job.projected ? job.H * z.recurrent_input : 0;
  o.sum_b = z.columns;
  o.sum_n = 2 * (z.cell.norm_x || z.cell.norm_r) * z.columns;
  o.sum_late = z.cell.late ? partial_size(z.blocks, z.late, false, job.H) : 0;
  o.rows_late = z.cell.late ? depth(z.late) * unit_vectors * L : 0;
  for (int64_t l = 0; l < job.L; ++l) {
    Layer& layer = job.layer[l];
    const auto partials = [&](const Fed& fed, bool direct, int64_t width) {
      return (job.groups - direct) * partial_size(z.blocks, fed, direct, width);
    };
    const bool together = job.heads == 1 || job.groups == 1;  // of heads, parts of a weight don't follow each other
    layer.direct_ih = together && worth_direct(z.blocks, z.by_x, layer.input_per_head, job.steps, job.groups);
    layer.sum_ih = partials(z.by_x, layer.direct_ih, layer.input_per_head);
    layer.direct_hh =
        together && recurrent && !z.cell.late && worth_direct(z.blocks, z.by_h, job.P, job.steps, job.groups);
    layer.sum_hh = recurrent ? partials(z.by_h, layer.direct_hh, job.P) : 0;
  }
  if (job.saved == Saved::kStates) job.segment = round_up(job.segment, chunk_steps(job));
  Arena backward{nullptr};
  BackwardScratch<T, O>(backward, job, z);
  o.backward_scratch = round_up(backward.used, 64);
}

template <class T, class O>
void compute_layout(Job& job) {
  constexpr int L = lanes<T>;
  const Sizes<T> z(job);
  Layout& o = job.layout;
  o.columns = z.columns;
  o.units = z.units;
  o.recurrent_input = z.recurrent_input;
  o.columns_ih = panel_vectors<T>(z.blocks.panels(z.by_x)) * L * operands<O>(job.widest);
  o.columns_hh = z.cell.recurrent ? panel_vectors<T>(z.blocks.panels(z.by_h)) * L * operands<O>(job.P) : 0;
  o.columns_hr = job.projected ? panel_vectors<T>(plain_panels<T>(job.P)) * L * operands<O>(job.H) : 0;
  o.columns_late = z.cell.late ? panel_vectors<T>(z.blocks.panels(z.late)) * L * operands<O>(job.H) : 0;
  if (same<O, NarrowQuad>) {
    o.units_of_columns = z.columns + L;  // a tail's vectors may reach past the row
    o.units_hr = job.projected ? z.recurrent_input : 0;
  }
  o.sum_v = vector_rows(z.cell) * z.units;
  if constexpr (!is_narrow<O>) compute_backward_layout<T, O>(job, z);
  Arena forward{nullptr};
  ForwardScratch<T, O>(forward, job, z);
  o.forward_scratch = round_up(forward.used, 64);
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

// The vectors one after the other, filled up with zeros, and the norms' gains as rows of gates.
template <class T>
void pack_vectors(const Sizes<T>& z, const Direction& w) {
  for (int i = 0; i < vector_rows(z.cell); ++i) {
    T* const to = static_cast<T*>(w.vector_rows) + i * z.units;
    copy(to, static_cast<const T*>(w.vectors[i]), z.H);
    clear(to + z.H, z.units - z.H);
  }
  const auto gains = [&](const void* from, const Fed& fed, void* row) {
    if (!from) return;
    T* const to = static_cast<T*>(row);
    clear(to, z.columns);
    for (int s = fed.first; s < fed.first + fed.count; ++s)
      for (int64_t u = 0; u < z.H; ++u) to[z.blocks.column(s, u)] = static_cast<const T*>(from)[fed.from[s] * z.H + u];
  };
  gains(w.norm_ih, z.by_x, w.gains_ih);
  gains(w.norm_hh, z.by_h, w.gains_hh);
}

template <class T, class O>
void pack_forward(const Job& job, int64_t task) {
  const Sizes<T> z(job);
  const auto [layer, w, part] = WeightTask(job, task);
  if (job.read_forward == Weights::kPacked) {
    const auto pack = [&](const Fed& fed, const void* weight, int64_t width, void* to, void* units) {
      pack_columns(z.blocks, fed, static_cast<const T*>(weight), width, static_cast<O*>(to), static_cast<T*>(units),
                   part, kWeightParts);
    };
    pack(z.by_x, w.w_ih, layer.input_per_head, w.columns_ih, w.units_ih);
    if (z.cell.recurrent) pack(z.by_h, w.w_hh, job.P, w.columns_hh, w.units_hh);
    if (z.cell.late) pack(z.late, w.w_hh, job.P, w.columns_late, w.units_hh);
  }
  if (part > 0) return;
  if (job.projected)
    pack_projection(static_cast<const T*>(w.w_hr), job.P, job.H, static_cast<O*>(w.columns_hr),
                    static_cast<T*>(w.units_hr));
  pack_vectors(z, w);
  T* bias = static_cast<T*>(w.bias);
  clear(bias, z.columns);
  if (!job.bias) return;
  const T *b_ih = static_cast<const T*>(w.b_ih), *b_hh = static_cast<const T*>(w.b_hh);
  const auto share = [&](const T* b, int part_of, int64_t u) {
    return !b || part_of < 0 ? T(0) : b[part_of * z.by_x.part_rows + u];
  };
  for (int s = 0; s < z.cell.slots; ++s)
    for (int64_t u = 0; u < job.H; ++u)
      bias[z.blocks.column(s, u)] = share(b_ih, z.cell.from_x[s], u) + share(b_hh, z.cell.from_h[s], u);
}

template <class T, class O>
void pack_backward(const Job& job, int64_t task) {
  const Sizes<T> z(job);
  const auto [layer, w, part] = WeightTask(job, task);
  if (job.saved == Saved::kStates) pack_forward<T, O>(job, task);
  if (job.saved != Saved::kStates && part == 0) pack_vectors<T>(z, w);
  if (job.read_backward == Weights::kUnpacked) return;
  if (w.dx.data)
    pack_rows(z.blocks, z.by_x, static_cast<const T*>(w.w_ih), layer.input_per_head, static_cast<O*>(w.rows_ih), part,
              kWeightParts);
  if (z.cell.recurrent)
    pack_rows(z.blocks, z.by_h, static_cast<const T*>(w.w_hh), job.P, static_cast<O*>(w.rows_hh), part, kWeightParts);
  if (z.cell.late)
    pack_rows(z.blocks, z.late, static_cast<const T*>(w.w_hh), job.P, static_cast<O*>(w.rows_late), part, kWeightParts);
  if (job.projected && part == 0)
    pack_projection_rows(static_cast<const T*>(w.w_hr), job.P, job.H, static_cast<O*>(w.rows_hr));
}

// The groups' partials of the gradients, added in the groups' order, as torch lays them out.
template <class T>
void reduce(const Job& job, int64_t task) {
  const Sizes<T> z(job);
  const Layout& o = job.layout;
  const auto [layer, w, part] = WeightTask(job, task);
  const auto weight = [&](void* dw, const Fed& fed, const void* sums, bool direct, int64_t width) {
    if (!dw) return;
    T* const to = static_cast<T*>(dw);
    const T* const sum = static_cast<const T*>(sums);
    if (direct) {
      const int64_t size = partial_size(z.blocks, fed, true, width);
      if (job.groups > 1)
        add_partials(sum, job.groups, size, size * part / kWeightParts, size * (part + 1) / kWeightParts, to);
      return;
    }
    for (int64_t b = part; b < z.blocks.count(); b += kWeightParts)
      transpose_block(z.blocks, fed, sum, job.groups, width, to, b);
  };
  weight(w.dw_ih, z.by_x, w.sum_ih, layer.direct_ih, layer.input_per_head);
  weight(w.dw_hh, z.by_h, w.sum_hh, layer.direct_hh, job.P);
  if (z.cell.late) weight(w.dw_hh, z.late, w.sum_late, false, job.H);
  if (part > 0) return;
  const auto total = [&](const void* sums, int64_t size, int64_t at) {
    T v = 0;
    for (int64_t g = 0; g < job.groups; ++g) v += static_cast<const T*>(sums)[g * size + at];
    return v;
  };
  const auto bias = [&](void* to, const int* from) {
    for (int s = 0; to && s < z.cell.slots; ++s)
      for (int64_t u = 0; from[s] >= 0 && u < job.H; ++u)
        static_cast<T*>(to)[from[s] * z.by_x.part_rows + u] = total(w.sum_b, o.sum_b, z.blocks.column(s, u));
  };
  bias(w.db_ih, z.cell.from_x);
  bias(w.db_hh, z.cell.from_h);
  const auto gains = [&](void* to, const Fed& fed, int64_t first) {
    for (int s = fed.first; to && s < fed.first + fed.count; ++s)
      for (int64_t u = 0; u < job.H; ++u)
        static_cast<T*>(to)[fed.from[s] * job.H + u] = total(w.sum_n, o.sum_n, first + z.blocks.column(s, u));
  };
  gains(w.dnorm_ih, z.by_x, 0);
  gains(w.dnorm_hh, z.by_h, z.columns);
  for (int i = 0; i < vector_rows(z.cell); ++i)
    for (int64_t u = 0; w.dvectors[i] && u < job.H; ++u)
      static_cast<T*>(w.dvectors[i])[u] = total(w.sum_v, o.sum_v, i * z.units + u);
  for (int64_t p = 0; w.dw_hr && p < job.P; ++p)
    for (int64_t u = 0; u < job.H; ++u)
      static_cast<T*>(w.dw_hr)[p * job.H + u] = total(w.sum_hr, o.sum_hr, u * o.recurrent_input + p);
}

// The directions' parts of the gradient of the stack's input, where they were computed side by side.
template <class T>
void add_dx(const Job& job, int64_t part) {
  const Layer& layer = job.layer[0];
  const Sequence &to = layer.direction[0].dx, &beside = layer.direction[job.heads].dx;
  const Span p{0, 0, job.T * part / kWeightParts, job.T * (part + 1) / kWeightParts};
  for (int64_t i = 0; i < job.groups; ++i)
    each_row<T>(job.group[i], p, 0, to, beside, {}, [&](T* dx, const T* more, const T*) {
      for (int64_t k = 0; k < layer.input; ++k) dx[k] += more[k];
    });
}

template <class T, class O>
constexpr Kernels kernels() {
  return {.element = sizeof(T),
          .compute_layout = compute_layout<T, O>,
          .pack_forward = pack_forward<T, O>,
          .forward = forward<T, O>,
          .pack_backward = pack_backward<T, O>,
          .backward = backward<T, O>,
          .reduce = reduce<T>,
          .add_dx = add_dx<T>};
}

// Of weights that are kept narrow.
template <class O>
constexpr Kernels forward_kernels() {
  return {.element = sizeof(float),
          .compute_layout = compute_layout<float, O>,
          .pack_forward = pack_forward<float, O>,
          .forward = forward<float, O>,
          .pack_backward = nullptr,
          .backward = nullptr,
          .reduce = nullptr,
          .add_dx = nullptr};
}

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
#endif

}  // namespace

extern const Cell cells[];  // cells.cpp
extern const int cell_count;

extern const InstructionSet instruction_set;
#if defined(__AVX512BF16__)  // a copy for products of bfloat16 alone
const InstructionSet instruction_set{
    STATEWISE_NAME(STATEWISE_NS), kernels<float, Pair>(), {}, {}, {}, cells, &cell_count, widen, narrow};
#elif defined(__AVX512VNNI__)  // and one for products of eight bits
const InstructionSet instruction_set{
    STATEWISE_NAME(STATEWISE_NS), {}, {}, {}, forward_kernels<NarrowQuad>(), nullptr, nullptr, nullptr, nullptr};
#else
const InstructionSet instruction_set{STATEWISE_NAME(STATEWISE_NS),
                                     kernels<float, float>(),
                                     kernels<double, double>(),
                                     forward_kernels<NarrowPair>(),
                                     forward_kernels<NarrowQuad>(),
                                     cells,
                                     &cell_count,
                                     nullptr,
                                     nullptr};
#endif

}  // namespace STATEWISE_NS
}  // namespace statewise
