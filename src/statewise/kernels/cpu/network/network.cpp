#include "network.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace statewise {
namespace {

constexpr int64_t kFormat = 1;
constexpr uint32_t kStateFormat = 1;

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

template <class T>
class NetworkOf final : public Network {
 public:
  NetworkOf(const Json& content, const std::map<std::string, Tensor>& tensors, uint64_t mark, int threads)
      : mark_(mark) {
    std::vector<std::string> names;
    std::set<std::string> used;
    read_inputs(content, names);
    const Json* const entries = content.find("ops");
    if (!entries || !entries->is(Json::Kind::kList) || entries->items().empty())
      throw Damaged("expected the ops of a program");
    for (const Json& entry : entries->items()) {
      const Told<T> told(entry, tensors, used, threads);
      const std::vector<int> reads = places(entry.find("of"), names, told.name());
      if (std::find(names.begin(), names.end(), told.name()) != names.end()) told.refuse("a name of its own");
      std::vector<Form> given;
      for (int at : reads) given.push_back(forms_[size_t(at)]);
      ops_.push_back(make_op(told, given));
      ops_.back()->reads = reads;
      names.push_back(told.name());
      forms_.push_back(ops_.back()->form);
      if (!ops_.back()->streams && whole.empty()) whole = told.name() + " needs whole sequences";
    }
    for (const auto& [name, tensor] : tensors)
      if (!used.count(name)) throw Unsupported("nothing runs what " + name + " belongs to");
    results_ = places(content.find("results"), names, "results");
    for (int at : results_) {
      const Form& form = forms_[size_t(at)];
      results.push_back({names[size_t(at)], form, element_bytes<T>(form)});
    }
  }

  int64_t result_steps(size_t result, int64_t steps) const override {
    std::vector<int64_t> counts(inputs.size(), steps);
    for (const auto& op : ops_)
      counts.push_back(op->form.kind == Kind::kSummary ? 1 : op->left(counts[size_t(op->reads[0])]));
    return counts[size_t(results_[result])];
  }

  void run(int64_t steps, int64_t rows, const int64_t* lengths, const void* const* given,
           void* const* made) const override {
    std::vector<Value> values(inputs.size() + ops_.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      Value& value = values[i];
      value.form = inputs[i].form, value.steps = steps, value.data = given[i];
      value.lengths.assign(size_t(rows), steps);
      if (lengths) value.lengths.assign(lengths, lengths + rows);
      if (!fits(i, given[i], steps * rows)) throw Unfit(inputs[i].name + ": there is no such symbol");
    }
    for (size_t k = 0; k < ops_.size(); ++k) {
      std::vector<const Value*> read;
      for (int at : ops_[k]->reads) {
        read.push_back(&values[size_t(at)]);
        if (read.back()->steps != read[0]->steps) throw Unfit(ops_[k]->name + ": what it reads has different lengths");
      }
      values[inputs.size() + k] = ops_[k]->run(read, rows);
    }
    for (size_t i = 0; i < results.size(); ++i) {
      const Value& value = values[size_t(results_[i])];
      const bool summary = value.form.kind == Kind::kSummary;
      const int64_t bytes = bytes_of_row(results[i]), count = summary ? 1 : value.steps;
      std::memcpy(made[i], value.data, size_t(count * rows * bytes));
      for (int64_t n = 0; !summary && n < rows; ++n)
        for (int64_t t = value.lengths[size_t(n)]; t < count; ++t)
          std::memset(static_cast<char*>(made[i]) + (t * rows + n) * bytes, 0, size_t(bytes));
    }
  }

  std::unique_ptr<Stream> start(int64_t rows) const override {
    if (!whole.empty()) throw Unfit(whole + ", and can't read a step at a time");
    return std::make_unique<StreamOf>(*this, rows);
  }

 private:
  class StreamOf final : public Stream {
   public:
    StreamOf(const NetworkOf& network, int64_t rows) : net_(network), rows_(rows) {
      values_.resize(net_.inputs.size() + net_.ops_.size());
      for (size_t k = 0; k < net_.ops_.size(); ++k) {
        const Op<T>& op = *net_.ops_[k];
        workers_.push_back(op.work(rows));
        size_ += workers_.back()->state_size();
        own_.emplace_back(size_t(rows * op.form.row() * element_bytes<T>(op.form)) + 64);
        values_[net_.inputs.size() + k] = own_.back().data();
        given_.emplace_back(op.reads.size());
      }
      begin();
    }

    void begin() override {
      for (auto& worker : workers_) worker->begin();
    }

    bool step(const void* const* inputs, void* const* results) override {
      const size_t first = net_.inputs.size();
      for (size_t i = 0; i < first; ++i) {
        values_[i] = inputs[i];
        if (!net_.fits(i, inputs[i], rows_)) return false;
      }
      // The last op, if nothing else wants what it gives, writes to the caller's memory.
      const size_t count = workers_.size();
      const bool direct = net_.results_.size() == 1 && size_t(net_.results_[0]) == first + count - 1;
      for (size_t k = 0; k < count; ++k) {
        const std::vector<int>& reads = net_.ops_[k]->reads;
        std::vector<const void*>& given = given_[k];
        for (size_t i = 0; i < reads.size(); ++i) given[i] = values_[size_t(reads[i])];
        void* const to = direct && k + 1 == count ? results[0] : own_[k].data();
        if (!workers_[k]->step(given.data(), to)) return false;
      }
      for (size_t i = 0; !direct && i < net_.results_.size(); ++i)
        std::memcpy(results[i], values_[size_t(net_.results_[i])], size_t(rows_ * bytes_of_row(net_.results[i])));
      return true;
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
    uint32_t checksum(const StateHeader& header, const char* numbers) const {
      const uint32_t first = crc32(&header.network, sizeof header - offsetof(StateHeader, network));
      return crc32(numbers, size_t(size_) * sizeof(T), first);
    }

    const NetworkOf& net_;
    int64_t rows_, size_ = 0;
    std::vector<std::unique_ptr<Worker<T>>> workers_;
    std::vector<std::vector<std::byte>> own_;
    std::vector<const void*> values_;
    std::vector<std::vector<const void*>> given_;
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
      names.push_back(name->text());
      forms_.push_back(form);
      inputs.push_back({name->text(), form, element_bytes<T>(form)});
    }
  }

  static std::vector<int> places(const Json* told, const std::vector<std::string>& names, const std::string& who) {
    if (!told) return {int(names.size()) - 1};
    std::vector<int> found;
    if (told->is(Json::Kind::kList))
      for (const Json& each : told->items()) {
        const auto at = std::find(names.begin(), names.end(), each.text());
        if (!each.is(Json::Kind::kText) || at == names.end())
          throw Damaged(who + ": expected names of values before it");
        found.push_back(int(at - names.begin()));
      }
    if (found.empty()) throw Damaged(who + ": expected names of values before it");
    return found;
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
  const Json& content = *file.told.find("content");
  bool any = false, wide = true;
  for (const auto& [name, tensor] : file.tensors)
    if (tensor.dtype[0] == 'F' || tensor.dtype == "BF16") any = true, wide = wide && tensor.dtype == "F64";
  const uint64_t mark = fingerprint(data);
  if (any && wide) return std::make_unique<NetworkOf<double>>(content, file.tensors, mark, threads);
  return std::make_unique<NetworkOf<float>>(content, file.tensors, mark, threads);
}

}  // namespace statewise
