// Models of compiled cells (seqhub/cells), for training calls. The Python side packs these fields in this order, eight
// bytes each.
#pragma once
#include "problem.h"

// A layer that runs one cell from the first to the last real step.
struct CompiledLayer {
  void (*forward)(const int64_t*);   // functions of the library of the cell, which take its `Arguments` (cell.h)
  void (*backward)(const int64_t*);
  int64_t (*saved_bytes)(int64_t, int64_t);
  int64_t forward_scratch, backward_scratch;  // bytes
  int64_t features, output;          // widths of input and output
  int64_t states;
  const int64_t* widths;             // (states,)
  int64_t weights;
  const int64_t* offsets;            // (weights,) in the parameters; -1 for a constant
  const void* const* constants;      // (weights,)
};

// Parameters: the embedding of ids, the weights of all layers, `unread` weights of the head whose gradient is zero, and
// those of the head.
struct CompiledModel {
  int64_t layers, embedded;          // whether inputs are ids; then F of TrainProblem is the number of ids
  int64_t head_at, unread;           // number of parameters before those of the head, and of unread ones among them
  const CompiledLayer* layer;        // (layers,)
};
