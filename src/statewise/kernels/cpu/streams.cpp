// One instruction set's copy of what streams compute with, compiled like kernels.cpp.

#include "streams.hpp"

#include "step.hpp"

#include "generated_cells.hpp"  // which knows what step.hpp includes

namespace statewise {
namespace STATEWISE_NS {
namespace {

// Of each of statewise's own cells its step; null where it is more than products and a cell.
template <class T>
struct NamedStep {
  const char* name;
  void (*step)(const LayerStep<T>&, const StepMemory&);
};

template <class C, class T>
constexpr NamedStep<T> named_step() {
  if constexpr (is_staged(C::shape))
    return {C::shape.name, nullptr};
  else
    return {C::shape.name, step_layer<C, T>};
}

template <class T>
constexpr NamedStep<T> named_steps[] = {
#define STATEWISE_CELL(type) named_step<type, T>(),
#include "generated_cells.def"
#undef STATEWISE_CELL
};

template <class T>
bool prepare_step(const Job& job, const Layer& layer, const Direction& w, void* to) {
  const Sizes<T> z(job);
  if (job.projected || job.mixes || job.masked || job.heads > 1 || job.D > 1 || job.N != 1) return false;
  if (layer.input > kStepDepth || job.P > kStepDepth) return false;
  const int x_vectors = z.by_x.count * z.blocks.units;
  LayerStep<T> made{.step = nullptr,
                    .x_columns = static_cast<const T*>(w.columns_ih),
                    .h_columns = static_cast<const T*>(w.columns_hh),
                    .bias = static_cast<const T*>(w.bias),
                    .vectors = static_cast<const T*>(w.vector_rows),
                    .I = layer.input,
                    .P = job.P,
                    .units = z.units,
                    .blocks = {z.blocks.full, z.blocks.tail_lanes, z.H},
                    .x_vectors = x_vectors,
                    .x_tail = (x_vectors * z.blocks.tail_lanes + lanes<T> - 1) / lanes<T>};
  for (const NamedStep<T>& each : named_steps<T>)
    if (__builtin_strcmp(each.name, z.cell.name) == 0) made.step = each.step;
  if (!made.step) return false;
  __builtin_memcpy(to, &made, sizeof made);
  return true;
}

template <class T>
void step_prepared(const void* prepared, const StepMemory& m) {
  const LayerStep<T>& s = *static_cast<const LayerStep<T>*>(prepared);
  s.step(s, m);
}

template <class T>
void project_prepared(const void* prepared, int64_t steps, const void* x, int64_t x_row, void* to, int64_t to_row) {
  project_steps(*static_cast<const LayerStep<T>*>(prepared), steps, static_cast<const T*>(x), x_row,
                static_cast<T*>(to), to_row);
}

template <class T>
int64_t dense_columns(int64_t outputs) {
  return round_up(outputs, lanes<T>);
}

template <class T>
void pack_dense(const Dense& d, const void* w, void* to) {
  pack_projection(static_cast<const T*>(w), d.outputs, d.inputs, static_cast<T*>(to), static_cast<T*>(nullptr));
}

// Panel by panel, so that a panel stays near while all rows are multiplied with it.
template <class T>
void multiply_dense(const Dense& d, int64_t rows, const void* x, int64_t x_row, void* y, int64_t y_row) {
  constexpr int L = lanes<T>;
  const Panels p = plain_panels<T>(d.outputs);
  for (int64_t i = 0; i <= p.full; ++i) {
    const int vectors = i < p.full ? 4 : p.tail;
    const int64_t column = i * 4 * L;
    const T* const b = static_cast<const T*>(d.panels) + column * d.inputs;
    const T* const bias = d.bias ? static_cast<const T*>(d.bias) + column : nullptr;
    multiply_all_rows<T>(vectors, rows, static_cast<const T*>(x), x_row, d.inputs, b, bias, d.outputs - column,
                         static_cast<T*>(y) + column, y_row);
  }
}

template <class T, class F>
STATEWISE_INLINE void each(const void* from, int64_t count, void* to, const F& f) {
  constexpr int L = lanes<T>;
  using V = Vec<T, L>;
  const T* const x = static_cast<const T*>(from);
  T* const y = static_cast<T*>(to);
  int64_t i = 0;
  for (; i + L <= count; i += L) store(y + i, f(load<V>(x + i)));
  if (i < count) store_first(y + i, f(load_first<V>(x + i, int(count - i))), int(count - i));
}

#define STATEWISE_FUNCTION(name, value)                                                 \
  template <class T>                                                                    \
  void name##_each(const void* from, int64_t count, void* to) {                         \
    constexpr int L = lanes<T>;                                                         \
    using V = Vec<T, L>;                                                                \
    each<T>(from, count, to, [](V x) __attribute__((always_inline)) { return value; }); \
  }
STATEWISE_FUNCTION(relu, (relu<T, L>(x)))
STATEWISE_FUNCTION(tanh, (tanh<T, L>(x)))
STATEWISE_FUNCTION(sigmoid, (sigmoid<T, L>(x)))
STATEWISE_FUNCTION(silu, (x * sigmoid<T, L>(x)))
STATEWISE_FUNCTION(softplus, (softplus<T, L>(x)))
STATEWISE_FUNCTION(exp, (exp<T, L>(x)))
#undef STATEWISE_FUNCTION

template <class T>
constexpr StreamKernels stream_kernels_of() {
  return {.step_bytes = sizeof(LayerStep<T>),
          .prepare_step = prepare_step<T>,
          .step = step_prepared<T>,
          .project = project_prepared<T>,
          .dense_columns = dense_columns<T>,
          .pack_dense = pack_dense<T>,
          .multiply = multiply_dense<T>,
          .apply = {relu_each<T>, tanh_each<T>, sigmoid_each<T>, silu_each<T>, softplus_each<T>, exp_each<T>}};
}

}  // namespace

extern const StreamKernelsOfSet stream_kernels;
const StreamKernelsOfSet stream_kernels{stream_kernels_of<float>(), stream_kernels_of<double>()};

}  // namespace STATEWISE_NS
}  // namespace statewise
