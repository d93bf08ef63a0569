// The oracle of test_stack.cpp: all cells in double, one number after the other; derivatives by dual numbers.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

using Numbers = std::vector<double>;

// A call, padded: letters as in job.hpp. An empty state or cotangent stands for zeros.
struct Problem {
  std::string cell;
  int64_t T, N, I, H, projected, L, D;
  bool bias;
  std::vector<int64_t> lengths;  // (N,)
  Numbers x;                     // (T, N, I)
  Numbers h0, c0;                // (L*D, N, width)
  std::vector<Numbers> weights;  // per layer and direction: W_ih, W_hh, [b_ih, b_hh,] [W_hr]
  std::vector<Numbers> masks;    // (T, N, D*P), L - 1 of them or none
  Numbers dy, dhn, dcn;          // what the loss multiplies the results with

  int64_t gates() const { return cell == "lstm" ? 4 : cell == "gru" ? 3 : 1; }
  int64_t P() const { return projected ? projected : H; }
  int64_t state_width() const { return cell == "gru" ? H : P(); }
  bool has_c() const { return cell == "lstm"; }
};

struct Results {
  Numbers y, hn, cn;  // (T, N, D*P), (L*D, N, width), (L*D, N, H)
  double kink;        // how close a relu came to its kink
};

Results naive(const Problem& problem);

// What can be differentiated by: x, h0, c0, then the weights.
enum Leaf { kX, kH0, kC0, kWeights };

// The derivative of sum(y * dy) + sum(hn * dhn) + sum(cn * dcn) where the leaf moves `along` a direction.
double slope(const Problem& problem, int leaf, const Numbers& along);
