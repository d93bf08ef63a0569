// Stacks of recurrent layers, by the kernels.

#include <algorithm>

#include "../memory.hpp"
#include "../stack.hpp"
#include "makers.hpp"
#include "parts.hpp"

namespace statewise {
namespace {

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

template <class T>
class Recurrent final : public Op<T> {
 public:
  Recurrent(const Told<T>& told, const std::vector<Form>& given) {
    const Form& read = steps(told, given);
    const std::string cell = told.word("cell");
    const Names* names = nullptr;
    for (const Names& each : kNames)
      if (cell == each.cell) names = &each;
    call_.cell = cell_number(cell);
    if (!names || call_.cell < 0) throw Unsupported(told.name() + ": no cell is called " + cell);
    const CellShape& shape = cell_of(instruction_set(), call_.cell).shape;
    describe(told, shape, read.width);
    letters_ = words(names->states);
    std::vector<std::string> suffixes;
    for (int64_t l = 0; l < call_.L; ++l)
      for (int64_t d = 0; d < call_.D; ++d) suffixes.push_back("_l" + std::to_string(l) + (d ? "_reverse" : ""));
    pack_weights(told, shape, words(names->weights), suffixes);
    for (size_t k = 0; told.flag("initial") && k < letters_.size(); ++k) {
      initial_.emplace_back();
      for (const std::string& suffix : suffixes) {
        const std::vector<T> one = told.array("initial_" + letters_[k] + suffix, {state_width(shape, int(k))});
        initial_.back().insert(initial_.back().end(), one.begin(), one.end());
      }
    }
    for (size_t k = 0; k < letters_.size(); ++k) widths_.push_back(state_width(shape, int(k)));
    this->form = {call_.D * (call_.projected ? call_.projected : call_.H)};
    this->streams = call_.D == 1;
  }

  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    struct Works final : Worker<T> {
      Works(const Recurrent& recurrent, int64_t n) : op(recurrent), stepper(one_step(recurrent.call_, n)) {
        for (int64_t width : op.widths_) sizes.push_back(op.call_.L * n * width);
        for (size_t k = 0; k < sizes.size(); ++k) first.push_back(op.initial(k, n));
        begin();
      }
      static Call one_step(Call call, int64_t n) {
        call.T = 1, call.N = n;
        return call;
      }
      void begin() override {
        for (size_t k = 0; k < sizes.size(); ++k) stepper.set(int(k), first[k].data());
      }
      bool step(const void* const* given, void* result) override {
        stepper.step(given[0], result);
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
      Stepper stepper;
      std::vector<int64_t> sizes;
      std::vector<std::vector<T>> first;
    };
    return std::make_unique<Works>(*this, rows);
  }

  Value run(const std::vector<const Value*>& given, int64_t rows) const override {
    const Value& x = *given[0];
    Value made{this->form, x.steps, x.lengths, {}, nullptr};
    const int64_t width = this->form.width;
    made.own.resize(size_t(x.steps * rows * width) * sizeof(T));
    made.data = made.own.data();
    if (!x.steps || !rows) return made;
    Call call = call_;
    call.T = x.steps, call.N = rows;
    for (int64_t length : x.lengths)
      if (length < x.steps) call.lengths = x.lengths.data();
    call.x = {const_cast<void*>(x.data), rows * call.I, call.I};
    call.y = {made.own.data(), rows * width, width};
    std::vector<std::vector<T>> first;
    for (size_t k = 0; k < initial_.size(); ++k) {
      first.push_back(initial(k, rows));
      call.state[k].initial = first.back().data();
    }
    forward(call);
    return made;
  }

 private:
  int64_t state_width(const CellShape& shape, int k) const {
    return k == 0 && !shape.carries_h && call_.projected ? call_.projected : call_.H;
  }

  // State k of so many rows as they begin: (L*D, N, width).
  std::vector<T> initial(size_t k, int64_t rows) const {
    const int64_t depth = call_.L * call_.D, width = widths_[k];
    std::vector<T> made(size_t(depth * rows * width));
    for (int64_t i = 0; !initial_.empty() && i < depth * rows; ++i)
      std::copy_n(initial_[k].data() + i / rows * width, width, made.data() + i * width);
    return made;
  }

  void describe(const Told<T>& told, const CellShape& shape, int64_t width) {
    call_.float64 = sizeof(T) == 8;
    const std::string kept = told.find("dtype") ? told.word("dtype") : "float32";
    if (kept == "bfloat16") call_.stored = Stored::kBfloat16;
    if (kept == "int8") call_.stored = Stored::kInt8;
    if ((kept != "float32" && call_.stored == Stored::kNumbers) || (call_.float64 && call_.stored != Stored::kNumbers))
      throw Unsupported(told.name() + ": weights kept as " + kept);
    call_.threads = told.threads();
    call_.I = width, call_.H = told.count("hidden_size"), call_.projected = told.count("proj_size", 0, 0);
    call_.L = told.count("num_layers", 1, 1), call_.D = told.flag("bidirectional") ? 2 : 1;
    call_.heads = told.count("num_heads", 1, 1), call_.bias = told.flag("bias", true);
    call_.clip = told.number("clip", 0);
    const int64_t most = int64_t(told.tensors());
    if (call_.L > most) told.refuse("as many layers as there are weights");
    if (const Json* zoneout = told.find("zoneout")) {
      const std::vector<Json>& each = zoneout->items();
      if (!zoneout->is(Json::Kind::kList) || (!each.empty() && int(each.size()) != shape.states))
        told.refuse("zoneout of each state");
      for (size_t k = 0; k < each.size(); ++k) {
        if (!each[k].is(Json::Kind::kNumber) || !(each[k].number() >= 0 && each[k].number() <= 1))
          told.refuse("zoneout of each state");
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
  std::vector<std::string> letters_;
  std::vector<int64_t> widths_;
  std::vector<std::vector<T>> initial_;  // of each state (L*D, width); none: zeros
};

}  // namespace

template <class T>
Made<T> make_recurrent(const Told<T>& told, const std::vector<Form>& given) {
  return std::make_unique<Recurrent<T>>(told, given);
}

template Made<float> make_recurrent(const Told<float>&, const std::vector<Form>&);
template Made<double> make_recurrent(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise
