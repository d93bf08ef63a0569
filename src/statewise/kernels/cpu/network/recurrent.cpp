// Stacks of recurrent layers, by the kernels.

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../memory.hpp"
#include "../stack.hpp"
#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

template <class T>
class Recurrent final : public Op<T> {
 public:
  Recurrent(const Told<T>& told, const std::vector<Form>& given) {
    const Form& read = steps(told, given);
    const std::string cell = told.word("cell");
    const auto known = told.cells().find(cell);
    if (known == told.cells().end()) throw Unsupported(told.name() + ": no cell is called " + cell);
    const CellNames& names = known->second;
    call_.cell = names.number;
    const CellShape& shape = cell_of(instruction_set(), call_.cell).shape;
    if (int(names.states.size()) != shape.states) throw Unsupported(told.name() + ": no cell is called " + cell);
    describe(told, shape, read.width);
    std::vector<std::string> suffixes;
    for (int64_t l = 0; l < call_.L; ++l)
      for (int64_t d = 0; d < call_.D; ++d) suffixes.push_back("_l" + std::to_string(l) + (d ? "_reverse" : ""));
    pack_weights(told, shape, names.weights, suffixes);
    const int64_t depth = call_.L * call_.D;
    for (int k = 0; k < shape.states; ++k) {
      const int64_t width = k == 0 && !shape.carries_h && call_.projected ? call_.projected : call_.H;
      this->states.push_back({depth, width, depth == 1 && !call_.projected});
      if (!told.flag("initial")) continue;
      initial_.emplace_back();
      for (const std::string& suffix : suffixes) {
        const std::vector<T> one = told.array("initial_" + names.states[size_t(k)] + suffix, {width});
        initial_.back().insert(initial_.back().end(), one.begin(), one.end());
      }
    }
    this->form = {call_.D * (call_.projected ? call_.projected : call_.H)};
    this->streams = call_.D == 1, this->gives_state = this->states[0].flat;
  }

  void begin(size_t k, int64_t rows, T* to) const override {
    if (initial_.empty()) return Op<T>::begin(k, rows, to);
    const int64_t width = this->states[k].width;
    for (int64_t i = 0; i < this->states[k].depth * rows; ++i, to += width)
      std::copy_n(initial_[k].data() + i / rows * width, width, to);
  }

  bool feed(const Extent& extent, const void* const* given, const StatePart* before, T* const* after, void* result,
            T*) const override {
    const int64_t width = this->form.width, rows = extent.rows;
    const size_t count = this->states.size();
    if (!extent.steps || !rows) {
      for (size_t k = 0; after && k < count; ++k) {
        const int64_t size = this->states[k].depth * rows * this->states[k].width;
        before ? void(std::copy_n(static_cast<const T*>(before[k].data), size, after[k])) : begin(k, rows, after[k]);
      }
      return true;
    }
    std::vector<T> first[kMaxStates];
    const void* begun[kMaxStates]{};
    for (size_t k = 0; k < count; ++k) {
      begun[k] = before ? before[k].data : nullptr;
      if (before || initial_.empty()) continue;
      first[k].resize(size_t(this->states[k].depth * rows * this->states[k].width));
      begin(k, rows, first[k].data());
      begun[k] = first[k].data();
    }
    if (step_of_one_row(extent, given[0], begun, after, result)) return true;
    Call call = call_;
    call.T = extent.steps, call.N = rows;
    for (int64_t n = 0; extent.lengths && n < rows; ++n)
      if (extent.lengths[n] < extent.steps) call.lengths = extent.lengths;
    call.x = {const_cast<void*>(given[0]), rows * call.I, call.I};
    call.y = {result, rows * width, width};
    for (size_t k = 0; k < count; ++k)
      call.state[k].initial = const_cast<void*>(begun[k]), call.state[k].final = after ? after[k] : nullptr;
    forward(call);
    return true;
  }

  std::unique_ptr<Worker<T>> work(int64_t rows, int64_t most) const override {
    struct Works final : Worker<T> {
      Works(const Recurrent& recurrent, int64_t n, int64_t at_once)
          : op(recurrent), together(at_once), stepper(op.stepper(n, at_once)) {
        for (const StateForm& each : op.states) sizes.push_back(each.depth * n * each.width);
        for (size_t k = 0; k < sizes.size(); ++k) {
          first.emplace_back(sizes[k]);
          op.begin(k, n, first[k].data());
        }
        begin();
      }
      void begin() override {
        for (size_t k = 0; k < sizes.size(); ++k) stepper.set(int(k), first[k].data());
      }
      int64_t most() const override { return together; }
      bool step(int64_t steps, const void* const* given, void* result) override {
        stepper.step(given[0], result, steps);
        return true;
      }
      int64_t state_size() const override {
        int64_t size = 0;
        for (int64_t each : sizes) size += each;
        return size;
      }
      void save(T* to) const override {
        for (size_t k = 0; k < sizes.size(); to += sizes[k++]) stepper.get(int(k), to);
      }
      void load(const T* from) override {
        for (size_t k = 0; k < sizes.size(); from += sizes[k++]) stepper.set(int(k), from);
      }
      const Recurrent& op;
      int64_t together;
      Stepper stepper;
      std::vector<int64_t> sizes;
      std::vector<Numbers<T>> first;
    };
    return std::make_unique<Works>(*this, rows, most);
  }

 private:
  Stepper stepper(int64_t rows, int64_t most) const {
    Call call = call_;
    call.T = most, call.N = rows;
    return Stepper(call);
  }

  // A step of one row is planned once and for all, and one thread at a time makes it so. False, and nothing has
  // happened, for anything else, and where another thread is at it.
  bool step_of_one_row(const Extent& extent, const void* x, const void* const* before, T* const* after,
                       void* result) const {
    if (extent.steps != 1 || extent.rows != 1 || call_.D != 1 || extent.of(0) != 1) return false;
    if (taken_.test_and_set(std::memory_order_acquire)) return false;
    struct Release {
      std::atomic_flag& taken;
      ~Release() { taken.clear(std::memory_order_release); }
    } const release{taken_};
    if (!one_row_) one_row_ = std::make_unique<Stepper>(stepper(1, 1));
    const int count = int(this->states.size());
    for (int k = 0; k < count; ++k) one_row_->set(k, before[k]);
    one_row_->step(x, result);
    for (int k = 0; after && k < count; ++k)
      if (after[k] != result) one_row_->get(k, after[k]);
    return true;
  }

  void describe(const Told<T>& told, const CellShape& shape, int64_t width) {
    call_.float64 = sizeof(T) == 8;
    const std::string kept = told.find("dtype") ? told.word("dtype") : "float32";
    if (kept == "bfloat16") call_.stored = Stored::kBfloat16;
    if (kept == "int8") call_.stored = Stored::kInt8;
    if (kept != "float32" && call_.stored == Stored::kNumbers)
      told.refuse("dtype to be float32, bfloat16 or int8", said(told.find("dtype")));
    if (call_.float64 && call_.stored != Stored::kNumbers)
      told.refuse("float32 weights, to keep them in fewer bits", "float64");
    call_.threads = told.threads();
    call_.I = width, call_.H = told.count("hidden_size"), call_.projected = told.count("proj_size", 0, 0);
    call_.L = told.count("num_layers", 1, 1), call_.D = told.flag("bidirectional") ? 2 : 1;
    call_.heads = told.count("num_heads", 1, 1), call_.bias = told.flag("bias", true);
    call_.clip = told.number("clip", 0);
    const int64_t most = int64_t(told.tensors());
    if (call_.L > most) told.refuse("as many layers as there are weights", std::to_string(call_.L));
    if (const Json* zoneout = told.find("zoneout")) {
      const std::vector<Json>& each = zoneout->items();
      if (!zoneout->is(Json::Kind::kList) || (!each.empty() && int(each.size()) != shape.states))
        told.refuse("zoneout of each state", said(zoneout));
      for (size_t k = 0; k < each.size(); ++k) {
        if (!each[k].is(Json::Kind::kNumber) || !(each[k].number() >= 0 && each[k].number() <= 1))
          told.refuse("zoneout of each state", said(zoneout));
        call_.state[k].zoneout = each[k].number();
      }
    }
    if (!shape.heads_h && !shape.heads_x && call_.heads > 1) told.refuse("a cell that has heads");
    if (call_.H % call_.heads || (shape.heads_x && call_.heads > 1 && width % call_.heads) ||
        (call_.heads > 1 && call_.L > 1))
      told.refuse("heads that divide the widths");
    if (call_.projected && (shape.late || shape.heads_h || mixes(call_)))
      throw Unsupported(told.name() + ": a projection of such a layer");
  }

  void pack_weights(const Told<T>& told, const CellShape& shape, const std::vector<std::string>& names,
                    const std::vector<std::string>& suffixes) {
    WeightOf list[kMaxWeights];
    const int every = list_weights(shape, true, false, list);
    const int64_t p = call_.projected ? call_.projected : call_.H;
    std::vector<std::vector<T>> weights;
    for (size_t i = 0; i < suffixes.size(); ++i) {
      const int64_t input = int64_t(i) < call_.D ? call_.I : call_.D * p;
      for (int w = 0; w < every; ++w) {
        const auto [kind, parts, first] = list[w];
        if (!call_.bias && (kind == WeightKind::kInputBias || kind == WeightKind::kRecurrentBias)) continue;
        if (parts && call_.H > int64_t(1) << 40) told.refuse("a smaller layer");
        std::vector<int64_t> size{parts * call_.H};
        if (kind == WeightKind::kInput) size.push_back(input / (shape.heads_x ? call_.heads : 1));
        if (kind == WeightKind::kRecurrent) size.push_back(p / (shape.heads_h ? call_.heads : 1));
        weights.push_back(told.array(names[size_t(w)] + suffixes[i], size));
      }
      if (call_.projected) weights.push_back(told.array("weight_hr" + suffixes[i], {call_.projected, call_.H}));
    }
    for (std::vector<T>& each : weights) call_.weights.push_back(each.data());
    packed_ = lasting_memory(packed_bytes(call_));
    pack(call_, packed_.get());
    call_.weights.clear();
    call_.packed = packed_.get();
  }

  Call call_;
  Memory packed_;
  std::vector<std::vector<T>> initial_;  // of each state (L*D, width); none: zeros
  mutable std::unique_ptr<Stepper> one_row_;
  mutable std::atomic_flag taken_;
};

struct Names {
  const char *cell, *states, *weights;
};
constexpr Names kNames[] = {
#define STATEWISE_NAMES(cell, states, weights) {cell, states, weights},
#include "generated_names.def"
#undef STATEWISE_NAMES
};

std::vector<std::string> words(const char* text) {
  std::vector<std::string> found(1);
  for (; *text; ++text)
    if (*text == ' ')
      found.emplace_back();
    else
      found.back() += *text;
  return found;
}

}  // namespace

const std::map<std::string, CellNames>& own_cells() {
  static const std::map<std::string, CellNames> cells = [] {
    std::map<std::string, CellNames> made;
    for (const Names& each : kNames)
      if (const int number = cell_number(each.cell); number >= 0)
        made[each.cell] = {number, words(each.states), words(each.weights)};
    return made;
  }();
  return cells;
}

template <class T>
Made<T> make_recurrent(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Recurrent<T>>(told, given);
}

template Made<float> make_recurrent(const Told<float>&, const std::vector<Form>&);
template Made<double> make_recurrent(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise::runtime
