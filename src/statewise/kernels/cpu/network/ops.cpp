#include "ops.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "../memory.hpp"
#include "../stack.hpp"

namespace statewise {
namespace {

constexpr int64_t kMostAround = 1 << 24;  // numbers that a convolution reads at once, or puts before the first
constexpr double kNever = -1e4;           // the score of a move that may not be

template <class T>
const StreamKernels& kernels() {
  const StreamKernelsOfSet& all = stream_kernels(instruction_set());
  return sizeof(T) == 4 ? all.float32 : all.float64;
}

template <class T>
void apply(Function function, const T* x, int64_t count, T* y) {
  kernels<T>().apply[int(function)](x, count, y);
}

// Memory of whole cache lines.
template <class T>
class Numbers {
 public:
  Numbers() = default;
  explicit Numbers(int64_t count)
      : memory_(line_memory(std::max<int64_t>(count, 1) * int64_t(sizeof(T)))), count_(count) {
    std::fill_n(data(), count, T(0));
  }
  T* data() const { return static_cast<T*>(memory_.get()); }
  int64_t size() const { return count_; }

 private:
  Memory memory_;
  int64_t count_ = 0;
};

// y = x W^T + b.
template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(const T* weight, int64_t outputs, int64_t inputs, const T* bias)
      : dense_{inputs, outputs, nullptr, nullptr},
        panels_(kernels<T>().dense_columns(outputs) * inputs),
        bias_(bias ? kernels<T>().dense_columns(outputs) : 0) {
    kernels<T>().pack_dense(dense_, weight, panels_.data());
    dense_.panels = panels_.data();
    if (!bias) return;
    std::copy_n(bias, outputs, bias_.data());
    dense_.bias = bias_.data();
  }
  void multiply(int64_t rows, const T* x, int64_t x_row, T* y, int64_t y_row) const {
    kernels<T>().multiply(dense_, rows, x, x_row, y, y_row);
  }
  int64_t inputs() const { return dense_.inputs; }
  int64_t outputs() const { return dense_.outputs; }

 private:
  Dense dense_{};
  Numbers<T> panels_, bias_;
};

template <class T>
const Form& one(const Told<T>& told, const std::vector<Form>& given) {
  if (given.size() != 1 || given[0].kind == Kind::kSymbols || given[0].kind == Kind::kExact)
    told.refuse("one value that isn't symbols");
  return given[0];
}

template <class T>
void check_values(const Told<T>& told, const std::vector<Form>& given) {
  for (const Form& form : given)
    if (form.kind == Kind::kSymbols || form.kind == Kind::kExact) told.refuse("values that aren't symbols");
}

template <class T>
const Form& steps(const Told<T>& told, const std::vector<Form>& given) {
  if (one(told, given).kind == Kind::kSummary) told.refuse("steps to read, not a summary of them");
  return given[0];
}

// An op that looks at each row of each step by itself.
template <class T>
class Local : public Op<T> {
 public:
  // So many rows; `room` is memory for scratch() numbers.
  virtual void apply_to(int64_t rows, const void* const* given, void* result, T* room) const = 0;
  virtual int64_t scratch() const { return 0; }

  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    struct Works final : Worker<T> {
      Works(const Local& local, int64_t n) : op(local), rows(n), room(local.scratch()) {}
      bool step(const void* const* given, void* result) override {
        op.apply_to(rows, given, result, room.data());
        return true;
      }
      const Local& op;
      int64_t rows;
      Numbers<T> room;
    };
    return std::make_unique<Works>(*this, rows);
  }

  Value run(const std::vector<const Value*>& given, int64_t rows) const override {
    Value made{this->form, given[0]->steps, given[0]->lengths, {}, nullptr};
    std::vector<const void*> data;
    for (const Value* value : given) data.push_back(value->data);
    const int64_t count = rows * (this->form.kind == Kind::kSummary ? 1 : made.steps);
    made.own.resize(size_t(count * this->form.row() * element_bytes<T>(this->form)));
    made.data = made.own.data();
    const Numbers<T> room(scratch());
    apply_to(count, data.data(), made.own.data(), room.data());
    return made;
  }
};

template <class T>
class Embedding final : public Local<T> {
 public:
  Embedding(const Told<T>& told, const std::vector<Form>& given) {
    if (given.size() != 1 || given[0].kind != Kind::kSymbols) told.refuse("numbers of symbols");
    std::vector<int64_t> shape;
    weight_ = told.array("weight", {given[0].width, -1}, &shape);
    this->form = {shape[1]};
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    const auto* const symbols = static_cast<const int64_t*>(given[0]);
    const int64_t width = this->form.width;
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(weight_.data() + symbols[r] * width, width, static_cast<T*>(result) + r * width);
  }

 private:
  std::vector<T> weight_;
};

template <class T>
class Linear final : public Local<T> {
 public:
  Linear(const Told<T>& told, const std::vector<Form>& given) {
    this->form = one(told, given);
    std::vector<int64_t> shape;
    const std::vector<T> weight = told.array("weight", {-1, this->form.width}, &shape);
    std::vector<T> bias;
    if (told.has("bias")) bias = told.array("bias", {shape[0]});
    matrix_ = Matrix<T>(weight.data(), shape[0], shape[1], told.has("bias") ? bias.data() : nullptr);
    this->form.width = shape[0];
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    matrix_.multiply(rows, static_cast<const T*>(given[0]), matrix_.inputs(), static_cast<T*>(result),
                     matrix_.outputs());
  }

 private:
  Matrix<T> matrix_;
};

template <class T>
class Norm final : public Local<T> {
 public:
  Norm(const Told<T>& told, const std::vector<Form>& given) {
    this->form = one(told, given);
    epsilon_ = T(told.number("epsilon", 1e-5));
    if (told.has("weight")) weight_ = told.array("weight", {this->form.width});
    if (told.has("bias")) bias_ = told.array("bias", {this->form.width});
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    const int64_t width = this->form.width;
    for (int64_t r = 0; r < rows; ++r) {
      const T* const x = static_cast<const T*>(given[0]) + r * width;
      T* const y = static_cast<T*>(result) + r * width;
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < width; ++i) sum += double(x[i]);
      const double mean = sum / double(width);
      for (int64_t i = 0; i < width; ++i) squares += (double(x[i]) - mean) * (double(x[i]) - mean);
      const double scale = 1 / std::sqrt(squares / double(width) + double(epsilon_));
      for (int64_t i = 0; i < width; ++i) {
        const T v = T((double(x[i]) - mean) * scale);
        y[i] = (weight_.empty() ? v : v * weight_[size_t(i)]) + (bias_.empty() ? T(0) : bias_[size_t(i)]);
      }
    }
  }

 private:
  T epsilon_;
  std::vector<T> weight_, bias_;
};

template <class T>
class Sum final : public Local<T> {
 public:
  Sum(const Told<T>& told, const std::vector<Form>& given) : count_(given.size()) {
    check_values(told, given);
    for (const Form& form : given)
      if (form != given[0]) told.refuse("values of one width");
    this->form = given[0];
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    T* const y = static_cast<T*>(result);
    const int64_t count = rows * this->form.width;
    std::copy_n(static_cast<const T*>(given[0]), count, y);
    for (size_t k = 1; k < count_; ++k)
      for (int64_t i = 0; i < count; ++i) y[i] += static_cast<const T*>(given[k])[i];
  }

 private:
  size_t count_;
};

template <class T>
class Joined final : public Local<T> {
 public:
  Joined(const Told<T>& told, const std::vector<Form>& given) {
    check_values(told, given);
    this->form = {0, given[0].kind};
    for (const Form& form : given) {
      if (form.kind != given[0].kind) told.refuse("steps or summaries");
      widths_.push_back(form.width);
      this->form.width += form.width;
    }
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    T* to = static_cast<T*>(result);
    for (int64_t r = 0; r < rows; ++r)
      for (size_t k = 0; k < widths_.size(); ++k)
        to = std::copy_n(static_cast<const T*>(given[k]) + r * widths_[k], widths_[k], to);
  }

 private:
  std::vector<int64_t> widths_;
};

template <class T>
class Activation final : public Local<T> {
 public:
  Activation(const Told<T>& told, const std::vector<Form>& given) {
    this->form = one(told, given);
    const std::string function = told.word("function");
    const std::pair<const char*, Function> each[] = {{"relu", Function::kRelu},
                                                     {"tanh", Function::kTanh},
                                                     {"sigmoid", Function::kSigmoid},
                                                     {"silu", Function::kSilu},
                                                     {"softplus", Function::kSoftplus}};
    for (const auto& [name, what] : each)
      if (function == name) function_ = what;
    elu_ = function == "elu", soft_ = function == "softmax", log_ = function == "log_softmax";
    if (!function_ && !elu_ && !soft_ && !log_) throw Unsupported(told.name() + ": no function is called " + function);
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    const int64_t width = this->form.width;
    const T* const x = static_cast<const T*>(given[0]);
    T* const y = static_cast<T*>(result);
    if (function_) return apply(*function_, x, rows * width, y);
    if (elu_) {
      for (int64_t i = 0; i < rows * width; ++i) y[i] = x[i] > 0 ? x[i] : std::expm1(x[i]);
      return;
    }
    for (int64_t r = 0; r < rows; ++r) normalise(x + r * width, y + r * width, width);
  }

 private:
  void normalise(const T* x, T* y, int64_t width) const {
    const T most = *std::max_element(x, x + width);
    for (int64_t i = 0; i < width; ++i) y[i] = x[i] - most;
    if (soft_) {
      apply(Function::kExp, y, width, y);
      T sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += y[i];
      for (int64_t i = 0; i < width; ++i) y[i] /= sum;
      return;
    }
    double sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += std::exp(double(y[i]));
    const T log = T(std::log(sum));
    for (int64_t i = 0; i < width; ++i) y[i] -= log;
  }

  std::optional<Function> function_;
  bool elu_ = false, soft_ = false, log_ = false;
};

template <class T>
class Magnitude final : public Local<T> {
 public:
  Magnitude(const Told<T>& told, const std::vector<Form>& given) : positions_(told.count("positions", 1, 1)) {
    this->form = one(told, given);
    if (this->form.width % 2 || this->form.width / 2 % positions_) told.refuse("two halves of the channels");
    this->form.width /= 2;
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    const int64_t half = this->form.width / positions_;
    for (int64_t r = 0; r < rows * positions_; ++r) {
      const T* const x = static_cast<const T*>(given[0]) + r * 2 * half;
      T* const y = static_cast<T*>(result) + r * half;
      for (int64_t i = 0; i < half; ++i) y[i] = std::sqrt(x[i] * x[i] + x[half + i] * x[half + i]);
    }
  }

 private:
  int64_t positions_;
};

// What a convolution makes of positions that are there already, padded: (positions, channels), dense.
template <class T>
class Kernel {
 public:
  Kernel(const Told<T>& told, int64_t channels)
      : channels_(channels),
        groups_(told.count("groups", 1, 1)),
        stride_(told.count("stride", 1, 1)),
        dilation_(told.count("dilation", 1, 1)) {
    if (channels % groups_) told.refuse("channels in groups");
    const int64_t of_group = channels / groups_;
    std::vector<int64_t> shape;
    const std::vector<T> weight = told.array("weight", {-1, of_group, -1}, &shape);
    made_ = shape[0], size_ = shape[2];
    if (!made_ || !size_ || made_ % groups_) told.refuse("results in groups, of one position or more");
    if (size_ > kMostAround || dilation_ > kMostAround) told.refuse("fewer numbers around a position");
    span_ = (size_ - 1) * dilation_ + 1;
    if (span_ > kMostAround / channels) told.refuse("fewer numbers around a position");
    std::vector<T> bias;
    if (told.has("bias")) bias = told.array("bias", {made_});
    const int64_t per = made_ / groups_;
    if (per == 1 && of_group == 1) {  // depthwise: (size, channels)
      depthwise_.resize(size_t(made_ * size_));
      for (int64_t o = 0; o < made_; ++o)
        for (int64_t k = 0; k < size_; ++k) depthwise_[size_t(k * made_ + o)] = weight[size_t(o * size_ + k)];
      bias_ = bias.empty() ? std::vector<T>(size_t(made_)) : bias;
      return;
    }
    std::vector<T> turned(size_t(per * size_ * of_group));  // (results, positions, channels), as positions lie
    for (int64_t g = 0; g < groups_; ++g) {
      for (int64_t o = 0; o < per; ++o)
        for (int64_t c = 0; c < of_group; ++c)
          for (int64_t k = 0; k < size_; ++k)
            turned[size_t((o * size_ + k) * of_group + c)] = weight[size_t(((g * per + o) * of_group + c) * size_ + k)];
      matrices_.emplace_back(turned.data(), per, size_ * of_group, bias.empty() ? nullptr : bias.data() + g * per);
    }
  }

  int64_t made() const { return made_; }
  int64_t span() const { return span_; }
  int64_t stride() const { return stride_; }
  int64_t scratch() const { return depthwise_.empty() && gathers() ? size_ * channels_ / groups_ : 0; }

  // `count` positions of the result.
  void apply_to(int64_t count, const T* x, T* y, T* room) const {
    if (!depthwise_.empty()) {
      for (int64_t p = 0; p < count; ++p, y += made_) {
        std::copy_n(bias_.data(), made_, y);
        for (int64_t k = 0; k < size_; ++k) {
          const T *const from = x + (p * stride_ + k * dilation_) * channels_, *const w = depthwise_.data() + k * made_;
          for (int64_t c = 0; c < made_; ++c) y[c] += w[c] * from[c];
        }
      }
      return;
    }
    if (!gathers()) return matrices_[0].multiply(count, x, stride_ * channels_, y, made_);
    const int64_t of_group = channels_ / groups_, per = made_ / groups_;
    for (int64_t g = 0; g < groups_; ++g)
      for (int64_t p = 0; p < count; ++p) {
        for (int64_t k = 0; k < size_; ++k)
          std::copy_n(x + (p * stride_ + k * dilation_) * channels_ + g * of_group, of_group, room + k * of_group);
        matrices_[size_t(g)].multiply(1, room, 0, y + p * made_ + g * per, 0);
      }
  }

 private:
  bool gathers() const { return groups_ > 1 || dilation_ > 1; }

  int64_t channels_, groups_, stride_, dilation_, made_ = 0, size_ = 0, span_ = 0;
  std::vector<Matrix<T>> matrices_;  // of each group
  std::vector<T> depthwise_, bias_;
};

// What is put around the positions.
struct Around {
  int64_t left, right;
  bool reflect;
  template <class T>
  Around(const Told<T>& told, int64_t channels)
      : left(told.count("left", 0, 0)), right(told.count("right", 0, 0)), reflect(told.flag("reflect")) {
    if (std::max(left, right) > kMostAround / channels) told.refuse("fewer numbers around a position");
  }
  int64_t count(int64_t positions, int64_t span, int64_t stride) const {
    return positions > 0 ? std::max<int64_t>(
                               0, positions + left + right < span ? 0 : (positions + left + right - span) / stride + 1)
                         : 0;
  }
  // (positions, channels) with what is around them.
  template <class T>
  void pad(const T* x, int64_t positions, int64_t channels, T* to) const {
    for (int64_t p = -left; p < positions + right; ++p, to += channels) {
      const int64_t mirrored = p < 0 ? -p : p >= positions ? 2 * (positions - 1) - p : p;
      if (p == mirrored || reflect)
        std::copy_n(x + mirrored * channels, channels, to);
      else
        std::fill_n(to, channels, T(0));
    }
  }
};

template <class T>
class ConvolutionWithin final : public Local<T> {
 public:
  ConvolutionWithin(const Told<T>& told, const std::vector<Form>& given)
      : positions_(told.count("positions")),
        channels_(one(told, given).width / positions_),
        kernel_(told, checked(told, given[0].width)),
        around_(told, channels_) {
    if (around_.reflect && std::max(around_.left, around_.right) >= positions_)
      told.refuse("more positions than are reflected");
    count_ = around_.count(positions_, kernel_.span(), kernel_.stride());
    if (!count_) told.refuse("as many positions as the kernel spans");
    this->form = {count_ * kernel_.made(), given[0].kind};
  }
  int64_t scratch() const override {
    return kernel_.scratch() + (around_.left + positions_ + around_.right) * channels_;
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T* room) const override {
    for (int64_t r = 0; r < rows; ++r) {
      T* const padded = room + kernel_.scratch();
      around_.pad(static_cast<const T*>(given[0]) + r * positions_ * channels_, positions_, channels_, padded);
      kernel_.apply_to(count_, padded, static_cast<T*>(result) + r * this->form.width, room);
    }
  }

 private:
  int64_t checked(const Told<T>& told, int64_t width) const {
    if (width % positions_) told.refuse("a width that the positions divide");
    return channels_;
  }
  int64_t positions_, channels_, count_ = 0;
  Kernel<T> kernel_;
  Around around_;
};

template <class T>
class Convolution final : public Op<T> {
 public:
  Convolution(const Told<T>& told, const std::vector<Form>& given)
      : channels_(steps(told, given).width), kernel_(told, channels_), around_(told, channels_) {
    this->form = {kernel_.made()};
    this->streams = around_.left == kernel_.span() - 1 && !around_.right && kernel_.stride() == 1 && !around_.reflect;
  }
  int64_t left(int64_t count) const override { return around_.count(count, kernel_.span(), kernel_.stride()); }

  // The last inputs lie in a ring, twice, so that there is always a place from where on they are in their order.
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    struct Works final : Worker<T> {
      Works(const Convolution& convolution, int64_t n)
          : op(convolution),
            rows(n),
            span(convolution.kernel_.span()),
            ring(n * 2 * span * convolution.channels_),
            room(convolution.kernel_.scratch()) {}
      void begin() override {
        std::fill_n(ring.data(), ring.size(), T(0));
        at = 0;
      }
      bool step(const void* const* given, void* result) override {
        const int64_t channels = op.channels_, made = op.form.width;
        for (int64_t r = 0; r < rows; ++r) {
          const T* const x = static_cast<const T*>(given[0]) + r * channels;
          T* const own = ring.data() + r * 2 * span * channels;
          std::copy_n(x, channels, own + at * channels);
          std::copy_n(x, channels, own + (at + span) * channels);
          op.kernel_.apply_to(1, own + (at + 1) * channels, static_cast<T*>(result) + r * made, room.data());
        }
        at = at + 1 == span ? 0 : at + 1;
        return true;
      }
      int64_t state_size() const override { return rows * (span - 1) * op.channels_; }
      void save(T* to) const override {
        const int64_t size = (span - 1) * op.channels_;
        for (int64_t r = 0; r < rows; ++r)
          std::copy_n(ring.data() + (r * 2 * span + at + 1) * op.channels_, size, to + r * size);
      }
      void load(const T* from) override {
        begin();
        const int64_t size = (span - 1) * op.channels_;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t copy = 0; copy < 2; ++copy)
            std::copy_n(from + r * size, size, ring.data() + ((r * 2 + copy) * span + 1) * op.channels_);
      }
      const Convolution& op;
      int64_t rows, span, at = 0;
      Numbers<T> ring, room;
    };
    return std::make_unique<Works>(*this, rows);
  }

 protected:
  void sequence(int64_t count, const std::vector<Row>& given, void* result) const override {
    if (!count) return;
    if (around_.reflect && count <= std::max(around_.left, around_.right))
      throw Unfit(this->name + ": there are too few steps to reflect");
    const Numbers<T> padded((around_.left + count + around_.right) * channels_), room(kernel_.scratch());
    around_.pad(reinterpret_cast<const T*>(given[0].data), count, channels_, padded.data());
    kernel_.apply_to(left(count), padded.data(), static_cast<T*>(result), room.data());
  }

 private:
  int64_t channels_;
  Kernel<T> kernel_;
  Around around_;
};

// An op whose state is so many numbers of each row.
template <class T, class O>
struct SmallWorker final : Worker<T> {
  SmallWorker(const O& of, int64_t n) : op(of), rows(n), state(n * of.state_of_row()) { begin(); }
  void begin() override {
    for (int64_t r = 0; r < rows; ++r) op.begin(state.data() + r * op.state_of_row());
  }
  bool step(const void* const* given, void* result) override {
    bool fits = true;
    for (int64_t r = 0; r < rows; ++r)
      fits = op.step_row(given, r, state.data() + r * op.state_of_row(), static_cast<T*>(result) + r * op.form.width) &&
             fits;
    return fits;
  }
  int64_t state_size() const override { return state.size(); }
  void save(T* to) const override { std::copy_n(state.data(), state.size(), to); }
  void load(const T* from) override { std::copy_n(from, state.size(), state.data()); }
  const O& op;
  int64_t rows;
  Numbers<T> state;
};

template <class T>
class Last final : public Op<T> {
 public:
  Last(const Told<T>& told, const std::vector<Form>& given) : both_(told.flag("bidirectional")) {
    this->form = {steps(told, given).width, Kind::kSummary};
    this->streams = !both_;
  }
  int64_t state_of_row() const { return 1; }  // which says nothing: what it gives is its state
  void begin(T* state) const { *state = 0; }
  bool step_row(const void* const* given, int64_t row, T*, T* y) const {
    std::copy_n(static_cast<const T*>(given[0]) + row * this->form.width, this->form.width, y);
    return true;
  }
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    return std::make_unique<SmallWorker<T, Last>>(*this, rows);
  }

 protected:
  void nothing(T* y) const override { std::fill_n(y, this->form.width, T(0)); }
  void sequence(int64_t count, const std::vector<Row>& given, void* result) const override {
    const int64_t width = this->form.width;
    const T* const x = reinterpret_cast<const T*>(given[0].data);
    if (!count) return nothing(static_cast<T*>(result));
    std::copy_n(x + (count - 1) * width, width, static_cast<T*>(result));
    if (both_) std::copy_n(x + width / 2, width - width / 2, static_cast<T*>(result) + width / 2);
  }

 private:
  bool both_;
};

template <class T>
class Largest final : public Op<T> {
 public:
  Largest(const Told<T>& told, const std::vector<Form>& given) {
    this->form = {steps(told, given).width, Kind::kSummary};
  }
  int64_t state_of_row() const { return this->form.width; }
  void begin(T* state) const { nothing(state); }
  bool step_row(const void* const* given, int64_t row, T* state, T* y) const {
    const T* const x = static_cast<const T*>(given[0]) + row * this->form.width;
    for (int64_t i = 0; i < this->form.width; ++i)
      y[i] = state[i] = std::isnan(x[i]) || x[i] > state[i] ? x[i] : state[i];
    return true;
  }
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    return std::make_unique<SmallWorker<T, Largest>>(*this, rows);
  }

 protected:
  void nothing(T* y) const override { std::fill_n(y, this->form.width, -std::numeric_limits<T>::infinity()); }
};

// The state: the weighted sum, the sum of the weights, and the largest score, which has weight 1.
template <class T>
class Mean final : public Op<T> {
 public:
  Mean(const Told<T>& told, const std::vector<Form>& given) : scored_(given.size() > 1) {
    check_values(told, given);
    if (given.size() > 2 || (scored_ && given[0].width != 1)) told.refuse("steps, and maybe a score of each");
    for (const Form& form : given)
      if (form.kind == Kind::kSummary) told.refuse("steps to read, not a summary of them");
    this->form = {given.back().width, Kind::kSummary};
  }
  int64_t state_of_row() const { return this->form.width + 2; }
  void begin(T* state) const {
    std::fill_n(state, this->form.width + 1, T(0));
    state[this->form.width + 1] = -std::numeric_limits<T>::infinity();
  }
  bool step_row(const void* const* given, int64_t row, T* state, T* y) const {
    const int64_t width = this->form.width;
    const T* const x = static_cast<const T*>(given[scored_]) + row * width;
    const T score = scored_ ? static_cast<const T*>(given[0])[row] : T(0);
    T &sum = state[width], &most = state[width + 1];
    const T highest = std::max(most, score);
    const T kept = std::isinf(most) ? T(0) : std::exp(most - highest);
    const T own = std::isinf(score) && score < 0 ? T(0) : std::exp(score - highest);
    most = highest, sum = sum * kept + own;
    for (int64_t i = 0; i < width; ++i) {
      state[i] = state[i] * kept + own * x[i];
      y[i] = state[i] / sum;
    }
    return true;
  }
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    return std::make_unique<SmallWorker<T, Mean>>(*this, rows);
  }

 protected:
  void nothing(T* y) const override { std::fill_n(y, this->form.width, std::numeric_limits<T>::quiet_NaN()); }

 private:
  bool scored_;
};

template <class T>
class Scaled final : public Op<T> {
 public:
  Scaled(const Told<T>& told, const std::vector<Form>& given) : carry_(told.flag("carry")) {
    if (given.size() != 1 || (given[0].kind != Kind::kExact && given[0].kind != Kind::kValues))
      told.refuse("steps to read");
    exact_ = given[0].kind == Kind::kExact;
    this->form = {given[0].width};
    mean_ = told.template array<double>("mean", {this->form.width});
    scale_ = told.template array<double>("scale", {this->form.width});
    for (double scale : scale_)
      if (!(scale > 0)) told.refuse("scales above 0");
  }
  int64_t state_of_row() const { return this->form.width; }
  void begin(T* state) const { std::fill_n(state, this->form.width, T(0)); }
  bool step_row(const void* const* given, int64_t row, T* state, T* y) const {
    const int64_t width = this->form.width;
    bool fits = true;
    for (int64_t i = 0; i < width; ++i) {
      const double x = exact_ ? static_cast<const double*>(given[0])[row * width + i]
                              : double(static_cast<const T*>(given[0])[row * width + i]);
      const T v = T((x - mean_[size_t(i)]) / scale_[size_t(i)]);
      if (!std::isnan(v)) state[i] = v;
      fits = fits && (carry_ || !std::isnan(v));
      y[i] = state[i];
    }
    return fits;
  }
  std::unique_ptr<Worker<T>> work(int64_t rows) const override {
    return std::make_unique<SmallWorker<T, Scaled>>(*this, rows);
  }

 private:
  bool carry_, exact_ = false;
  std::vector<double> mean_, scale_;
};

template <class T>
class Segments final : public Op<T> {
 public:
  Segments(const Told<T>& told, const std::vector<Form>& given) : size_(told.count("size")) {
    const Form& form = steps(told, given);
    if (size_ > kMostAround / form.width) told.refuse("shorter segments");
    width_ = form.width, this->form = {form.width * size_}, this->streams = false;
  }
  int64_t left(int64_t count) const override { return (count + size_ - 1) / size_; }
  std::unique_ptr<Worker<T>> work(int64_t) const override { return nullptr; }

 protected:
  void sequence(int64_t count, const std::vector<Row>& given, void* result) const override {
    const T* const x = reinterpret_cast<const T*>(given[0].data);
    T* to = static_cast<T*>(result);
    for (int64_t t = 0; t < left(count) * size_; ++t) to = std::copy_n(x + std::min(t, count - 1) * width_, width_, to);
  }

 private:
  int64_t size_, width_ = 0;
};

template <class T>
class Best final : public Local<T> {  // of each step by itself
 public:
  Best(const Told<T>& told, const std::vector<Form>& given) : width_(one(told, given).width) {
    this->form = {width_, Kind::kSymbols};
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T*) const override {
    for (int64_t r = 0; r < rows; ++r) {
      const T* const x = static_cast<const T*>(given[0]) + r * width_;
      static_cast<int64_t*>(result)[r] = std::max_element(x, x + width_) - x;
    }
  }

 private:
  int64_t width_;
};

template <class T>
class Path final : public Op<T> {
 public:
  Path(const Told<T>& told, const std::vector<Form>& given) : k_(steps(told, given).width) {
    this->form = {k_, Kind::kSymbols}, this->streams = false;
    std::vector<T> allowed;
    if (told.has("allowed")) allowed = told.array("allowed", {k_ + 1, k_ + 1});
    if (told.has("between")) {
      between_ = told.array("between", {k_, k_});
      first_ = told.array("first", {k_}), last_ = told.array("last", {k_});
    } else {
      between_.resize(size_t(k_ * k_)), first_.resize(size_t(k_)), last_.resize(size_t(k_));
    }
    if (allowed.empty()) return;
    for (int64_t i = 0; i <= k_; ++i)
      for (int64_t j = 0; j <= k_; ++j)
        if (allowed[size_t(i * (k_ + 1) + j)] == T(0) && i + j < 2 * k_)
          (i == k_ ? first_[size_t(j)] : j == k_ ? last_[size_t(i)] : between_[size_t(i * k_ + j)]) = T(kNever);
  }
  std::unique_ptr<Worker<T>> work(int64_t) const override { return nullptr; }

 protected:
  void sequence(int64_t count, const std::vector<Row>& given, void* result) const override {
    if (!count) return;
    const T* const scores = reinterpret_cast<const T*>(given[0].data);
    auto* const found = static_cast<int64_t*>(result);
    const size_t k = size_t(k_);
    std::vector<T> best(k), next(k);
    std::vector<int64_t> came(k * size_t(count));
    for (int64_t j = 0; j < k_; ++j) best[size_t(j)] = scores[j] + first_[size_t(j)];
    for (int64_t t = 1; t < count; ++t) {
      for (int64_t j = 0; j < k_; ++j) {
        int64_t from = 0;
        T most = -std::numeric_limits<T>::infinity();
        for (int64_t i = 0; i < k_; ++i) {
          const T way = best[size_t(i)] + between_[size_t(i * k_ + j)];
          if (way > most) most = way, from = i;
        }
        came[size_t(t * k_ + j)] = from, next[size_t(j)] = most + scores[t * k_ + j];
      }
      best.swap(next);
    }
    for (int64_t j = 0; j < k_; ++j) best[size_t(j)] += last_[size_t(j)];
    found[count - 1] = std::max_element(best.begin(), best.end()) - best.begin();
    for (int64_t t = count - 1; t > 0; --t) found[t - 1] = came[size_t(t * k_ + found[t])];
  }

 private:
  int64_t k_;
  std::vector<T> between_, first_, last_;
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

std::string said(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  return text + ")";
}

}  // namespace

template <class T>
Told<T>::Told(const Json& entry, const std::map<std::string, Tensor>& tensors, std::set<std::string>& used, int threads)
    : entry_(entry), tensors_(tensors), used_(used), threads_(threads) {
  const Json *const op = entry.find("op"), *const name = entry.find("name");
  if (!op || !op->is(Json::Kind::kText)) throw Damaged("expected the ops of a program");
  op_ = op->text();
  if (name && !name->is(Json::Kind::kText)) throw Damaged("expected the names of ops");
  name_ = name ? name->text() : op_;
}

template <class T>
void Told<T>::refuse(const std::string& expected) const {
  throw Damaged(name_ + ": expected " + expected);
}

template <class T>
int64_t Told<T>::count(const char* option, int64_t least) const {
  const Json* const found = find(option);
  int64_t number = 0;
  if (!found || !found->whole(least, number))
    refuse(std::string(option) + " to be a whole number from " + std::to_string(least) + " on");
  return number;
}

template <class T>
int64_t Told<T>::count(const char* option, int64_t least, int64_t otherwise) const {
  return find(option) ? count(option, least) : otherwise;
}

template <class T>
double Told<T>::number(const char* option, double otherwise) const {
  const Json* const found = find(option);
  if (found && !found->is(Json::Kind::kNumber)) refuse(std::string(option) + " to be a number");
  return found ? found->number() : otherwise;
}

template <class T>
bool Told<T>::flag(const char* option, bool otherwise) const {
  const Json* const found = find(option);
  if (found && !found->is(Json::Kind::kBool)) refuse(std::string(option) + " to be true or false");
  return found ? found->truth() : otherwise;
}

template <class T>
std::string Told<T>::word(const char* option) const {
  const Json* const found = find(option);
  if (!found || !found->is(Json::Kind::kText)) refuse(std::string(option) + " to be a name");
  return found->text();
}

template <class T>
bool Told<T>::has(const std::string& tensor) const {
  return tensors_.count(name_ + "." + tensor) > 0;
}

template <class T>
template <class U>
std::vector<U> Told<T>::array(const std::string& tensor, std::vector<int64_t> shape,
                              std::vector<int64_t>* found) const {
  const std::string full = name_ + "." + tensor;
  const auto at = tensors_.find(full);
  if (at == tensors_.end()) throw Damaged("there is no tensor " + full);
  const std::vector<int64_t>& own = at->second.shape;
  bool fits = own.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] < 0 || shape[i] == own[i];
  if (!fits) throw Damaged("expected " + full + " of size " + said(shape) + ", got " + said(own));
  used_.insert(full);
  if (found) *found = own;
  std::vector<U> made = numbers<U>(at->second);
  const auto unit = tensors_.find(full + ".scale");  // in which the rows of a matrix in eight bits are counted
  if (at->second.dtype != "I8" || unit == tensors_.end()) return made;
  if (unit->second.dtype != "F32" || own.empty() || unit->second.shape != std::vector<int64_t>{own[0]})
    throw Damaged("expected " + unit->first + " to have a number for each row");
  used_.insert(unit->first);
  const std::vector<U> scale = numbers<U>(unit->second);
  for (size_t i = 0; i < made.size(); ++i) made[i] *= scale[i / (made.size() / scale.size())];
  return made;
}

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
  const std::string& op = told.op();
  std::unique_ptr<Op<T>> made;
  const auto take = [&]<template <class> class O>() { made = std::make_unique<O<T>>(told, given); };
  if (op == "embedding") take.template operator()<Embedding>();
  if (op == "linear") take.template operator()<Linear>();
  if (op == "norm") take.template operator()<Norm>();
  if (op == "add") take.template operator()<Sum>();
  if (op == "concat") take.template operator()<Joined>();
  if (op == "activation") take.template operator()<Activation>();
  if (op == "magnitude") take.template operator()<Magnitude>();
  if (op == "recurrent") take.template operator()<Recurrent>();
  if (op == "last") take.template operator()<Last>();
  if (op == "max") take.template operator()<Largest>();
  if (op == "mean") take.template operator()<Mean>();
  if (op == "scale") take.template operator()<Scaled>();
  if (op == "segment") take.template operator()<Segments>();
  if (op == "convolution" && told.count("positions", 0, 0)) take.template operator()<ConvolutionWithin>();
  if (op == "convolution" && !told.count("positions", 0, 0)) take.template operator()<Convolution>();
  const bool moves = told.has("between") || told.has("allowed");
  if (op == "path" && moves) take.template operator()<Path>();
  if (op == "path" && !moves) take.template operator()<Best>();
  if (!made) throw Unsupported("there is no op " + op.substr(0, 40));
  if (made->form.width < 1 || made->form.width > kWidest) told.refuse("a result that is less wide");
  made->name = told.name();
  return made;
}

template class Told<float>;
template class Told<double>;
template class Op<float>;
template class Op<double>;
template std::unique_ptr<Op<float>> make_op(const Told<float>&, const std::vector<Form>&);
template std::unique_ptr<Op<double>> make_op(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise
