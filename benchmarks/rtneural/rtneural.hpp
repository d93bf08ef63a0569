// RTNeural's layers of fixed sizes, behind a function: a model, and what makes its steps.

#pragma once

#include <memory>
#include <vector>

struct Peer {
  std::shared_ptr<void> model;
  // So many steps; x's rows lie x_row apart, which are whole vectors, with zeros where they are longer than a row.
  void (*step)(void* model, const float* x, int x_row, float* y, int count);
};

// weights: torch's W_ih, W_hh, (gates * H, H), and one bias of each gate. Nothing, for sizes that aren't compiled.
Peer make_eigen(int hidden, bool gru, const std::vector<float> (&weights)[3]);
Peer make_xsimd(int hidden, bool gru, const std::vector<float> (&weights)[3]);
