#include "ops.hpp"

#include <algorithm>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

template <class T>
struct Maker {
  const char* op;
  Made<T> (*make)(const Told<T>&, const std::vector<Form>&);
};

template <class T>
constexpr Maker<T> kMakers[] = {
    {"embedding", make_embedding<T>}, {"linear", make_linear<T>},
    {"norm", make_norm<T>},           {"add", make_add<T>},
    {"concat", make_concat<T>},       {"activation", make_activation<T>},
    {"magnitude", make_magnitude<T>}, {"recurrent", make_recurrent<T>},
    {"last", make_last<T>},           {"max", make_max<T>},
    {"mean", make_mean<T>},           {"scale", make_scale<T>},
    {"segment", make_segment<T>},     {"convolution", make_convolution<T>},
    {"path", make_path<T>},           {"reverse", make_reverse<T>},
    {"attention", make_attention<T>},
};

// Of an op that is fed step by step.
template <class T>
class Feeding final : public Worker<T> {
 public:
  Feeding(const Op<T>& op, int64_t rows, int64_t most)
      : op_(op), rows_(rows), most_(op.local ? most : 1), room_(op.room({most_, rows, nullptr})) {
    for (const StateForm& each : op.states) {
      parts_.emplace_back(each.depth * rows * each.width);
      before_.push_back({parts_.back().data(), each.depth});
      after_.push_back(parts_.back().data());
    }
    Feeding::begin();
  }
  void begin() override {
    for (size_t k = 0; k < parts_.size(); ++k) op_.begin(k, rows_, after_[k]);
  }
  int64_t most() const override { return most_; }
  bool step(int64_t steps, const void* const* given, void* result) override {
    return op_.feed({steps, rows_, nullptr}, given, before_.data(), after_.data(), result, room_.data());
  }
  int64_t state_size() const override {
    int64_t size = 0;
    for (const Numbers<T>& part : parts_) size += part.size();
    return size;
  }
  void save(T* to) const override {
    for (const Numbers<T>& part : parts_) to = std::copy_n(part.data(), part.size(), to);
  }
  void load(const T* from) override {
    for (const Numbers<T>& part : parts_) {
      std::copy_n(from, part.size(), part.data());
      from += part.size();
    }
  }

 private:
  const Op<T>& op_;
  int64_t rows_, most_;
  std::vector<Numbers<T>> parts_;
  std::vector<StatePart> before_;
  std::vector<T*> after_;
  Numbers<T> room_;
};

}  // namespace

template <class T>
std::unique_ptr<Worker<T>> Op<T>::work(int64_t rows, int64_t most) const {
  return std::make_unique<Feeding<T>>(*this, rows, most);
}

template <class T>
std::unique_ptr<Op<T>> make_op(const Told<T>& told, const std::vector<Form>& given) {
  for (const Maker<T>& maker : kMakers<T>) {
    if (told.op() != maker.op) continue;
    std::unique_ptr<Op<T>> made = maker.make(told, given);
    if (made->form.width < 1 || made->form.width > kWidest) told.refuse("a result that is less wide");
    made->name = told.name(), made->op = told.op();
    return made;
  }
  std::string names;
  for (const std::string& name : op_names()) names += (names.empty() ? "" : ", ") + name;
  throw Unsupported("the runtime has no op '" + told.op().substr(0, 40) + "'; it has " + names);
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const Maker<float>& maker : kMakers<float>) names.emplace_back(maker.op);
  return names;
}

template class Op<float>;
template class Op<double>;
template std::unique_ptr<Op<float>> make_op(const Told<float>&, const std::vector<Form>&);
template std::unique_ptr<Op<double>> make_op(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise::runtime
