#include "program.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "dlpack.hpp"
#include "network/network.hpp"
#include "python.hpp"

namespace nb = nanobind;

namespace statewise {

using runtime::CellNames;
using runtime::Extent;
using runtime::Form;
using runtime::Network;
using runtime::Part;
using runtime::Port;
using runtime::StateForm;
using runtime::StatePart;
using runtime::Tensor;
using FormKind = runtime::Kind;

namespace {

// Of what there are mostly few, without asking for memory.
template <class T>
class Few {
 public:
  explicit Few(size_t count)
      : more_(count > few_.size() ? count : 0), data_(more_.empty() ? few_.data() : more_.data()) {}
  T* data() { return data_; }
  T& operator[](size_t i) { return data_[i]; }

 private:
  std::array<T, 12> few_{};
  std::vector<T> more_;
  T* data_;
};

// An array's memory while it is read.
class Buffer {
 public:
  explicit Buffer(nb::handle array) {
    if (PyObject_GetBuffer(array.ptr(), &buffer_, PyBUF_C_CONTIGUOUS) != 0) nb::raise_python_error();
  }
  ~Buffer() { PyBuffer_Release(&buffer_); }
  Buffer(const Buffer&) = delete;
  Tensor tensor(std::string dtype) const {
    Tensor made{std::move(dtype), {}, static_cast<const char*>(buffer_.buf), 1};
    for (int k = 0; k < buffer_.ndim; ++k) {
      made.shape.push_back(buffer_.shape[k]);
      made.count *= buffer_.shape[k];
    }
    return made;
  }

 private:
  Py_buffer buffer_;
};

char kind_of(const Port& port) { return port.form.kind == FormKind::kSymbols ? 'q' : port.element == 8 ? 'd' : 'f'; }

const char* name_of(FormKind kind) {
  return kind == FormKind::kSymbols ? "symbols" : kind == FormKind::kSummary ? "summary" : "values";
}

template <class Work>
auto in_words(const Work& work) {
  try {
    return work();
  } catch (const runtime::Damaged& error) {
    throw nb::value_error(error.what());
  } catch (const runtime::Unsupported& error) {
    throw nb::value_error(error.what());
  } catch (const runtime::Unfit& error) {
    throw nb::value_error(error.what());
  }
}

nb::list listed(const std::vector<std::string>& names) {
  nb::list made;
  for (const std::string& name : names) made.append(name);
  return made;
}

}  // namespace

// What a call reads and makes, and the arrays that have it.
class Program::Call {
 public:
  explicit Call(const Network& network)
      : net_(network),
        given_(network.inputs.size()),
        made_(network.results.size()),
        before_(count(network)),
        after_(count(network)) {}

  // An input: whether it is what the network reads, of steps or of a single one.
  bool read(size_t i, nb::handle x, bool over_time) {
    const Port& port = net_.inputs[i];
    const bool symbols = port.form.kind == FormKind::kSymbols;
    Array array;
    if (!read_array(x, array) || array.kind != kind_of(port) || array.rank != over_time + 2 - symbols) return false;
    if (!symbols && array.sizes[array.rank - 1] != port.form.width) return false;
    const int64_t steps = over_time ? array.sizes[0] : 1, rows = array.sizes[over_time];
    if (i == 0) extent_ = {steps, rows, nullptr};
    if (steps != extent_.steps || rows != extent_.rows) return false;
    if (!array.dense) copies_.push_back(dense_copy(x, array));
    for (int64_t k = 0; symbols && k < steps * rows; ++k) {
      const int64_t symbol = reinterpret_cast<const int64_t*>(array.data)[k];
      if (symbol < 0 || symbol >= port.form.width) return false;
    }
    given_[i] = array.data;
    return true;
  }

  void read_lengths(nb::handle lengths) {
    Array array;
    if (!read_array(lengths, array) || array.kind != 'q' || array.rank != 1 || array.sizes[0] != extent_.rows)
      throw nb::value_error("lengths: expected a whole number for each row");
    if (!array.dense) copies_.push_back(dense_copy(lengths, array));
    extent_.lengths = reinterpret_cast<const int64_t*>(array.data);
    for (int64_t n = 0; n < extent_.rows; ++n)
      if (extent_.lengths[n] < 0 || extent_.lengths[n] > extent_.steps)
        throw nb::value_error("lengths: expected numbers of steps that there are");
  }

  void read_state(nb::handle state) {
    const std::vector<Part>& parts = net_.parts;
    if (!PyTuple_Check(state.ptr()) || size(state) != Py_ssize_t(parts.size()))
      throw nb::value_error("the state doesn't fit: expected what start, feed or step of this network gave");
    size_t k = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      const nb::handle each = item(state, Py_ssize_t(i));
      if (!PyTuple_Check(each.ptr()) || size(each) != Py_ssize_t(parts[i].states.size()))
        throw nb::value_error("the state doesn't fit: expected what start, feed or step of this network gave");
      for (size_t j = 0; j < parts[i].states.size(); ++j, ++k)
        read_part(parts[i], parts[i].states[j], item(each, Py_ssize_t(j)), before_[k]);
    }
    has_state_ = true;
  }

  // New arrays for the state and the results.
  nb::object make_state(nb::handle before) {
    const std::vector<Part>& parts = net_.parts;
    nb::object state = new_tuple(Py_ssize_t(parts.size()));
    size_t k = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      nb::object each = new_tuple(Py_ssize_t(parts[i].states.size()));
      for (size_t j = 0; j < parts[i].states.size(); ++j, ++k) {
        const StateForm& form = parts[i].states[j];
        if (form.memory && before.is_valid() && !before.is_none())
          put(each, Py_ssize_t(j), nb::borrow(item(item(before, Py_ssize_t(i)), Py_ssize_t(j))));
        else
          put(each, Py_ssize_t(j), made_state(form, after_[k]));
      }
      put(state, Py_ssize_t(i), std::move(each));
    }
    wants_state_ = true;
    return state;
  }

  nb::object make_result(size_t i, bool over_time, nb::handle state) {
    const int at = state.is_valid() && !over_time ? net_.state_of_result(i) : -1;
    if (at >= 0) {
      made_[i] = after_[size_t(at)];
      return state_array(state, size_t(at));
    }
    const Port& port = net_.results[i];
    int64_t sizes[kMostAxes];
    int rank = 0;
    if (over_time && port.form.kind != FormKind::kSummary) sizes[rank++] = net_.result_steps(i, extent_.steps);
    sizes[rank++] = extent_.rows;
    if (port.form.kind != FormKind::kSymbols) sizes[rank++] = port.form.width;
    return new_array(kind_of(port), rank, sizes, made_[i]);
  }

  // The state of rows that have read nothing.
  void begin() {
    for (size_t k = 0; k < count(net_); ++k) net_.begin(k, extent_.rows, after_[k]);
  }

  void run() {
    const double work = net_.work() / 4 * double(extent_.steps) * double(extent_.rows);
    without_interpreter(work, [&] {
      net_.feed(extent_, given_.data(), has_state_ ? before_.data() : nullptr, wants_state_ ? after_.data() : nullptr,
                made_.data());
    });
  }

  static size_t count(const Network& network) {
    size_t all = 0;
    for (const Part& part : network.parts) all += part.states.size();
    return all;
  }

  Extent extent_{};

 private:
  char kind() const { return net_.float64 ? 'd' : 'f'; }

  void read_part(const Part& part, const StateForm& form, nb::handle given, StatePart& to) {
    Array array;
    const bool fits = read_array(given, array) && array.kind == kind() && array.rank == 3 - form.flat &&
                      (form.flat || form.memory || array.sizes[0] == form.depth) &&
                      array.sizes[array.rank - 2] == extent_.rows && array.sizes[array.rank - 1] == form.width;
    if (!fits)
      throw nb::value_error((part.name + ": the state doesn't fit: x has " + std::to_string(extent_.rows) +
                             " rows, the state is " + said(array) + (array.kind == 'd' ? " in float64" : ""))
                                .c_str());
    if (!array.dense) copies_.push_back(dense_copy(given, array));
    to = {array.data, form.flat ? 1 : array.sizes[0]};
  }

  nb::object made_state(const StateForm& form, void*& data) const {
    const int64_t sizes[] = {form.depth, extent_.rows, form.width};
    return new_array(kind(), 3 - form.flat, sizes + form.flat, data);
  }

  nb::object state_array(nb::handle state, size_t at) const {
    for (size_t i = 0; i < net_.parts.size(); ++i) {
      const size_t own = net_.parts[i].states.size();
      if (at < own) return nb::borrow(item(item(state, Py_ssize_t(i)), Py_ssize_t(at)));
      at -= own;
    }
    return nb::none();
  }

  const Network& net_;
  Few<const void*> given_;
  Few<void*> made_;
  Few<StatePart> before_;
  Few<void*> after_;
  bool has_state_ = false, wants_state_ = false;
  std::vector<nb::object> copies_;  // of arrays that didn't lie right, while they are read
};

Program::Program(const std::string& program, nb::dict tensors, nb::dict cells, int threads) : set_(&instruction_set()) {
  std::map<std::string, CellNames> names;
  for (auto [name, told] : cells) {
    auto [number, states, weights] =
        nb::cast<std::tuple<int, std::vector<std::string>, std::vector<std::string>>>(told);
    names[nb::cast<std::string>(name)] = {number, std::move(states), std::move(weights)};
  }
  std::vector<std::unique_ptr<Buffer>> buffers;
  std::map<std::string, Tensor> lent;
  for (auto [name, told] : tensors) {
    auto [dtype, array] = nb::cast<std::tuple<std::string, nb::object>>(told);
    buffers.push_back(std::make_unique<Buffer>(array));
    lent.emplace(nb::cast<std::string>(name), buffers.back()->tensor(dtype));
  }
  network_ = in_words([&] { return runtime::make_network(runtime::Json::parse(program), lent, names, threads); });
}

Program::~Program() = default;

bool Program::float64() const { return network_->float64; }
const std::string& Program::whole() const { return network_->whole; }

nb::list Program::parts() const {
  nb::list made;
  for (const Part& part : network_->parts)
    made.append(nb::make_tuple(part.name, part.op, name_of(part.form.kind), part.form.width, part.keeps_steps));
  return made;
}

nb::list Program::results() const {
  nb::list made;
  for (const Port& port : network_->results) made.append(nb::make_tuple(name_of(port.form.kind), port.form.width));
  return made;
}

nb::object Program::start(int64_t rows) const {
  Call call(*network_);
  call.extent_ = {1, rows, nullptr};
  nb::object state = call.make_state(nb::handle());
  call.begin();
  return state;
}

nb::object Program::feed(nb::tuple x, nb::handle state, nb::handle lengths, bool wanted) const {
  Call call(*network_);
  for (size_t i = 0; i < network_->inputs.size(); ++i)
    if (size(x) != Py_ssize_t(network_->inputs.size()) || !call.read(i, item(x, Py_ssize_t(i)), true))
      throw nb::value_error("expected inputs that the network reads");
  if (!lengths.is_none()) call.read_lengths(lengths);
  if (!state.is_none()) call.read_state(state);
  nb::object after = wanted ? call.make_state(state) : nb::none(),
             results = new_tuple(Py_ssize_t(network_->results.size()));
  for (size_t i = 0; i < network_->results.size(); ++i)
    put(results, Py_ssize_t(i), call.make_result(i, true, nb::handle()));
  in_words([&] { call.run(); });
  nb::object both = new_tuple(2);
  put(both, 0, std::move(results));
  put(both, 1, std::move(after));
  return both;
}

nb::object Program::step(nb::handle x, nb::handle state) const {
  if (!is_current()) return nb::none();
  Call call(*network_);
  const size_t inputs = network_->inputs.size(), results = network_->results.size();
  if (inputs == 1) {
    if (!call.read(0, x, false)) return nb::none();
  } else {
    if (!PyTuple_Check(x.ptr()) || size(x) != Py_ssize_t(inputs)) return nb::none();
    for (size_t i = 0; i < inputs; ++i)
      if (!call.read(i, item(x, Py_ssize_t(i)), false)) return nb::none();
  }
  call.read_state(state);
  nb::object both = new_tuple(2), after = call.make_state(state);
  if (results == 1) {
    put(both, 0, call.make_result(0, false, after));
  } else {
    nb::object all = new_tuple(Py_ssize_t(results));
    for (size_t i = 0; i < results; ++i) put(all, Py_ssize_t(i), call.make_result(i, false, after));
    put(both, 0, std::move(all));
  }
  in_words([&] { call.run(); });
  put(both, 1, std::move(after));
  return both;
}

nb::list op_names() { return listed(runtime::op_names()); }
nb::list activation_names() { return listed(runtime::activation_names()); }
int64_t most_around() { return runtime::kMostAround; }
double never() { return runtime::kNever; }

}  // namespace statewise
