#include "eager.hpp"

#include <atomic>
#include <chrono>
#include <utility>

#include "python.hpp"

namespace nb = nanobind;

namespace statewise {
namespace {

std::atomic<int64_t> nanoseconds{0};

// Whether a gradient is asked of x, a state or a weight.
bool is_differentiated(nb::handle x, const Operands& operands, nb::handle weights) {
  if (!grad_enabled()) return false;
  if (requires_grad(x)) return true;
  for (int k = 0; k < operands.states(); ++k)
    if (operands.given(k).is_valid() && requires_grad(operands.given(k))) return true;
  for (Py_ssize_t i = 0; i < size(weights); ++i)
    if (requires_grad(item(weights, i))) return true;
  return false;
}

// The dropout masks as a list: `masks` itself, or what it draws.
nb::object drawn(nb::handle masks, nb::handle x, Operands& operands) {
  if (masks.is_none() || PyList_CheckExact(masks.ptr())) return nb::borrow(masks);
  const Call& call = operands.call();
  return operands.packed() ? masks(x, operands.steps()) : masks(x, call.T, call.N);
}

// Everything that forward reads. `masks` becomes the list of them, or stays None.
bool read(Operands& operands, nb::handle x, nb::handle hx, nb::handle weights, nb::object& masks, nb::handle rows) {
  if (!operands.read_input(x, rows) || !operands.read_hx(hx)) return false;
  if (!operands.read_weights(size(weights), [&](int64_t i) { return item(weights, i); })) return false;
  if (masks.is_none()) return true;
  masks = drawn(masks, x, operands);
  return PyList_CheckExact(masks.ptr()) && operands.read_masks(size(masks), [&](int64_t i) { return item(masks, i); });
}

// What backward needs beside x, the states and the weights, and how many of these are what.
nb::object keep(Operands& operands, nb::handle x, nb::handle masks, nb::handle rows, nb::handle output,
                Record& record) {
  record.states = operands.given(0).is_valid() ? operands.states() : 0;
  record.outputs = operands.has_output() && reads_output(operands.call());
  record.masks = masks.is_none() ? 0 : int(nb::len(masks));
  record.rows = rows.is_none() ? 0 : PyTuple_CheckExact(rows.ptr()) ? int(nb::len(rows)) : 1;
  nb::object kept = new_tuple(record.outputs + 1 + record.masks + record.rows);
  int64_t at = 0;
  if (record.outputs) put(kept, at++, nb::borrow(output));
  put(kept, at++, operands.make_tape(x));
  for (int i = 0; i < record.masks; ++i) put(kept, at++, nb::borrow(item(masks, i)));
  for (int i = 0; i < record.rows; ++i) put(kept, at++, nb::borrow(record.rows == 1 ? rows : item(rows, i)));
  return kept;
}

}  // namespace

void run(Operands& operands, void (*kernel)(const Call&)) {
  operands.call().threads = torch_threads();
  compute(operands, kernel);
}

void compute(Operands& operands, void (*kernel)(const Call&)) {
  const Call& call = operands.call();
  without_interpreter(operands.multiply_adds(), [&] {
    const auto start = std::chrono::steady_clock::now();
    kernel(call);
    nanoseconds += (std::chrono::steady_clock::now() - start) / std::chrono::nanoseconds(1);
  });
}

nb::object make_results(Operands& operands, nb::handle x) {
  const int states = operands.states(), outputs = operands.has_output();
  nb::object results = new_tuple(outputs + states * (1 + operands.all_states()));
  if (outputs) put(results, 0, operands.make_output(x));
  for (int k = 0; k < states; ++k) put(results, outputs + k, operands.make_state(x, k));
  for (int k = 0; operands.all_states() && k < states; ++k)
    put(results, outputs + states + k, operands.make_passed(x, k));
  return results;
}

nb::object forward_tensors(nb::handle stack, Form form, nb::handle x, nb::handle hx, nb::list weights, nb::handle masks,
                           nb::handle rows, bool bfloat16_products, nb::handle extras) {
  if (!torch_is_known() || !torch_is_plain() || autocast_enabled()) return nb::none();
  Operands operands(nb::inst_ptr<Stack>(stack)->sizes, form);
  const nb::object lent = held(weights);
  nb::object dropout = nb::borrow(masks), extra = nb::none(), record = nb::none();
  if (!read(operands, x, hx, lent, dropout, rows) || !operands.read_extras(extras)) return nb::none();
  operands.call().bfloat16_products = bfloat16_products || (bfloat16_set() && precision_is_medium());
  nb::object results = make_results(operands, x);
  if (is_differentiated(x, operands, lent)) {
    Record made{nb::borrow(stack), form};
    made.bfloat16_products = operands.call().bfloat16_products;
    made.extras = nb::borrow(extras);
    extra = keep(operands, x, dropout, rows, item(results, 0), made);
    record = nb::cast(std::move(made));
  }
  run(operands, forward);
  nb::object answer = new_tuple(3);
  put(answer, 0, std::move(results));
  put(answer, 1, std::move(extra));
  put(answer, 2, std::move(record));
  return answer;
}

nb::object forward_below(nb::handle stack, Form form, nb::handle x, nb::handle hx, nb::list weights, nb::handle masks,
                         nb::handle rows, nb::handle tape) {
  Operands operands(nb::inst_ptr<Stack>(stack)->sizes, form);
  const nb::object lent = held(weights);
  nb::object dropout = nb::borrow(masks);
  if (!torch_is_known() || !read(operands, x, hx, lent, dropout, rows)) return nb::none();
  if (!tape.is_none() && !operands.read_tape(tape)) return nb::none();
  operands.call().training = !tape.is_none();
  operands.call().bfloat16_products = bfloat16_set() && precision_is_medium();
  nb::object results = make_results(operands, x);
  run(operands, forward);
  return results;
}

nb::object backward_tensors(const Record& record, nb::tuple kept, nb::tuple incoming, nb::tuple needs, bool below) {
  Operands operands(nb::inst_ptr<Stack>(record.stack)->sizes, record.form);
  if (!torch_is_known() || (!below && (!torch_is_plain() || grad_enabled()))) return nb::none();
  const auto at = [&](int64_t i) { return item(kept, i); };
  if (record.states > kMaxStates) return nb::none();
  const int64_t first_weight = 1 + record.states, after = record.outputs + 1 + record.masks + record.rows,
                weights = int64_t(nb::len(kept)) - first_weight - after, output = first_weight + weights,
                tape = output + record.outputs, masks = tape + 1, rows = masks + record.masks;
  if (weights < 0 || int64_t(nb::len(needs)) != 1 + first_weight + weights) return nb::none();

  nb::object row_tensors = nb::none();
  if (record.rows == 1) row_tensors = nb::borrow(at(rows));
  if (record.rows > 1) {
    row_tensors = new_tuple(record.rows);
    for (int i = 0; i < record.rows; ++i) put(row_tensors, i, nb::borrow(at(rows + i)));
  }
  const nb::handle x = at(0);
  nb::handle given[kMaxStates];
  for (int k = 0; k < record.states; ++k) given[k] = at(1 + k);
  if (!operands.read_input(x, row_tensors)) return nb::none();
  if (record.states && (record.states != operands.states() || !operands.read_states(given))) return nb::none();
  if (!operands.read_weights(weights, [&](int64_t i) { return at(first_weight + i); })) return nb::none();
  if (record.outputs && !operands.read_output(at(output))) return nb::none();
  if (!operands.read_tape(at(tape))) return nb::none();
  if (record.masks && !operands.read_masks(record.masks, [&](int64_t i) { return at(masks + i); })) return nb::none();

  if (!operands.read_extras(record.extras)) return nb::none();
  const int outputs = operands.has_output(), states = operands.states();
  if (int64_t(nb::len(incoming)) != outputs + states * (1 + operands.all_states())) return nb::none();
  if (outputs && !operands.read_output_gradient(incoming[0])) return nb::none();
  for (int k = 0; k < operands.states(); ++k)
    if (!operands.read_state_gradient(incoming[outputs + k], k)) return nb::none();
  for (int k = 0; operands.all_states() && k < states; ++k)
    if (!operands.read_passed_gradient(incoming[outputs + states + k], k)) return nb::none();

  const auto needed = [&](int64_t i) { return item(needs, 1 + i).is(Py_True); };
  nb::object gradients = new_tuple(1 + first_weight + weights);
  put(gradients, 0, nb::none());
  put(gradients, 1, needed(0) ? operands.make_input_gradient(x) : nb::none());
  for (int k = 0; k < record.states; ++k)
    put(gradients, 2 + k, needed(1 + k) ? operands.make_state_gradient(k, at(1 + k)) : nb::none());
  for (int64_t i = 0; i < weights; ++i) {
    const int64_t place = first_weight + i;
    put(gradients, 1 + place, needed(place) ? operands.make_weight_gradient(i, at(place)) : nb::none());
  }
  operands.call().training = true;
  operands.call().bfloat16_products = record.bfloat16_products;
  run(operands, backward);
  return gradients;
}

int64_t nanoseconds_in_kernels() { return nanoseconds; }

}  // namespace statewise
