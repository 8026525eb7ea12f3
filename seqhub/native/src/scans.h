// Arguments of scans: recurrences that are linear in their state. The Python side (scans.py) packs these fields in this
// order, eight bytes each.
//
// Shapes: B sequences of T steps, D channels with N states each, or H heads with keys of N and values of D numbers.
#pragma once
#include "problem.h"

// Inputs of each scan in order, and its two outputs. All are contiguous.
//   SELECTIVE  u (B, T, D), delta (B, T, D), A (D, N), B (B, T, N), C (B, T, N), state (B, D, N)
//              -> (B, T, D), (B, D, N)
//   DELTA      q (B, T, H, N), k (B, T, H, N), v (B, T, H, D), g (B, T, H), beta (B, T, H), state (B, H, N, D)
//              -> (B, T, H, D), (B, H, N, D)
//   LINEAR     x (B, T, D), a (B, T, D), state (B, D); for backward also its first output
//              -> (B, T, D), (B, D)
//   WKV        w (D), u (D), k (B, T, D), v (B, T, D), state (B, 3, D)
//              -> (B, T, D), (B, 3, D)
enum Scan { SELECTIVE, DELTA, LINEAR, WKV };
constexpr int MAX_INPUTS = 6;

struct ScanProblem {
  int64_t kind, is_double, batch, steps, width, state, heads;
  const void* inputs[MAX_INPUTS];  // the initial state and g may be null, for zero
  void* outputs[2];
  const void* d_outputs[2];    // gradients of the outputs; null for zero
  void* d_inputs[MAX_INPUTS];  // gradients of the inputs; that of g may be null
  void* scratch;               // of the size that seqhub_scan_scratch returns; not aligned
};
