// Arguments of calls for memory cell blocks. The Python side packs these fields in this order, eight bytes each.
//
// Shapes: B sequences of at most T steps, F features of the input, H cells, G gates, U = H + G units.
#pragma once
#include "problem.h"

constexpr int64_t BLOCK_PADDING = 16;  // the number of cells is padded to a multiple of this
constexpr int64_t BLOCK_KEPT = 6;      // values per cell and step that backward needs

struct BlocksProblem {
  int64_t is_double, batch, steps, features, cells, block_size, output_gates;
  int64_t logistic_input;  // whether g is logistic; if not, 4 logistic - 2
  int64_t identity_output; // whether h is the identity; if not, 2 logistic - 1
  int64_t biased;          // number of units with a bias, the last ones
  int64_t vocabulary;      // number of ids; 0 for real values
  const void* inputs;      // (B, T) int64 ids, or (B, T, F)
  const int32_t* columns;  // (vocabulary,) column of the input weights of each id, -1 for the zero vector
  const int64_t* spans;    // (2, B) first real step and number of real steps of each row; null if all steps are real
  const void *h0, *m0;     // (B, H) and (B, U); null for zero
  const void *weight_ih, *weight_hh, *bias;  // (U, F), (U, U), (biased,)
  void* saved;             // (B, T + 1, BLOCK_KEPT, padded H): activations that forward saves for backward
  // weights in the layout of Blocks, for backward also their gradients, a work array (8, padded H), and U offsets, int64
  void* scratch;
  void *states, *h_n, *m_n;                   // (B, T, H) zero outside the spans, (B, H), (B, U)
  const void *d_states, *d_h_n, *d_m_n;       // gradients of these three; null for zero
  void *d_inputs, *d_m0;                      // d_inputs for real values only; both may be null
  void *d_weight_ih, *d_weight_hh, *d_bias;
};
