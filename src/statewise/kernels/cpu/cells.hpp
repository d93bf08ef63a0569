// All cells' kernels. Adding one: its include here and its line in cells.def.

#pragma once

#include "../../cells/gru.hpp"
#include "../../cells/lstm.hpp"
#include "../../cells/rnn.hpp"
