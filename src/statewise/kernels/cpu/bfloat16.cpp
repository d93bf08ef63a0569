#include "bfloat16.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "dispatch.hpp"
#include "memory.hpp"
#include "threads.hpp"

namespace statewise {
namespace {

constexpr int64_t kRun = 1 << 14;           // elements that a thread converts at a time
constexpr int64_t kWorthThreads = 1 << 18;  // elements from which on several do

enum Use { kRead, kWritten };

// A call's twin, whose tensors are float.
class Twin {
 public:
  explicit Twin(const Call& call) : call_(call), twin_(call), set_(bfloat16_set()) {
    if (!set_) throw std::invalid_argument("bfloat16: this machine has no kernels for it");
    const Kernels& k = set_->cells[call.cell].float32;
    P_ = call.projected ? call.projected : call.H;
    h_ = call.L * call.D * call.N * (k.carries_h ? call.H : P_);
    c_ = call.L * call.D * call.N * call.H;
    steps_ = call.T * call.N;
    if (call.batch_sizes) steps_ = std::accumulate(call.batch_sizes, call.batch_sizes + call.T, int64_t{0});
    const int64_t rows = k.gates * call.H;
    for (int64_t i = 0; i < call.L * call.D; ++i) {
      weights_.push_back(rows * (i < call.D ? call.I : call.D * P_));
      weights_.push_back(rows * P_);
      if (call.bias) weights_.insert(weights_.end(), 2, rows);
      if (call.projected) weights_.push_back(P_ * call.H);
    }
    twin_.bfloat16 = false;
    twin_.bfloat16_products = true;
    sequence(twin_.x, call.I, kRead);
    tensor(twin_.h0, h_, kRead);
    tensor(twin_.c0, c_, kRead);
    tensors(twin_.weights, kRead);
    for (void*& mask : twin_.masks) tensor(mask, steps_ * call.D * P_, kRead);
  }

  void forward() {
    sequence(twin_.y, call_.D * P_, kWritten);
    tensor(twin_.hn, h_, kWritten);
    tensor(twin_.cn, c_, kWritten);
    run(statewise::forward);
  }

  void backward() {
    sequence(twin_.y, call_.D * P_, kRead);
    sequence(twin_.dy, call_.D * P_, kRead);
    tensor(twin_.dhn, h_, kRead);
    tensor(twin_.dcn, c_, kRead);
    sequence(twin_.dx, call_.I, kWritten);
    tensor(twin_.dh0, h_, kWritten);
    tensor(twin_.dc0, c_, kWritten);
    tensors(twin_.weight_gradients, kWritten);
    run(statewise::backward);
  }

 private:
  struct Run {  // elements that follow each other: the caller's, and where they are in the twin's memory
    Bfloat16* data;
    int64_t at, count;
  };

  void tensors(std::vector<void*>& all, Use use) {
    for (size_t i = 0; i < all.size(); ++i) tensor(all[i], weights_[i], use);
  }

  void tensor(void*& data, int64_t count, Use use) {
    if (!data) return;
    add_run(static_cast<Bfloat16*>(data), size_, count, use);
    place(data, count);
  }

  void sequence(Strided& s, int64_t width, Use use) {
    if (!s.data) return;
    const int64_t outer = call_.batch_sizes ? 1 : call_.T, inner = call_.batch_sizes ? steps_ : call_.N;
    Bfloat16* const data = static_cast<Bfloat16*>(s.data);
    if (s.row == width && (outer == 1 || s.step == inner * width)) {
      add_run(data, size_, outer * inner * width, use);
    } else {
      for (int64_t i = 0; i < outer * inner; ++i)
        add_run(data + i / inner * s.step + i % inner * s.row, size_ + i * width, width, use);
    }
    place(s.data, outer * inner * width);
    s.step = inner * width;
    s.row = width;
  }

  void add_run(Bfloat16* data, int64_t at, int64_t count, Use use) {
    for (int64_t i = 0; i < count; i += kRun) runs_[use].push_back({data + i, at + i, std::min(kRun, count - i)});
  }

  // `data` shall point into the twin's memory, once there is some.
  void place(void*& data, int64_t count) {
    places_.push_back({&data, size_});
    size_ += (count + 15) / 16 * 16;
  }

  void run(void (*kernels)(const Call&)) {
    const Scratch scratch(size_ * int64_t(sizeof(float)), Scratch::kConversion);
    float* const memory = reinterpret_cast<float*>(scratch.data());
    for (const auto& [data, at] : places_) *data = memory + at;
    each(kRead, [&](const Run& r) { set_->widen(r.data, r.count, memory + r.at); });
    kernels(twin_);
    each(kWritten, [&](const Run& r) { set_->narrow(memory + r.at, r.count, r.data); });
  }

  template <class Work>
  void each(Use use, const Work& work) const {
    const std::vector<Run>& runs = runs_[use];
    parallel(size_ < kWorthThreads ? 1 : call_.threads, int64_t(runs.size()),
             [&](int64_t i) { work(runs[size_t(i)]); });
  }

  const Call& call_;
  Call twin_;
  const InstructionSet* const set_;
  int64_t P_, h_, c_, steps_;  // what W_hh reads; elements of the states; steps of all rows together
  std::vector<int64_t> weights_;
  std::vector<Run> runs_[2];
  std::vector<std::pair<void**, int64_t>> places_;
  int64_t size_ = 0;
};

}  // namespace

void forward_bfloat16(const Call& call) { Twin(call).forward(); }
void backward_bfloat16(const Call& call) { Twin(call).backward(); }

}  // namespace statewise
