#include "naive.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

struct Dual {
  double value = 0, slope = 0;
};
Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.slope - b.slope}; }
Dual operator*(Dual a, Dual b) { return {a.value * b.value, a.value * b.slope + a.slope * b.value}; }

double value(double a) { return a; }
double value(Dual a) { return a.value; }
double with_slope(double, double f, double) { return f; }
Dual with_slope(Dual a, double f, double derivative) { return {f, derivative * a.slope}; }

template <class S>
S sigmoid(S a) {
  const double s = 1 / (1 + std::exp(-value(a)));
  return with_slope(a, s, s * (1 - s));
}

template <class S>
S hyperbolic(S a) {
  const double t = std::tanh(value(a));
  return with_slope(a, t, 1 - t * t);
}

template <class S>
std::vector<S> constants(const Numbers& values) {
  std::vector<S> all(values.size());
  for (size_t i = 0; i < values.size(); ++i) all[i] = S{values[i]};
  return all;
}

void move(std::vector<double>&, const Numbers&) {}
void move(std::vector<Dual>& all, const Numbers& along) {
  for (size_t i = 0; i < all.size(); ++i) all[i].slope = along[i];
}

// W (rows, width) times v (width,), plus b if there is one.
template <class S>
std::vector<S> product(const std::vector<S>& w, const S* v, size_t width, const std::vector<S>* b) {
  std::vector<S> r = b ? *b : std::vector<S>(w.size() / width);
  for (size_t i = 0; i < r.size(); ++i)
    for (size_t k = 0; k < width; ++k) r[i] = r[i] + w[i * width + k] * v[k];
  return r;
}

template <class S>
struct Run {
  const Problem& p;
  std::vector<S> x, h0, c0, y, hn, cn;
  std::vector<std::vector<S>> weights;
  double kink = std::numeric_limits<double>::infinity();

  Run(const Problem& problem, int leaf, const Numbers& along)
      : p(problem), x(constants<S>(p.x)), h0(constants<S>(p.h0)), c0(constants<S>(p.c0)) {
    for (const Numbers& w : p.weights) weights.push_back(constants<S>(w));
    if (leaf == kX) move(x, along);
    if (leaf == kH0) move(h0, along);
    if (leaf == kC0) move(c0, along);
    if (leaf >= kWeights) move(weights[size_t(leaf - kWeights)], along);
    hn.resize(size_t(p.L * p.D * p.N * p.state_width()));
    cn.resize(size_t(p.has_c() ? p.L * p.D * p.N * p.H : 0));
    for (int64_t l = 0; l < p.L; ++l) layer(l);
  }

  void layer(int64_t l) {
    const int64_t width = p.D * p.P(), in = l == 0 ? p.I : width;
    y.assign(size_t(p.T * p.N * width), S{});
    for (int64_t d = 0; d < p.D; ++d)
      for (int64_t n = 0; n < p.N; ++n) row(l, d, n, in);
    if (l + 1 == p.L) return;
    x = y;
    if (p.masks.empty()) return;
    for (size_t i = 0; i < x.size(); ++i) x[i] = x[i] * S{p.masks[size_t(l)][i]};
  }

  void row(int64_t l, int64_t d, int64_t n, int64_t in) {
    const size_t per = size_t(2 + 2 * p.bias + (p.projected > 0)), k = size_t(l * p.D + d);
    const std::vector<S>*w = &weights[k * per], *w_hr = p.projected ? &w[per - 1] : nullptr;
    const size_t H = size_t(p.H), P = size_t(p.P()), width = size_t(p.state_width());
    const size_t at_h = (k * size_t(p.N) + size_t(n)) * width, at_c = (k * size_t(p.N) + size_t(n)) * H;
    std::vector<S> h(width), c(H);
    if (!h0.empty()) std::copy_n(h0.begin() + long(at_h), width, h.begin());
    if (!c0.empty()) std::copy_n(c0.begin() + long(at_c), H, c.begin());
    std::vector<S> recurrent_input = w_hr && p.cell == "gru" ? product<S>(*w_hr, h.data(), H, nullptr) : h;
    for (int64_t s = 0; s < p.lengths[size_t(n)]; ++s) {
      const int64_t t = d ? p.lengths[size_t(n)] - 1 - s : s, at = t * p.N + n;
      const auto from_x = product(w[0], x.data() + at * in, size_t(in), p.bias ? &w[2] : nullptr);
      const auto from_h = product(w[1], recurrent_input.data(), P, p.bias ? &w[3] : nullptr);
      std::vector<S> out(H);
      for (size_t u = 0; u < H; ++u) out[u] = unit(from_x, from_h, u, h, c);
      recurrent_input = w_hr ? product<S>(*w_hr, out.data(), H, nullptr) : out;
      h = p.cell == "gru" ? out : recurrent_input;
      std::copy(recurrent_input.begin(), recurrent_input.end(), y.begin() + long((at * p.D + d) * p.P()));
    }
    std::copy(h.begin(), h.end(), hn.begin() + long(at_h));
    if (p.has_c()) std::copy(c.begin(), c.end(), cn.begin() + long(at_c));
  }

  S unit(const std::vector<S>& x_part, const std::vector<S>& h_part, size_t u, const std::vector<S>& h,
         std::vector<S>& c) {
    const auto sum = [&](size_t gate) { return x_part[gate * size_t(p.H) + u] + h_part[gate * size_t(p.H) + u]; };
    if (p.cell == "rnn_tanh") return hyperbolic(sum(0));
    if (p.cell == "rnn_relu") {
      kink = std::min(kink, std::abs(value(sum(0))));
      return value(sum(0)) > 0 ? sum(0) : S{};
    }
    if (p.cell == "lstm") {
      c[u] = sigmoid(sum(1)) * c[u] + sigmoid(sum(0)) * hyperbolic(sum(2));
      return sigmoid(sum(3)) * hyperbolic(c[u]);
    }
    const size_t n = 2 * size_t(p.H) + u;
    const S reset = sigmoid(sum(0)), update = sigmoid(sum(1)), fresh = hyperbolic(x_part[n] + reset * h_part[n]);
    return fresh + update * (h[u] - fresh);
  }
};

}  // namespace

Results naive(const Problem& problem) {
  Run<double> run(problem, -1, {});
  return {run.y, run.hn, run.cn, run.kink};
}

double slope(const Problem& problem, int leaf, const Numbers& along) {
  const Run<Dual> run(problem, leaf, along);
  double total = 0;
  const auto add = [&](const std::vector<Dual>& results, const Numbers& cotangents) {
    for (size_t i = 0; i < cotangents.size(); ++i) total += results[i].slope * cotangents[i];
  };
  add(run.y, problem.dy);
  add(run.hn, problem.dhn);
  add(run.cn, problem.dcn);
  return total;
}
