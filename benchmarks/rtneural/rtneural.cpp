// One back end of RTNeural, as the build says.

#include "rtneural.hpp"

#include <RTNeural.h>

#include <type_traits>

namespace {

namespace peer = RTNEURAL_NAMESPACE;

template <int H, bool gru>
class Model {
 public:
  explicit Model(const std::vector<float> (&weights)[3]) {
    constexpr int gates = gru ? 3 : 4;
    // Keras's order of a GRU's gates is z, r, n; torch's is r, z, n. Of an LSTM both have i, f, g, o.
    constexpr int order[] = {gru ? 1 : 0, gru ? 0 : 1, 2, 3};
    std::vector<std::vector<float>> turned[2];
    for (int w = 0; w < 2; ++w) {
      turned[w].assign(H, std::vector<float>(gates * H));
      for (int k = 0; k < H; ++k)
        for (int g = 0; g < gates; ++g)
          for (int u = 0; u < H; ++u) turned[w][k][g * H + u] = weights[w][size_t((order[g] * H + u) * H + k)];
    }
    std::vector<float> bias(gates * H);
    for (int g = 0; g < gates; ++g)
      for (int u = 0; u < H; ++u) bias[g * H + u] = weights[2][size_t(order[g] * H + u)];
    auto& layer = model_.template get<0>();
    layer.setWVals(turned[0]);
    layer.setUVals(turned[1]);
    if constexpr (gru)
      layer.setBVals({bias, std::vector<float>(gates * H)});
    else
      layer.setBVals(bias);
    model_.reset();
  }

  static void step(void* model, const float* x, int x_row, float* y, int count) {
    auto& net = static_cast<Model*>(model)->model_;
    for (int i = 0; i < count; ++i) {
      net.forward(x + i * x_row);
      const float* const found = net.getOutputs();
      for (int k = 0; k < H; ++k) y[i * H + k] = found[k];
    }
  }

 private:
  using Layer = std::conditional_t<gru, peer::GRULayerT<float, H, H>, peer::LSTMLayerT<float, H, H>>;
  peer::ModelT<float, H, H, Layer> model_;
};

template <int H>
Peer of_size(bool gru, const std::vector<float> (&weights)[3]) {
  if (gru) return {std::make_shared<Model<H, true>>(weights), Model<H, true>::step};
  return {std::make_shared<Model<H, false>>(weights), Model<H, false>::step};
}

}  // namespace

#define JOIN_TWO(a, b) a##b
#define JOIN(a, b) JOIN_TWO(a, b)
Peer JOIN(make_, NAME)(int hidden, bool gru, const std::vector<float> (&weights)[3]) {
  if (hidden == 8) return of_size<8>(gru, weights);
  if (hidden == 16) return of_size<16>(gru, weights);
  if (hidden == 32) return of_size<32>(gru, weights);
  if (hidden == 64) return of_size<64>(gru, weights);
  if (hidden == 128) return of_size<128>(gru, weights);
  return {};
}
