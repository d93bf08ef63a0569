#include "network.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "../memory.hpp"

namespace statewise::runtime {
namespace {

constexpr int64_t kFormat = 1;
constexpr uint32_t kStateFormat = 2;
constexpr int64_t kLine = 64, kKeptBytes = 1 << 20;  // of a cache; that lie ready for the next call
constexpr size_t kMostShown = 200;
constexpr int64_t kTogether = 32;  // rows, of all steps that a stream makes at once

// What a state begins with.
struct StateHeader {
  char magic[8];
  uint32_t format, crc;  // of all that follows
  uint64_t network;      // whose state it is
  int64_t rows, numbers, element;
};
constexpr char kMagic[] = "SWSTATE";

uint64_t fingerprint(std::string_view data) {  // FNV-1a
  uint64_t hash = 14695981039346656037u;
  for (char c : data) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

int64_t bytes_of_row(const Port& port) { return port.form.row() * port.element; }

// What the values of a call lie in, kept for the next one.
template <class T>
struct Frame {
  std::vector<const void*> values, given;
  std::vector<void*> made;
  std::vector<int64_t> steps;                        // of each value
  std::vector<const std::vector<int64_t>*> lengths;  // null: all, or a summary
  std::vector<std::vector<int64_t>> own;             // which lengths point to
  std::vector<T*> after;
  Memory memory;
  int64_t bytes = 0;
};

template <class T>
class NetworkOf final : public Network {
 public:
  NetworkOf(const Json& content, Materials materials, uint64_t mark) : mark_(mark) {
    std::vector<std::string> names;
    float64 = sizeof(T) == 8;
    read_inputs(content, names);
    const Json* const entries = content.find("ops");
    if (!entries || !entries->is(Json::Kind::kList) || entries->items().empty())
      throw Damaged("expected the ops of a program");
    for (const Json& entry : entries->items()) {
      const Told<T> told(entry, materials);
      const std::vector<int> reads = places(entry.find("of"), names, told.name() + ": expected of");
      if (std::find(names.begin(), names.end(), told.name()) != names.end())
        told.refuse("a name of its own", "'" + told.name() + "'");
      std::vector<Form> given;
      for (int at : reads) given.push_back(forms_[size_t(at)]);
      ops_.push_back(make_op(told, given));
      Op<T>& op = *ops_.back();
      op.reads = reads;
      names.push_back(told.name());
      forms_.push_back(op.form);
      parts.push_back({op.name, op.op, op.form, op.states, op.keeps_steps});
      first_state_.push_back(states_);
      states_ += op.states.size();
      if (!op.streams && whole.empty())
        whole = op.name + ": " + op.op + ": it needs whole sequences, and can't read a step at a time";
    }
    for (const auto& [name, tensor] : materials.tensors) {
      if (!materials.used.count(name)) throw Unsupported("the runtime can't run what " + name + " belongs to");
      work_ += double(tensor.count);
    }
    results_ = places(content.find("results"), names, "expected results");
    for (int at : results_) {
      const Form& form = forms_[size_t(at)];
      results.push_back({names[size_t(at)], form, element_bytes<T>(form)});
    }
  }

  ~NetworkOf() override { delete spare_.load(); }

  int64_t result_steps(size_t result, int64_t steps) const override {
    std::vector<int64_t> counts(inputs.size(), steps);
    for (const auto& op : ops_)
      counts.push_back(op->form.kind == Kind::kSummary ? 1 : op->left(counts[size_t(op->reads[0])]));
    return counts[size_t(results_[result])];
  }

  int state_of_result(size_t result) const override {
    const int64_t op = results_[result] - int64_t(inputs.size());
    return op >= 0 && ops_[size_t(op)]->gives_state ? int(first_state_[size_t(op)]) : -1;
  }

  void begin(size_t k, int64_t rows, void* to) const override {
    for (size_t op = ops_.size(); op-- > 0;)
      if (k >= first_state_[op]) return ops_[op]->begin(k - first_state_[op], rows, static_cast<T*>(to));
  }

  double work() const override { return work_; }

  void feed(const Extent& extent, const void* const* given, const StatePart* before, void* const* after,
            void* const* made) const override {
    struct Lent {
      const NetworkOf& net;
      std::unique_ptr<Frame<T>> frame{net.spare_.exchange(nullptr)};
      ~Lent() {
        if (!frame || frame->bytes > kKeptBytes) return;
        Frame<T>* none = nullptr;
        if (net.spare_.compare_exchange_strong(none, frame.get())) frame.release();
      }
    } lent{*this};
    if (!lent.frame) lent.frame = std::make_unique<Frame<T>>();
    Frame<T>& f = *lent.frame;
    T* const room = lay_out(f, extent, given, after, made);
    for (size_t k = 0; k < ops_.size(); ++k) {
      const Op<T>& op = *ops_[k];
      f.given.clear();
      for (int at : op.reads) f.given.push_back(f.values[size_t(at)]);
      const size_t first = first_state_[k];
      f.after.clear();
      for (size_t s = 0; after && s < op.states.size(); ++s) f.after.push_back(static_cast<T*>(after[first + s]));
      if (!op.feed(extent_of(f, size_t(op.reads[0]), extent.rows), f.given.data(), before ? before + first : nullptr,
                   after ? f.after.data() : nullptr, f.made[k], room))
        throw Unfit(op.name + ": values are missing (NaN), and the network has learnt without");
    }
    for (size_t i = 0; i < results.size(); ++i) give(f, i, extent.rows, made[i]);
  }

  std::unique_ptr<Stream> start(int64_t rows) const override {
    if (!whole.empty()) throw Unfit(whole);
    return std::make_unique<StreamOf>(*this, rows);
  }

 private:
  // Where the values lie: those that are results, or states after a single step, with the caller; the memory for what
  // ops need room for comes back.
  T* lay_out(Frame<T>& f, const Extent& extent, const void* const* given, void* const* after, void* const* made) const {
    const size_t first = inputs.size(), count = first + ops_.size();
    f.values.resize(count), f.steps.resize(count), f.lengths.resize(count), f.made.resize(ops_.size());
    if (extent.lengths && f.own.size() < count + 1) f.own.resize(count + 1);
    for (size_t i = 0; i < first; ++i) {
      if (!fits(i, given[i], extent.steps * extent.rows)) throw Unfit(inputs[i].name + ": there is no such symbol");
      f.values[i] = given[i], f.steps[i] = extent.steps, f.lengths[i] = nullptr;
      if (!extent.lengths) continue;
      if (i == 0) f.own[0].assign(extent.lengths, extent.lengths + extent.rows);
      f.lengths[i] = &f.own[0];
    }
    int64_t bytes = 0, room = 0;
    for (size_t k = 0; k < ops_.size(); ++k) {
      const Op<T>& op = *ops_[k];
      const size_t read = size_t(op.reads[0]), at = first + k;
      for (int each : op.reads)
        if (f.steps[size_t(each)] != f.steps[read]) throw Unfit(op.name + ": what it reads has different lengths");
      const bool summary = op.form.kind == Kind::kSummary;
      f.steps[at] = summary ? 1 : op.left(f.steps[read]);
      f.lengths[at] = summary ? nullptr : f.lengths[read];
      if (f.lengths[at] && !op.keeps_steps) {
        f.own[at + 1].clear();
        for (int64_t length : *f.lengths[read]) f.own[at + 1].push_back(op.left(length));
        f.lengths[at] = &f.own[at + 1];
      }
      const bool is_state = op.gives_state && after && (summary || (f.steps[at] == 1 && !f.lengths[at]));
      f.made[k] = is_state ? after[first_state_[k]] : nullptr;
      for (size_t i = 0; i < results_.size() && !f.made[k]; ++i)
        if (size_t(results_[i]) == at) f.made[k] = made[i];
      room = std::max(room, op.room(extent_of(f, read, extent.rows)));
      if (!f.made[k]) bytes += padded(f, at, extent.rows);
    }
    const int64_t all = bytes + room * int64_t(sizeof(T)) + kLine;
    if (all > f.bytes) {
      f.bytes = 0;
      f.memory = line_memory(all);
      f.bytes = all;
    }
    char* to = static_cast<char*>(f.memory.get());
    for (size_t k = 0; k < ops_.size(); ++k) {
      if (!f.made[k]) {
        f.made[k] = to;
        to += padded(f, first + k, extent.rows);
      }
      f.values[first + k] = f.made[k];
    }
    return reinterpret_cast<T*>(to);
  }

  int64_t padded(const Frame<T>& f, size_t value, int64_t rows) const {
    const Form& form = forms_[value];
    return (f.steps[value] * rows * form.row() * element_bytes<T>(form) + kLine - 1) / kLine * kLine;
  }

  static Extent extent_of(const Frame<T>& f, size_t value, int64_t rows) {
    return {f.steps[value], rows, f.lengths[value] ? f.lengths[value]->data() : nullptr};
  }

  // To the caller's memory, unless it is there already, with zeros past a row's end.
  void give(const Frame<T>& f, size_t result, int64_t rows, void* to) const {
    const size_t at = size_t(results_[result]);
    const Extent extent = extent_of(f, at, rows);
    const int64_t bytes = bytes_of_row(results[result]);
    if (f.values[at] != to && extent.steps > 0 && rows > 0)
      std::memcpy(to, f.values[at], size_t(extent.steps * rows * bytes));
    for (int64_t n = 0; extent.lengths && n < rows; ++n)
      for (int64_t t = extent.lengths[n]; t < extent.steps; ++t)
        std::memset(static_cast<char*>(to) + (t * rows + n) * bytes, 0, size_t(bytes));
  }

  class StreamOf final : public Stream {
   public:
    StreamOf(const NetworkOf& network, int64_t rows)
        : net_(network), rows_(rows), most_(std::max<int64_t>(1, kTogether / rows)) {
      for (const Part& part : net_.parts)
        for (const StateForm& each : part.states)
          if (each.memory) throw Unfit(part.name + ": its memory isn't a stream's");
      for (const Form& form : net_.forms_) bytes_.push_back(rows * form.row() * element_bytes<T>(form));
      values_.resize(bytes_.size());
      for (size_t k = 0; k < net_.ops_.size(); ++k) {
        const Op<T>& op = *net_.ops_[k];
        workers_.push_back(op.work(rows, most_));
        size_ += workers_.back()->state_size();
        together_.push_back(workers_.back()->most());
        own_.emplace_back(size_t(most_ * bytes_[net_.inputs.size() + k]) + 64);
        values_[net_.inputs.size() + k] = own_.back().data();
        given_.emplace_back(op.reads.size());
      }
      inputs_.resize(net_.inputs.size()), results_.resize(net_.results.size());
      direct_ = net_.results_.size() == 1 && size_t(net_.results_[0]) + 1 == values_.size();
      begin();
    }

    void begin() override {
      for (auto& worker : workers_) worker->begin();
    }

    bool step(int64_t steps, const void* const* inputs, void* const* results) override {
      return steps <= most_ ? step_together(steps, inputs, results) : step_in_blocks(steps, inputs, results);
    }

    int64_t rows() const override { return rows_; }
    int64_t state_bytes() const override { return int64_t(sizeof(StateHeader)) + size_ * int64_t(sizeof(T)); }

    void save(void* to) const override {
      StateHeader header{{}, kStateFormat, 0, net_.mark_, rows_, size_, int64_t(sizeof(T))};
      std::memcpy(header.magic, kMagic, sizeof header.magic);
      char* const numbers = static_cast<char*>(to) + sizeof header;
      char* at = numbers;
      for (const auto& worker : workers_) {
        worker->save(reinterpret_cast<T*>(at));
        at += worker->state_size() * int64_t(sizeof(T));
      }
      header.crc = checksum(header, numbers);
      std::memcpy(to, &header, sizeof header);
    }

    bool load(const void* from, int64_t bytes) override {
      StateHeader header;
      if (bytes != state_bytes()) return false;
      std::memcpy(&header, from, sizeof header);
      const char* at = static_cast<const char*>(from) + sizeof header;
      if (std::memcmp(header.magic, kMagic, sizeof header.magic) != 0 || header.format != kStateFormat) return false;
      if (header.network != net_.mark_ || header.rows != rows_ || header.numbers != size_ ||
          header.element != int64_t(sizeof(T)) || header.crc != checksum(header, at))
        return false;
      for (const auto& worker : workers_) {
        worker->load(reinterpret_cast<const T*>(at));
        at += worker->state_size() * int64_t(sizeof(T));
      }
      return true;
    }

   private:
    // What a single step doesn't need isn't inlined into it.
    __attribute__((noinline)) bool step_in_blocks(int64_t steps, const void* const* inputs, void* const* results) {
      for (int64_t t = 0; t < steps; t += most_) {
        for (size_t i = 0; i < inputs_.size(); ++i) inputs_[i] = moved(inputs[i], t * bytes_[i]);
        for (size_t i = 0; i < results_.size(); ++i)
          results_[i] = moved(results[i], t * bytes_[size_t(net_.results_[i])]);
        if (!step_together(std::min(most_, steps - t), inputs_.data(), results_.data())) return false;
      }
      return true;
    }

    // Up to most_ steps, op by op.
    bool step_together(int64_t steps, const void* const* inputs, void* const* results) {
      const size_t first = net_.inputs.size(), count = workers_.size();
      for (size_t i = 0; i < first; ++i) {
        values_[i] = const_cast<void*>(inputs[i]);
        if (!net_.fits(i, values_[i], steps * rows_)) return false;
      }
      if (direct_) values_.back() = results[0];
      for (size_t k = 0; k < count; ++k) {
        const std::vector<int>& reads = net_.ops_[k]->reads;
        const void** const given = given_[k].data();
        for (size_t i = 0; i < reads.size(); ++i) given[i] = values_[size_t(reads[i])];
        if (steps > together_[k] ? !step_in_turn(k, steps) : !workers_[k]->step(steps, given, values_[first + k]))
          return false;
      }
      for (size_t i = 0; !direct_ && i < net_.results_.size(); ++i) {
        const size_t at = size_t(net_.results_[i]);
        std::memcpy(results[i], values_[at], size_t(steps * bytes_[at]));
      }
      return true;
    }

    __attribute__((noinline)) bool step_in_turn(size_t op, int64_t steps) {
      const std::vector<int>& reads = net_.ops_[op]->reads;
      const size_t at = net_.inputs.size() + op;
      for (int64_t t = 0; t < steps; t += together_[op]) {
        for (size_t i = 0; i < reads.size(); ++i)
          given_[op][i] = moved(values_[size_t(reads[i])], t * bytes_[size_t(reads[i])]);
        if (!workers_[op]->step(std::min(together_[op], steps - t), given_[op].data(),
                                moved(values_[at], t * bytes_[at])))
          return false;
      }
      return true;
    }

    static void* moved(const void* p, int64_t bytes) { return static_cast<char*>(const_cast<void*>(p)) + bytes; }

    uint32_t checksum(const StateHeader& header, const char* numbers) const {
      const uint32_t first = crc32(&header.network, sizeof header - offsetof(StateHeader, network));
      return crc32(numbers, size_t(size_) * sizeof(T), first);
    }

    const NetworkOf& net_;
    int64_t rows_, most_, size_ = 0;  // most_: steps that are made at once
    std::vector<int64_t> bytes_;      // of each value, of a step
    std::vector<std::unique_ptr<Worker<T>>> workers_;
    std::vector<std::vector<std::byte>> own_;
    std::vector<void*> values_, inputs_, results_;  // the latter: of some of more steps
    std::vector<std::vector<const void*>> given_;
    std::vector<int64_t> together_;  // steps that each op makes at once
    bool direct_;  // whether the last op, as nothing else wants what it gives, writes to the caller's memory
  };

  void read_inputs(const Json& content, std::vector<std::string>& names) {
    const Json* const told = content.find("inputs");
    if (!told || !told->is(Json::Kind::kList) || told->items().empty())
      throw Damaged("expected the inputs of a program");
    for (const Json& entry : told->items()) {
      const Json *const name = entry.find("name"), *const kind = entry.find("kind"), *const width = entry.find("width");
      Form form;
      if (!name || !kind || !width || !name->is(Json::Kind::kText) || !kind->is(Json::Kind::kText) ||
          !width->whole(1, form.width) || form.width > kWidest)
        throw Damaged("expected the name, the kind and the width of each input");
      if (kind->text() == "symbols")
        form.kind = Kind::kSymbols;
      else if (kind->text() == "exact")
        form.kind = Kind::kExact;
      else if (kind->text() != "values")
        throw Damaged("expected inputs to be values, exact or symbols");
      if (form.kind == Kind::kExact && sizeof(T) == 8) form.kind = Kind::kValues;  // which are as exact
      names.push_back(name->text());
      forms_.push_back(form);
      inputs.push_back({name->text(), form, element_bytes<T>(form)});
    }
  }

  // Where the values are that `told` names; by default the last one.
  static std::vector<int> places(const Json* told, const std::vector<std::string>& names, const std::string& expected) {
    if (!told) return {int(names.size()) - 1};
    std::vector<int> found;
    bool all = told->is(Json::Kind::kList);
    for (const Json& each : told->items()) {
      const auto at = std::find(names.begin(), names.end(), each.text());
      all = all && each.is(Json::Kind::kText) && at != names.end();
      found.push_back(int(at - names.begin()));
    }
    if (all && !found.empty()) return found;
    std::string known;
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    throw Damaged(expected + " to be among " + known.substr(0, kMostShown) + ", got " + said(told));
  }

  bool fits(size_t input, const void* given, int64_t count) const {
    const Form& form = inputs[input].form;
    if (form.kind != Kind::kSymbols) return true;
    const auto* const symbols = static_cast<const int64_t*>(given);
    return std::all_of(symbols, symbols + count, [&](int64_t s) { return s >= 0 && s < form.width; });
  }

  uint64_t mark_;
  std::vector<Form> forms_;
  std::vector<std::unique_ptr<Op<T>>> ops_;
  std::vector<int> results_;
  std::vector<size_t> first_state_;  // of each op among all states
  size_t states_ = 0;
  double work_ = 0;
  mutable std::atomic<Frame<T>*> spare_{nullptr};
};

}  // namespace

std::unique_ptr<Network> read_network(std::string_view data, int threads) {
  const File file = read_file(data);
  const Json *const kind = file.told.find("kind"), *const format = file.told.find("format");
  int64_t version = 0;
  if (!kind || !kind->is(Json::Kind::kText)) throw Damaged("expected a network");
  if (kind->text() != "network") throw Unsupported("the library runs networks, not a " + kind->text().substr(0, 40));
  if (!format || !format->whole(0, version) || version != kFormat)
    throw Unsupported("a network of another format than " + std::to_string(kFormat) + ", which this version reads");
  std::unique_ptr<Network> made =
      make_network(*file.told.find("content"), file.tensors, own_cells(), threads, fingerprint(data));
  for (const Part& part : made->parts)
    for (const StateForm& each : part.states)
      if (each.memory) throw Unsupported("there is no op " + part.op + " in the library");
  return made;
}

std::unique_ptr<Network> make_network(const Json& content, const std::map<std::string, Tensor>& tensors,
                                      const std::map<std::string, CellNames>& cells, int threads, uint64_t mark) {
  bool any = false, wide = true;
  for (const auto& [name, tensor] : tensors)
    if (tensor.dtype[0] == 'F' || tensor.dtype == "BF16") any = true, wide = wide && tensor.dtype == "F64";
  if (any && wide) return std::make_unique<NetworkOf<double>>(content, Materials{tensors, cells, threads}, mark);
  return std::make_unique<NetworkOf<float>>(content, Materials{tensors, cells, threads}, mark);
}

}  // namespace statewise::runtime
