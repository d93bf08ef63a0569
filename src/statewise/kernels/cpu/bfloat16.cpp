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
    shape_ = &cell_of(instruction_set(), call.cell).shape;
    P_ = call.projected ? call.projected : call.H;
    steps_ = call.T * call.N;
    if (call.batch_sizes) steps_ = std::accumulate(call.batch_sizes, call.batch_sizes + call.T, int64_t{0});
    WeightOf list[kMaxWeights];
    const int per = list_weights(*shape_, call.bias, call.projected, list);
    for (int64_t i = 0; i < call.L * call.D; ++i)
      for (int k = 0; k < per; ++k) {
        const int64_t rows = list[k].parts * call.H;
        switch (list[k].kind) {
          case WeightKind::kInput:
            weights_.push_back(rows * (i < call.D ? call.I : call.D * P_) / (shape_->heads_x ? call.heads : 1));
            break;
          case WeightKind::kRecurrent:
            weights_.push_back(rows * P_ / call.heads);
            break;
          case WeightKind::kProjection:
            weights_.push_back(P_ * call.H);
            break;
          default:
            weights_.push_back(rows);
        }
      }
    twin_.bfloat16 = false;
    twin_.bfloat16_products = true;
    sequence(twin_.x, call.I, kRead);
    each_state(&Call::State::initial, kRead);
    tensors(twin_.weights, kRead);
    for (void*& mask : twin_.masks) tensor(mask, steps_ * call.D * P_, kRead);
  }

  void forward() {
    sequence(twin_.y, call_.D * P_, kWritten);
    each_state(&Call::State::final, kWritten);
    run(statewise::forward);
  }

  void backward() {
    sequence(twin_.y, call_.D * P_, kRead);
    sequence(twin_.dy, call_.D * P_, kRead);
    each_state(&Call::State::dfinal, kRead);
    sequence(twin_.dx, call_.I, kWritten);
    each_state(&Call::State::dinitial, kWritten);
    tensors(twin_.weight_gradients, kWritten);
    run(statewise::backward);
  }

 private:
  struct Run {  // elements that follow each other: the caller's, and where they are in the twin's memory
    Bfloat16* data;
    int64_t at, count;
  };

  void each_state(void* Call::State::* which, Use use) {
    for (int k = 0; k < shape_->states; ++k) {
      const int64_t width = k > 0 || shape_->carries_h ? call_.H : P_;
      tensor(twin_.state[k].*which, call_.L * call_.D * call_.N * width, use);
    }
  }

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
  const CellShape* shape_;
  int64_t P_, steps_;  // what W_hh reads; steps of all rows together
  std::vector<int64_t> weights_;
  std::vector<Run> runs_[2];
  std::vector<std::pair<void**, int64_t>> places_;
  int64_t size_ = 0;
};

}  // namespace

void forward_bfloat16(const Call& call) { Twin(call).forward(); }
void backward_bfloat16(const Call& call) { Twin(call).backward(); }

}  // namespace statewise
