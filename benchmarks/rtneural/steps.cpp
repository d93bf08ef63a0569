// Prints a table: how long a step takes of an LSTM and of a GRU of as many inputs as units, by itself and in blocks of
// 64, in turns, the fastest of many samples, and how far apart the results are.

#include <statewise.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>

#include "rtneural.hpp"

namespace {

// The file that statewise.save would write.
std::string file_of(bool gru, int hidden, const std::vector<float> (&weights)[3]) {
  const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}, *const cell = gru ? "gru" : "lstm";
  const int rows = (gru ? 3 : 4) * hidden;
  const std::string h = std::to_string(hidden);
  std::string header =
      "{\"__metadata__\":{\"statewise\":\"{\\\"kind\\\":\\\"network\\\",\\\"format\\\":1,\\\"content\\\":{"
      "\\\"inputs\\\":[{"
      "\\\"name\\\":\\\"x\\\",\\\"kind\\\":\\\"values\\\",\\\"width\\\":" +
      h +
      "}],\\\"ops\\\":[{\\\"op\\\":\\\"recurrent\\\","
      "\\\"cell\\\":\\\"" +
      cell + "\\\",\\\"hidden_size\\\":" + h + "}]}}\"}";
  std::string data;
  for (int i = 0; i < 4; ++i) {
    const std::vector<float> tensor = i < 3 ? weights[i] : std::vector<float>(size_t(rows));
    const std::string shape = std::to_string(rows) + (i < 2 ? "," + h : "");
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.data()), tensor.size() * sizeof(float));
    header += std::string(",\"recurrent.") + names[i] + "_l0\":{\"dtype\":\"F32\",\"shape\":[" + shape +
              "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  header += "}";
  const unsigned long long size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + data;
}

constexpr int kBlock = 64;
constexpr int kPlaces = 6;  // in memory, of everything: some are a fifth slower than others

template <class F>
double nanoseconds(int count, const F& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / count;
}

}  // namespace

int main() {
  std::printf(
      "| cell | I = H | statewise_step | statewise_feed | RTNeural, Eigen | RTNeural, xsimd | the faster of these / "
      "step "
      "| / feed |\n");
  std::printf("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
  double apart = 0;
  for (bool gru : {false, true})
    for (int hidden : {8, 16, 32, 64, 128}) {
      std::mt19937 numbers(1);
      std::normal_distribution<float> draw(0, 1 / std::sqrt(float(hidden)));
      const size_t rows = size_t((gru ? 3 : 4) * hidden);
      std::vector<float> weights[3] = {std::vector<float>(rows * size_t(hidden)),
                                       std::vector<float>(rows * size_t(hidden)), std::vector<float>(rows)};
      for (auto& each : weights)
        for (float& v : each) v = draw(numbers);
      const std::string file = file_of(gru, hidden, weights);
      double best[4] = {1e30, 1e30, 1e30, 1e30};
      for (int place = 0; place < kPlaces; ++place) {
        const std::vector<char> before(size_t(place) * 1100);
        statewise_error error;
        statewise_network* const net = statewise_load_memory(file.data(), file.size(), 1, &error);
        statewise_stream* const stream = net ? statewise_stream_new(net, 1, &error) : nullptr;
        if (!stream) return std::fprintf(stderr, "%s\n", error.message), 1;
        const Peer peers[] = {make_eigen(hidden, gru, weights), make_xsimd(hidden, gru, weights)};
        alignas(64) float x[kBlock * 128], padded[kBlock * 128] = {}, y[4][kBlock * 128];
        const int x_row = std::max(hidden, 16);
        const size_t row = size_t(hidden);
        for (size_t i = 0; i < kBlock * row; ++i) x[i] = draw(numbers);
        for (size_t i = 0; i < kBlock * row; ++i) padded[i / row * size_t(x_row) + i % row] = x[i];
        const auto steps = [&] {
          for (size_t t = 0; t < kBlock; ++t) {
            const void* const in[] = {x + t * row};
            void* const out[] = {y[0] + t * row};
            statewise_step(stream, in, out);
          }
        };
        steps();
        statewise_reset(stream);
        statewise_feed(stream, kBlock, x, y[1]);
        for (int k = 0; k < 2; ++k) peers[k].step(peers[k].model.get(), padded, x_row, y[2 + k], kBlock);
        for (int k = 1; k < 4; ++k)
          for (size_t i = 0; i < kBlock * row; ++i)
            apart = std::max(apart, std::fabs(double(y[k][i]) - double(y[0][i])));
        const int blocks = std::max(1, 60000 / (hidden * hidden) / kBlock);
        for (int sample = 0; sample < 600 / kPlaces; ++sample)
          for (int k = 0; k < 4; ++k)
            best[k] = std::min(best[k], nanoseconds(blocks * kBlock, [&] {
                                 for (int i = 0; i < blocks; ++i)
                                   if (k == 0)
                                     steps();
                                   else if (k == 1)
                                     statewise_feed(stream, kBlock, x, y[1]);
                                   else
                                     peers[k - 2].step(peers[k - 2].model.get(), padded, x_row, y[k], kBlock);
                               }));
        statewise_stream_free(stream);
        statewise_free(net);
      }
      const double peer = std::min(best[2], best[3]);
      std::printf("| %s | %d | %.0f ns | %.0f ns | %.0f ns | %.0f ns | %.2f | %.2f |\n", gru ? "GRU" : "LSTM", hidden,
                  best[0], best[1], best[2], best[3], peer / best[0], peer / best[1]);
    }
  std::printf("Largest difference of a result: %.2g\n", apart);
}
