#include "ops.hpp"

#include <algorithm>
#include <cstring>

#include "makers.hpp"

namespace statewise {
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
    {"path", make_path<T>},
};

}  // namespace

// Row by row, each as it would be alone.
template <class T>
Value Op<T>::run(const std::vector<const Value*>& given, int64_t rows) const {
  const Value& first = *given[0];
  const bool summary = form.kind == Kind::kSummary;
  Value made{form, summary ? 1 : left(first.steps), {}, {}, nullptr};
  const int64_t bytes = form.row() * element_bytes<T>(form);
  made.own.resize(size_t(made.steps * rows * bytes));
  made.data = made.own.data();
  std::vector<std::byte> result(size_t(made.steps * bytes));
  std::vector<std::vector<std::byte>> row(given.size());
  for (int64_t n = 0; n < rows; ++n) {
    const int64_t length = first.lengths[size_t(n)];
    std::vector<Row> data;
    for (size_t k = 0; k < given.size(); ++k) {
      const int64_t each = given[k]->form.row() * element_bytes<T>(given[k]->form);
      row[k].resize(size_t(std::max<int64_t>(length, 1) * each));
      for (int64_t t = 0; t < length; ++t)
        std::memcpy(row[k].data() + t * each, static_cast<const std::byte*>(given[k]->data) + (t * rows + n) * each,
                    size_t(each));
      data.push_back({row[k].data(), each});
    }
    const int64_t count = summary ? 1 : left(length);
    made.lengths.push_back(summary ? 1 : count);
    sequence(length, data, result.data());
    for (int64_t t = 0; t < count; ++t)
      std::memcpy(made.own.data() + (t * rows + n) * bytes, result.data() + t * bytes, size_t(bytes));
  }
  return made;
}

template <class T>
void Op<T>::sequence(int64_t count, const std::vector<Row>& given, void* result) const {
  const bool summary = form.kind == Kind::kSummary;
  if (summary && !count) nothing(static_cast<T*>(result));
  const std::unique_ptr<Worker<T>> worker = work(1);
  worker->begin();
  std::vector<const void*> now(given.size());
  for (int64_t t = 0; t < count; ++t) {
    for (size_t k = 0; k < given.size(); ++k) now[k] = given[k].data + t * given[k].bytes;
    auto* const to = static_cast<std::byte*>(result) + (summary ? 0 : t) * form.row() * element_bytes<T>(form);
    if (!worker->step(now.data(), to))
      throw Unfit(name + ": values are missing (NaN), and the network has learnt without");
  }
}

template <class T>
std::unique_ptr<Op<T>> make_op(const Told<T>& told, const std::vector<Form>& given) {
  for (const Maker<T>& maker : kMakers<T>) {
    if (told.op() != maker.op) continue;
    std::unique_ptr<Op<T>> made = maker.make(told, given);
    if (made->form.width < 1 || made->form.width > kWidest) told.refuse("a result that is less wide");
    made->name = told.name();
    return made;
  }
  throw Unsupported("there is no op " + told.op().substr(0, 40));
}

template class Op<float>;
template class Op<double>;
template std::unique_ptr<Op<float>> make_op(const Told<float>&, const std::vector<Form>&);
template std::unique_ptr<Op<double>> make_op(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise
