// Convolutions over time, and over positions within each step.

#include <algorithm>
#include <string>

#include "makers.hpp"
#include "parts.hpp"

namespace statewise::runtime {
namespace {

template <class T>
class Kernel {
 public:
  Kernel(const Told<T>& told, int64_t channels)
      : channels_(channels),
        groups_(told.count("groups", 1, 1)),
        stride_(told.count("stride", 1, 1)),
        dilation_(told.count("dilation", 1, 1)) {
    if (channels % groups_) told.refuse("channels in " + std::to_string(groups_) + " groups", std::to_string(channels));
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

  // Whether a result is the product of all positions that it spans, as they lie.
  bool plain() const { return depthwise_.empty() && !gathers(); }
  // A single result of each of so many rows, which lie `apart` numbers from each other. Of a plain one.
  void apply_to_each(int64_t rows, const T* x, int64_t apart, T* y) const {
    matrices_[0].multiply(rows, x, apart, y, made_);
  }

  // What `count` positions of the result span, one after the other. Of a plain one.
  T* gather(int64_t count, const T* x, T* to) const {
    for (int64_t p = 0; p < count; ++p) to = std::copy_n(x + p * stride_ * channels_, size_ * channels_, to);
    return to;
  }
  int64_t gathered(int64_t count) const { return count * size_ * channels_; }

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

constexpr int64_t kTogether = 16;  // rows

template <class T>
class ConvolutionWithin final : public Local<T> {
 public:
  ConvolutionWithin(const Told<T>& told, const std::vector<Form>& given)
      : positions_(told.count("positions")),
        channels_(one(told, given).width / positions_),
        kernel_(told, checked(told, given[0].width)),
        around_(told, channels_) {
    if (around_.reflect && std::max(around_.left, around_.right) >= positions_)
      told.refuse("more positions than are reflected", std::to_string(positions_));
    count_ = around_.count(positions_, kernel_.span(), kernel_.stride());
    if (!count_) told.refuse(std::to_string(kernel_.span()) + " positions or more", std::to_string(positions_));
    this->form = {count_ * kernel_.made(), given[0].kind};
  }
  int64_t scratch() const override {
    const int64_t padded = (around_.left + positions_ + around_.right) * channels_;
    return kernel_.scratch() + padded + (kernel_.plain() ? kTogether * kernel_.gathered(count_) : 0);
  }
  void apply_to(int64_t rows, const void* const* given, void* result, T* room) const override {
    T *const padded = room + kernel_.scratch(), *const spans =
                                                    padded + (around_.left + positions_ + around_.right) * channels_;
    const T* const x = static_cast<const T*>(given[0]);
    T* const y = static_cast<T*>(result);
    const auto pad = [&](int64_t r) { around_.pad(x + r * positions_ * channels_, positions_, channels_, padded); };
    if (!kernel_.plain() || rows == 1) {
      for (int64_t r = 0; r < rows; ++r) {
        pad(r);
        kernel_.apply_to(count_, padded, y + r * this->form.width, room);
      }
      return;
    }
    // Several rows with each part of the matrix while that is near.
    for (int64_t first = 0; first < rows; first += kTogether) {
      const int64_t some = std::min(kTogether, rows - first);
      T* to = spans;
      for (int64_t r = first; r < first + some; ++r) {
        pad(r);
        to = kernel_.gather(count_, padded, to);
      }
      kernel_.apply_to_each(some * count_, spans, kernel_.gathered(1), y + first * this->form.width);
    }
  }

 private:
  int64_t checked(const Told<T>& told, int64_t width) const {
    if (width % positions_) told.refuse(std::to_string(positions_) + " positions of channels", std::to_string(width));
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
    this->keeps_steps = around_.left + around_.right == kernel_.span() - 1 && kernel_.stride() == 1;
    if (around_.left && !around_.reflect) this->states = {{around_.left, channels_, false}};
  }
  int64_t left(int64_t count) const override { return around_.count(count, kernel_.span(), kernel_.stride()); }

  int64_t room(const Extent& extent) const override {
    const int64_t row = padded(extent.steps) * channels_;
    return kernel_.scratch() + (together(extent) ? extent.rows * row : row + left(extent.steps) * kernel_.made());
  }
  bool feed(const Extent& extent, const void* const* given, const StatePart* before, T* const* after, void* result,
            T* room) const override {
    const int64_t rows = extent.rows, made = kernel_.made(), apart = padded(extent.steps) * channels_;
    T *const y = static_cast<T*>(result), *const first = room + kernel_.scratch();
    for (int64_t n = 0; n < rows; ++n) {
      const int64_t length = extent.of(n), count = left(length);
      T* const row = together(extent) ? first + n * apart : first;
      pad(static_cast<const T*>(given[0]) + n * channels_, n, length, rows, before, row);
      for (int64_t t = 0; after && !this->states.empty() && t < around_.left; ++t)
        std::copy_n(row + (length + t) * channels_, channels_, after[0] + (t * rows + n) * channels_);
      if (together(extent)) continue;
      T* const results = rows == 1 ? y : first + apart;
      kernel_.apply_to(count, row, results, room);
      for (int64_t t = 0; rows > 1 && t < count; ++t) std::copy_n(results + t * made, made, y + (t * rows + n) * made);
      for (int64_t t = count; t < left(extent.steps); ++t) std::fill_n(y + (t * rows + n) * made, made, T(0));
    }
    if (together(extent)) kernel_.apply_to_each(rows, first, apart, y);
    return true;
  }

  // The last inputs lie in a ring, twice, so that there is always a place from where on they are in their order.
  std::unique_ptr<Worker<T>> work(int64_t rows, int64_t) const override {
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
      bool step(int64_t, const void* const* given, void* result) override {
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

 private:
  int64_t padded(int64_t steps) const { return around_.left + steps + around_.right; }
  // A single step of several rows.
  bool together(const Extent& extent) const {
    return extent.steps == 1 && !extent.lengths && kernel_.plain() && this->streams;
  }

  // A row's steps, and what is around them.
  void pad(const T* x, int64_t row, int64_t length, int64_t rows, const StatePart* before, T* to) const {
    const int64_t left = around_.left, right = around_.right;
    if (around_.reflect && length && length <= std::max(left, right))
      throw Unfit(this->name + ": expected more than " + std::to_string(std::max(left, right)) + " steps to reflect");
    const auto copy = [&](const T* from) { to = std::copy_n(from, channels_, to); };
    for (int64_t t = 0; t < left; ++t) {
      if (around_.reflect && length)
        copy(x + (left - t) * rows * channels_);
      else if (before && !around_.reflect)
        copy(static_cast<const T*>(before[0].data) + (t * rows + row) * channels_);
      else
        to = std::fill_n(to, channels_, T(0));
    }
    for (int64_t t = 0; t < length; ++t) copy(x + t * rows * channels_);
    for (int64_t t = 0; t < right; ++t) {
      if (around_.reflect && length)
        copy(x + (length - 2 - t) * rows * channels_);
      else
        to = std::fill_n(to, channels_, T(0));
    }
  }

  int64_t channels_;
  Kernel<T> kernel_;
  Around around_;
};

// An op whose state is so many numbers of each row.

}  // namespace

template <class T>
Made<T> make_convolution(const Told<T>& told, const std::vector<Form>& given) {
  if (told.count("positions", 0, 0)) return std::make_unique<ConvolutionWithin<T>>(told, given);
  return std::make_unique<Convolution<T>>(told, given);
}

template Made<float> make_convolution(const Told<float>&, const std::vector<Form>&);
template Made<double> make_convolution(const Told<double>&, const std::vector<Form>&);

}  // namespace statewise::runtime
