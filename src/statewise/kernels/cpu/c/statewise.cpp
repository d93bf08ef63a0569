// The C interface of networks. No exception leaves it.

#if defined(_WIN32)
#define STATEWISE_API __declspec(dllexport)
#else
#define STATEWISE_API __attribute__((visibility("default")))
#endif
#include "statewise.h"

#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "../network/network.hpp"

// Where the compiler has a real-time sanitizer, it watches what may not take memory, a lock or a system call.
#if defined(__clang__) && __has_cpp_attribute(clang::nonblocking) && defined(__has_feature)
#if __has_feature(realtime_sanitizer)
#define STATEWISE_REALTIME [[clang::nonblocking]]
#endif
#endif
#if !defined(STATEWISE_REALTIME)
#define STATEWISE_REALTIME
#endif

struct statewise_network {
  std::shared_ptr<const statewise::runtime::Network> network;
};

struct statewise_stream {
  std::shared_ptr<const statewise::runtime::Network> network;
  std::unique_ptr<statewise::runtime::Stream> stream;
};

namespace {

using statewise::runtime::Kind;
using statewise::runtime::Port;

statewise_status tell(statewise_error* error, statewise_status status, const char* message) noexcept {
  if (!error) return status;
  error->status = status;
  constexpr size_t room = sizeof error->message - 1;
  size_t length = std::strlen(message);
  if (length > room)  // not in the middle of a letter
    for (length = room; length > 0 && (message[length] & 0xc0) == 0x80;) --length;
  for (size_t i = 0; i < length; ++i)
    error->message[i] = static_cast<unsigned char>(message[i]) < ' ' ? ' ' : message[i];
  error->message[length] = '\0';
  return status;
}

// What `work` gives, or `otherwise` and what went wrong.
template <class R, class W>
R guarded(statewise_error* error, R otherwise, const W& work) noexcept {
  statewise_status status = STATEWISE_FAILED;
  try {
    R found = work();
    tell(error, STATEWISE_OK, "");
    return found;
  } catch (const statewise::runtime::Damaged& e) {
    status = tell(error, STATEWISE_DAMAGED, e.what());
  } catch (const statewise::runtime::Unsupported& e) {
    status = tell(error, STATEWISE_UNSUPPORTED, e.what());
  } catch (const statewise::runtime::Unfit& e) {
    status = tell(error, STATEWISE_UNFIT, e.what());
  } catch (const std::bad_alloc&) {
    status = tell(error, STATEWISE_NO_MEMORY, statewise_status_text(STATEWISE_NO_MEMORY));
  } catch (const std::length_error&) {
    status = tell(error, STATEWISE_NO_MEMORY, statewise_status_text(STATEWISE_NO_MEMORY));
  } catch (const std::exception& e) {
    status = tell(error, STATEWISE_FAILED, e.what());
  } catch (...) {
    status = tell(error, STATEWISE_FAILED, statewise_status_text(STATEWISE_FAILED));
  }
  if constexpr (std::is_same_v<R, statewise_status>)
    return status;
  else
    return otherwise;
}

statewise_network* network_of(std::string_view data, int threads) {
  return new statewise_network{statewise::runtime::read_network(data, threads < 1 ? 1 : threads)};
}

statewise_port port_of(const std::vector<Port>& ports, size_t at) {
  if (at >= ports.size()) return {"", STATEWISE_FLOAT32, 0, 0};
  const Port& port = ports[at];
  const statewise_type type = port.form.kind == Kind::kSymbols ? STATEWISE_INT64
                              : port.element == 8              ? STATEWISE_FLOAT64
                                                               : STATEWISE_FLOAT32;
  return {port.name.c_str(), type, size_t(port.form.width), port.form.kind != Kind::kSummary};
}

bool all_given(const void* const* pointers, size_t count) {
  for (size_t i = 0; pointers && i < count; ++i)
    if (!pointers[i]) return false;
  return pointers != nullptr;
}

bool is_float(const std::vector<Port>& ports) {
  return ports.size() == 1 && ports[0].form.kind != Kind::kSymbols && ports[0].element == sizeof(float);
}

// Whether so many steps of so many rows can be counted at all.
bool countable(const std::vector<Port>& ports, size_t steps, size_t rows) {
  const double most = double(std::numeric_limits<int64_t>::max()) / 64;
  for (const Port& port : ports)
    if (double(steps) * double(rows) * double(port.form.row()) > most) return false;
  return double(steps) * double(rows) <= most;
}

}  // namespace

extern "C" {

const char* statewise_version(void) { return STATEWISE_VERSION; }

const char* statewise_status_text(statewise_status status) {
  switch (status) {
    case STATEWISE_OK:
      return "fine";
    case STATEWISE_NO_FILE:
      return "the file can't be read";
    case STATEWISE_DAMAGED:
      return "the file isn't whole, or isn't statewise's";
    case STATEWISE_UNSUPPORTED:
      return "the file has what this version can't run";
    case STATEWISE_UNFIT:
      return "what was given doesn't fit the network";
    case STATEWISE_NO_MEMORY:
      return "there isn't enough memory";
    case STATEWISE_FOREIGN:
      return "the state is another network's, or of other rows, or damaged";
    case STATEWISE_FAILED:
      return "something went wrong";
  }
  return "an unknown status";
}

statewise_network* statewise_load(const char* path, int threads, statewise_error* error) {
  return guarded<statewise_network*>(error, nullptr, [&]() -> statewise_network* {
    if (!path) throw statewise::runtime::Unfit("there is no path");
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const std::streamoff size = file ? std::streamoff(file.tellg()) : -1;
    std::string data;
    if (size >= 0) {
      data.resize(size_t(size));
      file.seekg(0).read(data.data(), size);
    }
    if (size < 0 || !file) {
      tell(error, STATEWISE_NO_FILE, statewise_status_text(STATEWISE_NO_FILE));
      return nullptr;
    }
    return network_of(data, threads);
  });
}

statewise_network* statewise_load_memory(const void* data, size_t size, int threads, statewise_error* error) {
  return guarded<statewise_network*>(error, nullptr, [&] {
    if (!data) throw statewise::runtime::Unfit("there is no memory to read");
    return network_of({static_cast<const char*>(data), size}, threads);
  });
}

void statewise_free(statewise_network* network) { delete network; }

size_t statewise_inputs(const statewise_network* network) { return network->network->inputs.size(); }
size_t statewise_results(const statewise_network* network) { return network->network->results.size(); }

statewise_port statewise_input(const statewise_network* network, size_t input) {
  return port_of(network->network->inputs, input);
}

statewise_port statewise_result(const statewise_network* network, size_t result) {
  return port_of(network->network->results, result);
}

size_t statewise_result_steps(const statewise_network* network, size_t result, size_t steps) {
  const size_t results = network->network->results.size();
  return guarded<size_t>(nullptr, 0, [&] {
    return result < results ? size_t(network->network->result_steps(result, int64_t(steps))) : 0;
  });
}

int statewise_streams(const statewise_network* network) { return network->network->whole.empty(); }

statewise_status statewise_run(const statewise_network* network, size_t steps, size_t rows, const int64_t* lengths,
                               const void* const* inputs, void* const* results, statewise_error* error) {
  return guarded<statewise_status>(error, STATEWISE_FAILED, [&] {
    if (!network) throw statewise::runtime::Unfit("there is no network");
    const statewise::runtime::Network& net = *network->network;
    if (!all_given(inputs, net.inputs.size()) || !all_given(results, net.results.size()))
      throw statewise::runtime::Unfit("there are fewer inputs or results than the network has");
    if (!countable(net.inputs, steps, rows) || !countable(net.results, steps, rows)) throw std::bad_alloc();
    for (size_t n = 0; lengths && n < rows; ++n)
      if (lengths[n] < 0 || lengths[n] > int64_t(steps))
        throw statewise::runtime::Unfit("a row's length is not among the steps");
    net.feed({int64_t(steps), int64_t(rows), lengths}, inputs, nullptr, nullptr, results);
    return STATEWISE_OK;
  });
}

statewise_stream* statewise_stream_new(const statewise_network* network, size_t rows, statewise_error* error) {
  return guarded<statewise_stream*>(error, nullptr, [&] {
    if (!network || rows < 1) throw statewise::runtime::Unfit("there is no network, or no row");
    if (!countable(network->network->inputs, 1, rows)) throw std::bad_alloc();
    return new statewise_stream{network->network, network->network->start(int64_t(rows))};
  });
}

void statewise_stream_free(statewise_stream* stream) { delete stream; }

STATEWISE_REALTIME void statewise_reset(statewise_stream* stream) { stream->stream->begin(); }

STATEWISE_REALTIME statewise_status statewise_step(statewise_stream* stream, const void* const* inputs,
                                                   void* const* results) {
  return stream->stream->step(1, inputs, results) ? STATEWISE_OK : STATEWISE_UNFIT;
}

STATEWISE_REALTIME statewise_status statewise_feed(statewise_stream* stream, size_t steps, const float* x, float* y) {
  const statewise::runtime::Network& net = *stream->network;
  if (!is_float(net.inputs) || !is_float(net.results)) return STATEWISE_UNFIT;
  const void* const inputs[] = {x};
  void* const results[] = {y};
  return stream->stream->step(int64_t(steps), inputs, results) ? STATEWISE_OK : STATEWISE_UNFIT;
}

size_t statewise_state_size(const statewise_stream* stream) { return size_t(stream->stream->state_bytes()); }

STATEWISE_REALTIME statewise_status statewise_state_save(const statewise_stream* stream, void* to, size_t size) {
  if (!to || size < statewise_state_size(stream) || reinterpret_cast<uintptr_t>(to) % 8) return STATEWISE_UNFIT;
  stream->stream->save(to);
  return STATEWISE_OK;
}

STATEWISE_REALTIME statewise_status statewise_state_load(statewise_stream* stream, const void* from, size_t size) {
  if (!from || reinterpret_cast<uintptr_t>(from) % 8) return STATEWISE_UNFIT;
  return stream->stream->load(from, int64_t(size)) ? STATEWISE_OK : STATEWISE_FOREIGN;
}

}  // extern "C"
