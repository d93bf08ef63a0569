// Damaged model files, for libFuzzer: whatever the bytes are, every instruction set takes them or refuses them in the
// same way, what it takes runs and streams, and the sets agree in what comes out.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "statewise.h"

namespace {

constexpr size_t kSteps = 3, kRows = 2, kWidest = 1 << 16;

[[noreturn]] void fail(const char* what, const std::string& set) {
  std::fprintf(stderr, "%s: %s\n", set.c_str(), what);
  std::abort();
}

struct Outcome {
  statewise_status loaded = STATEWISE_OK, ran = STATEWISE_OK, stepped = STATEWISE_OK;
  std::vector<double> numbers;
};

size_t element(const statewise_port& port) { return port.type == STATEWISE_FLOAT32 ? 4 : 8; }

// What a port has room for: steps of rows, each of its numbers.
std::vector<char> room(const statewise_port& port, size_t steps) {
  const size_t each = port.type == STATEWISE_INT64 ? 1 : port.width;
  return std::vector<char>(steps * kRows * each * element(port) + 64);
}

// Small numbers, or symbols that there are.
std::vector<char> filled(const statewise_port& port) {
  std::vector<char> made = room(port, kSteps);
  for (size_t i = 0; (i + 1) * element(port) <= made.size() - 64; ++i) {
    const double value = double(i * 7 % 11) / 11 - 0.5;
    const float small = float(value);
    const int64_t symbol = port.width ? int64_t(i * 7 % port.width) : 0;
    const void* const from = port.type == STATEWISE_FLOAT32   ? static_cast<const void*>(&small)
                             : port.type == STATEWISE_FLOAT64 ? static_cast<const void*>(&value)
                                                              : static_cast<const void*>(&symbol);
    std::memcpy(made.data() + i * element(port), from, element(port));
  }
  return made;
}

void append(std::vector<double>& to, const std::vector<char>& from, const statewise_port& port, size_t steps) {
  const size_t each = port.type == STATEWISE_INT64 ? 1 : port.width;
  for (size_t i = 0; i < steps * kRows * each; ++i) {
    float small;
    double value;
    int64_t symbol;
    const char* const at = from.data() + i * element(port);
    if (port.type == STATEWISE_FLOAT32) std::memcpy(&small, at, 4), value = double(small);
    if (port.type == STATEWISE_FLOAT64) std::memcpy(&value, at, 8);
    if (port.type == STATEWISE_INT64) std::memcpy(&symbol, at, 8), value = double(symbol);
    to.push_back(value);
  }
}

std::vector<const void*> readable(const std::vector<std::vector<char>>& all) {
  std::vector<const void*> found;
  for (const auto& each : all) found.push_back(each.data());
  return found;
}

void stream(const statewise_network* net, const std::vector<std::vector<char>>& inputs,
            const std::vector<statewise_port>& takes, std::vector<std::vector<char>>& results, Outcome& outcome) {
  statewise_error error;
  statewise_stream* const live = statewise_stream_new(net, kRows, &error);
  if (!live) {
    outcome.stepped = error.status;
    return;
  }
  std::vector<void*> to;
  for (auto& each : results) to.push_back(each.data());
  for (size_t t = 0; t < kSteps && outcome.stepped == STATEWISE_OK; ++t) {
    std::vector<const void*> from;
    for (size_t i = 0; i < takes.size(); ++i) {
      const size_t each = takes[i].type == STATEWISE_INT64 ? 1 : takes[i].width;
      from.push_back(inputs[i].data() + t * kRows * each * element(takes[i]));
    }
    outcome.stepped = statewise_step(live, from.data(), to.data());
  }
  std::vector<char> state(statewise_state_size(live));
  if (statewise_state_save(live, state.data(), state.size()) != STATEWISE_OK) std::abort();
  if (statewise_state_load(live, state.data(), state.size()) != STATEWISE_OK) std::abort();
  statewise_stream_free(live);
}

Outcome outcome_of(const uint8_t* data, size_t size) {
  Outcome outcome;
  statewise_error error;
  statewise_network* const net = statewise_load_memory(data, size, 1, &error);
  outcome.loaded = error.status;
  if (!net) return outcome;
  std::vector<statewise_port> takes, gives;
  for (size_t i = 0; i < statewise_inputs(net); ++i) takes.push_back(statewise_input(net, i));
  for (size_t i = 0; i < statewise_results(net); ++i) gives.push_back(statewise_result(net, i));
  size_t widest = 0;
  for (const auto& ports : {takes, gives})
    for (const statewise_port& port : ports) widest = std::max(widest, port.type == STATEWISE_INT64 ? 1 : port.width);
  std::vector<size_t> counts;
  for (size_t i = 0; i < gives.size(); ++i)
    counts.push_back(gives[i].over_time ? statewise_result_steps(net, i, kSteps) : 1);
  if (widest > kWidest || std::any_of(counts.begin(), counts.end(), [](size_t n) { return n > kWidest; })) {
    statewise_free(net);  // a caller wouldn't have the memory for its inputs either
    return outcome;
  }
  std::vector<std::vector<char>> inputs, results;
  for (const auto& port : takes) inputs.push_back(filled(port));
  for (size_t i = 0; i < gives.size(); ++i) results.push_back(room(gives[i], std::max<size_t>(counts[i], 1)));
  std::vector<void*> to;
  for (auto& each : results) to.push_back(each.data());
  const int64_t lengths[kRows] = {int64_t(kSteps), 1};
  const auto from = readable(inputs);
  outcome.ran = statewise_run(net, kSteps, kRows, lengths, from.data(), to.data(), &error);
  if (outcome.ran == STATEWISE_OK)
    for (size_t i = 0; i < gives.size(); ++i) append(outcome.numbers, results[i], gives[i], counts[i]);
  if (statewise_streams(net)) stream(net, inputs, takes, results, outcome);
  statewise_free(net);
  return outcome;
}

// Sums are taken in other orders; what is huge, or comes of what is, may differ in anything.
bool agree(double one, double other) {
  if (!(std::fabs(one) < 1e3) || !(std::fabs(other) < 1e3)) return true;
  return std::fabs(one - other) <= 1e-2 * std::max(1.0, std::fabs(one));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Outcome first;
  bool is_first = true;
  for (const statewise::InstructionSet* set : statewise::instruction_sets()) {
    statewise::use_instruction_set(set->name);
    Outcome next = outcome_of(data, size);
    if (!is_first) {
      if (next.loaded != first.loaded || next.ran != first.ran || next.stepped != first.stepped)
        fail("refuses otherwise than the first set", set->name);
      if (next.numbers.size() != first.numbers.size()) fail("gives more or fewer numbers", set->name);
      bool plain = true;  // weights that a damaged file made huge amplify a rounding
      for (double number : first.numbers) plain = plain && std::fabs(number) < 1e3;
      for (size_t i = 0; plain && i < next.numbers.size(); ++i)
        if (!agree(first.numbers[i], next.numbers[i])) fail("computes other numbers", set->name);
    }
    first = std::move(next);
    is_first = false;
  }
  return 0;
}
