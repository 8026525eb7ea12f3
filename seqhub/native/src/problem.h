// Arguments of a call. The Python side packs these fields, eight bytes each, in this order.
//
// Shapes: B sequences of at most T steps, F features or ids of the input, H units, D directions, N layers.
#pragma once
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))
#define LAYOUT 1  // of the structs and functions; raised, here and in library.py, whenever one of them changes

constexpr int64_t LONGEST = int64_t(1) << 31;  // of any dimension

// A new cell goes to the end: a struct in cells.h, a case in by_cell (recurrence.cpp), a name in CELLS (operator.py).
enum Cell { RNN_TANH, RNN_RELU, GRU, LSTM };  // memory cell blocks are trained by functions of their own
enum Outcome { DONE, WRONG_PROBLEM, WRONG_ID, WRONG_SPAN, WRONG_LABEL };  // low byte; the rest is a row
enum Target { CLASS, NUMBER, STEP_CLASS, NEXT_SYMBOL };
enum Optimizer { ADAM, ADAMW, RMSPROP, SGD };
enum Steps { ALL_REAL, SPANS, NEITHER };  // contents of a mask; neither: a row has gaps, or no real step

struct Problem {
  int64_t cell, is_double, layers, directions, batch, steps, features, hidden;
  int64_t vocabulary;      // number of ids; 0 for real values
  const void* inputs;      // (B, T) int64 ids, or (B, T, F)
  const int32_t* columns;  // (vocabulary,) column of the input weights of each id, -1 for the zero vector
  const int64_t* spans;    // (2, B) first step and number of steps of each row, or null: all
  const void *h0, *c0;     // (N * D, B, H), or null: zero
  void* saved;             // activations for backward; null without a backward pass
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

// Arguments of a call of training, packed in the same way: `sequences` in order, `batch` of them to a step of the optimizer.
struct FitProblem {
  int64_t cell, is_double, layers, directions, features, hidden;
  int64_t vocabulary;      // as above
  int64_t target, outputs, logistic;
  int64_t all_outputs;     // over which errors are averaged: those that are always right, too
  int64_t optimizer, trains;  // without training, rows are evaluated and nothing changes
  double first, second;    // betas, or momentum and smoothing
  double weight_decay, max_norm;           // of the gradient; 0: any
  double reference, floor;                 // of ErrorRate; reference 0: none
  double tolerance;
  int64_t batch, sequences, steps, id_bytes;
  const void* inputs;      // (sequences, steps) ids of `id_bytes` each, or (sequences, steps, features)
  const int32_t* columns;  // (vocabulary,) as above; -2 for an id that must not occur
  const int64_t* lengths;  // (sequences,)
  const void* labels;      // (sequences,) int64 or, of NUMBER, of the weights' type; (sequences, steps) int64, -100 where
                           // a step does not count; null of NEXT_SYMBOL
  const double* rates;     // of each step
  void *parameters;        // as above, one after the other, then weight and bias of the head, then zeros to a multiple of
                           // sixteen; and of the same length the two moments
  void *first_moments, *second_moments;
  double* progress;        // error mean, first ^ steps, second ^ steps
  double* rows;            // (sequences, 4) worst error, mean error, loss, right: before the step of each
  void* scratch;
  int64_t scratch_bytes;
  int64_t head_biased;     // whether the head has a bias
  int64_t block_size, output_gates, squash_to_1, identity, biased;  // for memory cell blocks, as in BlocksProblem
  int64_t recurrent;       // whether units read those of the previous step; if not, the head reads the input, too
};
