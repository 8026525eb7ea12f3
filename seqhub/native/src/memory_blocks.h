// Arguments of a call on memory cell blocks. The Python side packs these fields, eight bytes each, in this order.
//
// Shapes: B sequences of at most T steps, F features of the input, H cells, G gates, U = H + G units.
#pragma once
#include "problem.h"

constexpr int64_t BLOCK_PADDING = 16;  // cells are padded to a multiple
constexpr int64_t BLOCK_KEPT = 6;      // values per cell and step that backward needs

struct BlocksProblem {
  int64_t is_double, batch, steps, features, cells, block_size, output_gates;
  int64_t squash_to_1;     // g is logistic, else 4 logistic - 2
  int64_t identity;        // h is the identity, else 2 logistic - 1
  int64_t biased;          // the last units, so many of them, have a bias
  int64_t vocabulary;      // number of ids; 0 for real values
  const void* inputs;      // (B, T) int64 ids, or (B, T, F)
  const int32_t* columns;  // (vocabulary,) column of the input weights of each id, -1 for the zero vector
  const int64_t* spans;    // (2, B) first step and number of steps of each row, or null: all
  const void *h0, *m0;     // (B, H) and (B, U), or null: zero
  const void *weight_ih, *weight_hh, *bias;  // (U, F), (U, U), (biased,)
  void* saved;             // (B, T + 1, BLOCK_KEPT, padded H): activations that forward saves for backward
  void* scratch;           // (4 or 3 rows of padded H, F + U + 1), for backward twice as much
  void *states, *h_n, *m_n;                   // (B, T, H) zero outside the spans, (B, H), (B, U)
  const void *d_states, *d_h_n, *d_m_n;       // gradients of the three; null is zero
  void *d_inputs, *d_m0;                      // of real values, and of m0; may be null
  void *d_weight_ih, *d_weight_hh, *d_bias;
};
