// Networks through the C interface: steps are what whole sequences are; a step takes no memory and no lock, and makes
// no system call; files that are damaged are refused, and nothing else happens.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "c/statewise.h"
#include "check.hpp"

#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__) || !defined(__linux__) || !defined(__GLIBC__)
#define STATEWISE_WATCHED 0
#else
#define STATEWISE_WATCHED 1
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {
bool watched = false;
long long taken = 0;
}  // namespace

// The C library's own, and a look at who calls them.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t size) { return taken += watched, __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return taken += watched, __libc_calloc(count, size); }
void* realloc(void* p, size_t size) { return taken += watched, __libc_realloc(p, size); }
void* memalign(size_t alignment, size_t size) { return taken += watched, __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return taken += watched, __libc_memalign(alignment, size); }
int posix_memalign(void** to, size_t alignment, size_t size) {
  taken += watched;
  return (*to = __libc_memalign(alignment, size)) ? 0 : 12;
}
void free(void* p) {
  taken += watched && p;
  __libc_free(p);
}
}
#endif

namespace {

std::mt19937 random_numbers(0);

struct Weight {
  std::string name;
  std::vector<int> shape;
};

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// A file of a network with these ops, whose weights are drawn.
std::string file_of(std::string content, const std::vector<Weight>& weights, float spread = 0.4f) {
  replace_all(content, "'", "\\\"");
  std::string
      header =
          "{\"__metadata__\":{\"statewise\":\"{\\\"kind\\\": \\\"network\\\", \\\"format\\\": 1, \\\"content\\\": " +
          content + "}\"}",
      data;
  std::normal_distribution<float> draw(0, spread);
  for (const Weight& w : weights) {
    int count = 1;
    std::string shape;
    for (int n : w.shape) count *= n, shape += (shape.empty() ? "" : ",") + std::to_string(n);
    const size_t begin = data.size();
    for (int i = 0; i < count; ++i) {
      const float value = draw(random_numbers);
      data.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    header += ",\"" + w.name + "\":{\"dtype\":\"F32\",\"shape\":[" + shape + "],\"data_offsets\":[" +
              std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + data;
}

std::vector<Weight> layer(const std::string& name, int gates, int input, int hidden, int at = 0) {
  const std::string end = "_l" + std::to_string(at);
  return {{name + ".weight_ih" + end, {gates * hidden, input}},
          {name + ".weight_hh" + end, {gates * hidden, hidden}},
          {name + ".bias_ih" + end, {gates * hidden}},
          {name + ".bias_hh" + end, {gates * hidden}}};
}

// Convolutions, layers of both kinds of step, a norm, activations, an output.
std::string large(int hidden) {
  const std::string h = std::to_string(hidden);
  std::vector<Weight> weights = layer("lstm", 4, 5, hidden);
  for (const auto& more : {layer("gru", 3, hidden, hidden), layer("gru", 3, hidden, hidden, 1)})
    weights.insert(weights.end(), more.begin(), more.end());
  for (const Weight& w : layer("clipped", 1, hidden, 3)) weights.push_back(w);
  weights.insert(weights.end(), {{"front.weight", {5, 2, 3}}, {"front.bias", {5}}, {"norm.weight", {3}}});
  weights.insert(weights.end(), {{"output.weight", {2, 6}}, {"output.bias", {2}}});
  return file_of(
      "{'inputs': [{'name': 'x', 'kind': 'values', 'width': 2}], 'ops': ["
      "{'op': 'convolution', 'name': 'front', 'left': 2},"
      "{'op': 'activation', 'function': 'silu'},"
      "{'op': 'recurrent', 'name': 'lstm', 'cell': 'lstm', 'hidden_size': " +
          h +
          "},"
          "{'op': 'recurrent', 'name': 'gru', 'cell': 'gru', 'hidden_size': " +
          h +
          ", 'num_layers': 2},"
          "{'op': 'recurrent', 'name': 'clipped', 'cell': 'rnn_tanh', 'hidden_size': 3, 'clip': 0.9},"
          "{'op': 'norm'},"
          "{'op': 'concat', 'of': ['norm', 'clipped']},"
          "{'op': 'linear', 'name': 'output'},"
          "{'op': 'activation', 'name': 'last', 'function': 'softmax'}]}",
      weights);
}

struct Net {
  explicit Net(const std::string& data) : at(statewise_load_memory(data.data(), data.size(), 1, &error)) {}
  ~Net() { statewise_free(at); }
  Net(const Net&) = delete;
  Net& operator=(const Net&) = delete;
  statewise_error error{};
  statewise_network* at;
};

std::vector<float> drawn(size_t count) {
  std::vector<float> made(count);
  std::normal_distribution<float> draw;
  for (float& v : made) v = draw(random_numbers);
  return made;
}

long long steps_are_sequences() {
  long long checked = 0;
  for (int hidden : {1, 3, 8, 17, 40})
    for (size_t rows : {1, 3}) {
      const Net net(large(hidden));
      CHECK(net.at, "%s", net.error.message);
      if (!net.at) return 0;
      constexpr size_t steps = 9;
      const std::vector<float> x = drawn(steps * rows * 2);
      std::vector<float> whole(steps * rows * 2), parts(whole.size()), again(whole.size());
      const void* const in[] = {x.data()};
      void* const out[] = {whole.data()};
      statewise_error error;
      CHECK(statewise_run(net.at, steps, rows, nullptr, in, out, &error) == STATEWISE_OK, "%s", error.message);
      statewise_stream* const stream = statewise_stream_new(net.at, rows, &error);
      std::vector<double> state(statewise_state_size(stream) / 8 + 1);
      statewise_feed(stream, 4, x.data(), parts.data());
      CHECK(statewise_state_save(stream, state.data(), 8 * state.size()) == STATEWISE_OK, "rows %zu", rows);
      statewise_feed(stream, steps - 4, x.data() + 8 * rows, parts.data() + 8 * rows);
      CHECK(statewise_state_load(stream, state.data(), statewise_state_size(stream)) == STATEWISE_OK, "rows %zu", rows);
      std::copy_n(parts.data(), 8 * rows, again.data());
      statewise_feed(stream, steps - 4, x.data() + 8 * rows, again.data() + 8 * rows);
      CHECK(again == parts, "hidden %d rows %zu", hidden, rows);
      statewise_reset(stream);
      statewise_feed(stream, steps, x.data(), again.data());
      CHECK(again == parts, "hidden %d rows %zu", hidden, rows);
      for (size_t i = 0; i < whole.size(); ++i, ++checked)
        CHECK(std::fabs(whole[i] - parts[i]) < 2e-6f, "hidden %d rows %zu at %zu: %g %g", hidden, rows, i,
              double(whole[i]), double(parts[i]));
      statewise_stream_free(stream);
    }
  return checked;
}

// Recurrent layers, whose differences don't grow.
std::string recurrent(const std::string& cell, int input, int hidden, const std::string& told,
                      const std::vector<Weight>& weights) {
  return file_of("{'inputs': [{'name': 'x', 'kind': 'values', 'width': " + std::to_string(input) +
                     "}], 'ops': [{'op': 'recurrent', 'name': 'r', 'cell': '" + cell +
                     "', 'hidden_size': " + std::to_string(hidden) + told + "}]}",
                 weights, 0.5f / std::sqrt(float(hidden)));
}

// Many steps at once are the same steps one by one, to the last bit, wherever they are cut, and what a whole sequence
// is, within rounding.
long long blocks_are_steps() {
  long long checked = 0;
  for (const auto& [input, hidden] : {std::pair(1, 1), {3, 5}, {63, 17}, {5, 40}, {64, 64}}) {
    std::vector<std::string> files{large(hidden)};
    const auto add = [&](const std::string& cell, int gates, const std::string& told, std::vector<Weight> more) {
      const std::vector<Weight> first = layer("r", gates, input, hidden);
      more.insert(more.begin(), first.begin(), first.end());
      files.push_back(recurrent(cell, input, hidden, told, more));
    };
    add("rnn_tanh", 1, "", {});
    add("lstm", 4, "", {});
    add("gru", 3, "", {});
    add("lstm", 4, ", 'num_layers': 2", layer("r", 4, hidden, hidden, 1));
    add("gru", 3, ", 'clip': 0.5", {});
    add("layer_norm_gru", 3, "", {{"r.weight_norm_ih_l0", {3 * hidden}}, {"r.weight_norm_hh_l0", {3 * hidden}}});
    files.push_back(recurrent("lstm", input, hidden, ", 'proj_size': 2",
                              {{"r.weight_ih_l0", {4 * hidden, input}},
                               {"r.weight_hh_l0", {4 * hidden, 2}},
                               {"r.weight_hr_l0", {2, hidden}},
                               {"r.bias_ih_l0", {4 * hidden}},
                               {"r.bias_hh_l0", {4 * hidden}}}));
    files.push_back(
        recurrent("indrnn_tanh", input, hidden, "",
                  {{"r.weight_ih_l0", {hidden, input}}, {"r.bias_ih_l0", {hidden}}, {"r.weight_u_l0", {hidden}}}));
    for (size_t file = 0; file < files.size(); ++file)
      for (size_t rows : {1, 3}) {
        const Net net(files[file]);
        CHECK(net.at, "%s", net.error.message);
        if (!net.at) return 0;
        const size_t in = rows * statewise_input(net.at, 0).width, out = rows * statewise_result(net.at, 0).width;
        for (size_t steps : {1, 5, 63, hidden == 40 ? 1000 : 2}) {
          const std::vector<float> x = drawn(steps * in);
          std::vector<float> single(steps * out), cut(single.size()), whole(single.size());
          statewise_error error;
          statewise_stream *const one = statewise_stream_new(net.at, rows, &error), *const many = statewise_stream_new(
                                                                                        net.at, rows, &error);
          for (size_t t = 0; t < steps; ++t) {
            const void* const given[] = {x.data() + t * in};
            void* const made[] = {single.data() + t * out};
            CHECK(statewise_step(one, given, made) == STATEWISE_OK, "file %zu step %zu", file, t);
          }
          for (size_t t = 0, n = 3; t < steps; t += n, n = 1 + random_numbers() % 99)
            statewise_feed(many, n = std::min(n, steps - t), x.data() + t * in, cut.data() + t * out);
          CHECK(single == cut, "file %zu hidden %d rows %zu steps %zu", file, hidden, rows, steps);
          std::vector<char> state[2];
          for (auto& each : state) each.resize(statewise_state_size(one));
          statewise_state_save(one, state[0].data(), state[0].size());
          statewise_state_save(many, state[1].data(), state[1].size());
          CHECK(state[0] == state[1], "file %zu hidden %d rows %zu steps %zu", file, hidden, rows, steps);
          const void* const given[] = {x.data()};
          void* const made[] = {whole.data()};
          statewise_run(net.at, steps, rows, nullptr, given, made, &error);
          for (size_t i = 0; file > 0 && i < whole.size(); ++i, ++checked)
            CHECK(std::fabs(whole[i] - cut[i]) < 1e-5f, "file %zu hidden %d rows %zu at %zu: %g %g", file, hidden, rows,
                  i, double(whole[i]), double(cut[i]));
          statewise_stream_free(one);
          statewise_stream_free(many);
        }
      }
  }
  return checked;
}

#if STATEWISE_WATCHED
long long a_step_takes_nothing() {
  constexpr size_t kSteps = 75;  // more than are made at once
  for (size_t rows : {1, 3}) {
    const Net net(large(24));
    statewise_stream* const stream = statewise_stream_new(net.at, rows, nullptr);
    const std::vector<float> x = drawn(kSteps * rows * 2);
    std::vector<float> y(x.size());
    std::vector<double> state(statewise_state_size(stream) / 8 + 1);
    const auto everything = [&] {
      statewise_feed(stream, kSteps, x.data(), y.data());
      statewise_state_save(stream, state.data(), 8 * state.size());
      statewise_reset(stream);
      statewise_state_load(stream, state.data(), statewise_state_size(stream));
    };
    watched = true;
    everything();
    watched = false;
    CHECK(taken == 0, "%lld blocks of memory were taken or given back", taken);
    // In a process that may read, write and end, and is killed by any other system call; locks would make them.
    const pid_t child = fork();
    if (child == 0) {
      if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(3);
      everything();
      syscall(SYS_exit, 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3), "status %d", status);
    statewise_stream_free(stream);
  }
  void* volatile probe = nullptr;  // whether the watch watches
  watched = true;
  probe = malloc(10);
  watched = false;
  free(probe);
  CHECK(taken == 1, "%lld", taken);
  return 1;
}
#else
long long a_step_takes_nothing() { return 0; }
#endif

// Bytes changed, cut out, doubled; numbers in the header that grow.
std::string damaged(std::string data) {
  const auto below = [&](size_t n) { return size_t(random_numbers() % n); };
  uint64_t size;
  std::memcpy(&size, data.data(), 8);
  for (size_t i = 0; i <= below(3); ++i) {
    const size_t at = below(4) ? 8 + below(size_t(size)) : below(data.size()), length = 1 + below(9);
    switch (below(4)) {
      case 0:
        data[at] = char(data[at] ^ (1 << below(8)));
        break;
      case 1:
        data.erase(at, length);
        break;
      case 2:
        data.insert(at, data.substr(at, length));
        break;
      default: {
        const size_t digit = data.find_first_of("0123456789", at);
        const char* const numbers[] = {"0", "-1", "9007199254740992", "1e300", "4294967296", "99999", "0.5", "7"};
        if (digit != std::string::npos) data.replace(digit, 1, numbers[below(8)]);
      }
    }
    if (data.size() < 16) break;
  }
  if (below(2) && data.size() > 8) std::memcpy(data.data(), &size, 8);
  return data;
}

long long damaged_files() {
  const std::string whole = large(3);
  long long refused = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string data = damaged(whole);
    const Net net(data);
    if (!net.at) {
      CHECK((net.error.status == STATEWISE_DAMAGED || net.error.status == STATEWISE_UNSUPPORTED) && *net.error.message,
            "%d %s", net.error.status, net.error.message);
      ++refused;
      continue;
    }
    std::vector<std::vector<double>> memory;
    std::vector<const void*> in;
    std::vector<void*> out;
    bool small = true;
    for (size_t k = 0; k < statewise_inputs(net.at); ++k) small = small && statewise_input(net.at, k).width < 10000;
    for (size_t k = 0; k < statewise_results(net.at); ++k) small = small && statewise_result(net.at, k).width < 10000;
    if (!small) continue;
    for (size_t k = 0; k < statewise_inputs(net.at); ++k) memory.emplace_back(5 * statewise_input(net.at, k).width);
    for (const auto& each : memory) in.push_back(each.data());
    std::vector<std::vector<double>> made;
    for (size_t k = 0; k < statewise_results(net.at); ++k)
      made.emplace_back((statewise_result_steps(net.at, k, 5) + 1) * statewise_result(net.at, k).width);
    for (auto& each : made) out.push_back(each.data());
    statewise_error error;
    statewise_run(net.at, 5, 1, nullptr, in.data(), out.data(), &error);
    if (statewise_stream* const stream = statewise_stream_new(net.at, 1, &error)) {
      statewise_step(stream, in.data(), out.data());
      statewise_stream_free(stream);
    }
  }
  CHECK(refused > 1000 && refused < 4000, "%lld were refused", refused);
  return refused;
}

}  // namespace

int main() {
  long long checked = steps_are_sequences();
  checked += blocks_are_steps();
  checked += a_step_takes_nothing();
  checked += damaged_files();
  return verdict(checked);
}
