// What one call is about. The Python side packs these fields, eight bytes each, in this order.
//
// Shapes: B sequences of at most T steps, F features or ids of the input, H units, D directions, N layers.
#pragma once
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))

enum Cell { RNN_TANH, RNN_RELU, GRU, LSTM };
enum Outcome { DONE, WRONG_PROBLEM, WRONG_ID, WRONG_SPAN };  // low byte; the rest is a row
enum Steps { ALL_REAL, SPANS, NEITHER };  // what a mask says; neither: a row has gaps, or no real step

struct Problem {
  int64_t cell, is_double, layers, directions, batch, steps, features, hidden;
  int64_t vocabulary;      // number of ids; 0 for real values
  const void* inputs;      // (B, T) int64 ids, or (B, T, F)
  const int32_t* columns;  // (vocabulary,) column of the input weights that an id stands for, -1 for the zero vector
  const int64_t* spans;    // (2, B) first step and number of steps of each row, or null: all
  const void *h0, *c0;     // (N * D, B, H), or null: zero
  void* saved;             // what backward needs; null where there will be none
  int64_t saved_bytes;
  void* scratch;           // memory of the call
  int64_t scratch_bytes;
  void* states;      // (B, T, D * H), zero outside the spans; may be null
  void *h_n, *c_n;   // (N * D, B, H); may be null
  const void *d_states, *d_h_n, *d_c_n;  // gradients of the three; null is zero
  void* d_inputs;                        // of real values; may be null, as may the next two
  void *d_h0, *d_c0;
  void* parameters[];  // weight_ih, weight_hh, bias_ih, bias_hh of each layer and direction; for backward as many
                       // for their gradients
};
