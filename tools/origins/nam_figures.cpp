// What NeuralAmpModelerCore makes of a .nam file, for tests/weights: made once. In a checkout of it:
//   c++ -std=c++20 -O2 -I . -I EIGEN -I Dependencies/nlohmann nam_figures.cpp NAM/*.cpp NAM/wavenet/*.cpp
//   ./a.out model.nam 200
// prints, as JSON, so many samples of a sine that gets faster, and what the model makes of them from its first
// state on. tests/weights/figures/nam.json says of which commit the figures there are, and has the models and their
// licence.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "NAM/dsp.h"
#include "NAM/get_dsp.h"

namespace {

void print(const char* name, const std::vector<NAM_SAMPLE>& values, const char* end) {
  std::printf("\"%s\":[", name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::printf("%s%.9g", i ? "," : "", static_cast<double>(values[i]));
  }
  std::printf("]%s", end);
}

}  // namespace

int main(int, char** argv) {
  nam::DspLoadOptions options;
  options.prewarm = false;
  auto model = nam::get_dsp(std::filesystem::path(argv[1]), options);
  std::vector<NAM_SAMPLE> x, y(static_cast<std::size_t>(std::atoi(argv[2])));
  for (std::size_t t = 0; t < y.size(); ++t) {
    x.push_back(static_cast<float>(0.8 * std::sin(0.001 * static_cast<double>(t * t))));
  }
  NAM_SAMPLE *in = x.data(), *out = y.data();
  model->process(&in, &out, static_cast<int>(y.size()));
  std::printf("{");
  print("x", x, ",");
  print("y", y, "}\n");
}
