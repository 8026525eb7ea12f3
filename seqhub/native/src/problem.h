// Arguments of calls. The Python side packs these fields in this order, eight bytes each.
//
// Shapes: B sequences of at most T steps, F features or ids of the input, H units, D directions, N layers.
#pragma once
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))
#define ABI_VERSION 5  // of the structs and functions; increase it here and in loader.py with every change of them

constexpr int64_t MAX_SIZE = int64_t(1) << 31;  // every dimension must be below

// To add a cell, append it here, and add a struct in cells.h, a case in kernels_of (kernels.h) and a name in CELLS
// (loader.py). Memory cell blocks have separate functions.
enum Cell { RNN_TANH, RNN_RELU, GRU, LSTM };
enum Outcome { DONE, INVALID_PROBLEM, INVALID_ID, INVALID_SPAN, INVALID_LABEL };  // in the low byte; the other bytes are a row
enum Target { CLASS, NUMBER, STEP_CLASS, NEXT_SYMBOL };
enum Optimizer { ADAM, ADAMW, RMSPROP, SGD };
enum MaskKind { ALL_REAL, CONTIGUOUS, NOT_CONTIGUOUS };  // the last: a row has gaps or no real step

struct Problem {
  int64_t cell, is_double, layers, directions, batch, steps, features, hidden;
  int64_t vocabulary;      // number of ids; 0 for real values
  const void* inputs;      // (B, T) int64 ids, or (B, T, F)
  const int32_t* columns;  // (vocabulary,) column of the input weights of each id, -1 for the zero vector
  const int64_t* spans;    // (2, B) first real step and number of real steps of each row; null if all steps are real
  const void *h0, *c0;     // (N * D, B, H); null for zero
  void* saved;             // activations for backward; null if there is no backward pass
  int64_t saved_bytes;
  void* scratch;           // work memory of the call
  int64_t scratch_bytes;
  void* states;      // (B, T, D * H), zero outside the spans; may be null
  void *h_n, *c_n;   // (N * D, B, H); may be null
  const void *d_states, *d_h_n, *d_c_n;  // gradients of these three; null for zero
  void* d_inputs;                        // for real values only; this and the next two may be null
  void *d_h0, *d_c0;
  void* parameters[];  // weight_ih, weight_hh, bias_ih, bias_hh of each layer and direction; for backward followed by
                       // their gradients
};

// Arguments of a training call, packed in the same way. Sequences are used in order, `batch` of them for an optimizer step.
struct TrainProblem {
  int64_t cell, is_double, layers, directions, features, hidden;
  int64_t vocabulary;      // as in Problem
  int64_t target, outputs, logistic;
  int64_t all_outputs;     // number of outputs to average errors over, including outputs that are always correct
  int64_t optimizer, is_training;  // if not is_training, rows are only evaluated
  double first, second;           // betas, or momentum and smoothing
  double weight_decay, max_norm;  // max_norm is the limit of the gradient norm; 0 for no limit
  double reference, floor;        // as in ErrorRate; reference 0 for a constant rate
  double tolerance;
  int64_t batch, sequences, steps, id_bytes;
  const void* inputs;      // (sequences, steps) ids of `id_bytes` each, or (sequences, steps, features)
  const int32_t* columns;  // (vocabulary,) as in Problem; -2 for an id that is not allowed
  const int64_t* lengths;  // (sequences,)
  const void* labels;      // CLASS: (sequences,) int64; NUMBER: (sequences,) of the type of the weights; STEP_CLASS:
                           // (sequences, steps) int64, -100 for steps without a target; NEXT_SYMBOL: null
  const double* rates;     // learning rate of each optimizer step
  void *parameters;        // those of Problem in order, weight and bias of the head, and zeros up to a multiple of sixteen
  void *first_moments, *second_moments;  // of the same length
  double* progress;        // mean error, first ^ steps, second ^ steps
  double* rows;            // (sequences, 4) largest error, mean error, loss, correct: before the optimizer step
  void* scratch;
  int64_t scratch_bytes;
  int64_t head_has_bias;     // whether the head has a bias
  int64_t block_size, output_gates, logistic_input, identity_output, biased;  // as in BlocksProblem
  int64_t recurrent;       // whether units read the units of the previous step; if not, the head also reads the input
  void* logits;            // outputs of the head: (sequences, outputs), or (sequences, steps, outputs) for targets of steps,
                           // unchanged at padded steps; null if not needed, and for training
};
