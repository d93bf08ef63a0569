// What NeuralAmpModelerCore makes of a .nam file, for tests/weights: made once. In a checkout of it (commit in nam.json):
//   c++ -std=c++20 -O2 -I . -I EIGEN -I Dependencies/nlohmann nam_figures.cpp NAM/*.cpp NAM/wavenet/*.cpp
//   ./a.out model.nam 200 > samples.csv
// prints so many samples of a sine that gets faster, and what the model makes of each, from its first state on.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "NAM/dsp.h"
#include "NAM/get_dsp.h"

int main(int, char** argv) {
  nam::DspLoadOptions options;
  options.prewarm = false;
  auto model = nam::get_dsp(std::filesystem::path(argv[1]), options);
  for (int t = 0; t < std::atoi(argv[2]); ++t) {
    NAM_SAMPLE x = static_cast<float>(0.8 * std::sin(0.001 * t * t)), y = 0;
    NAM_SAMPLE *in = &x, *out = &y;
    model->process(&in, &out, 1);
    std::printf("%.9g,%.9g\n", static_cast<double>(x), static_cast<double>(y));
  }
}
