// Batches of a training call: validation of rows, counts of targets, and optimizer steps.
#pragma once
#include "optimizers.h"

namespace {

constexpr double MEAN_RATE = 0.005;  // rate of the exponential mean in ErrorRate
constexpr int PARAMETER_PADDING = 16;

inline int64_t id_at(const TrainProblem& f, int64_t at) {
  return f.id_bytes == 1 ? ((const uint8_t*)f.inputs)[at] : ((const uint16_t*)f.inputs)[at];
}
inline bool is_by_step(const TrainProblem& f) { return f.target == STEP_CLASS || f.target == NEXT_SYMBOL; }
inline bool is_class(const TrainProblem& f, int64_t label) { return label >= 0 && label < (f.outputs == 1 ? 2 : f.outputs); }

template <class Id>
bool has_wrong_id(const TrainProblem& f, const bool* disallowed, const Id* ids, int64_t length) {
  bool wrong = false;
  for (int64_t t = 0; t < length; t++) wrong |= ids[t] >= f.vocabulary || disallowed[ids[t]];
  return wrong;
}

// Validate all rows before any of them is used. `disallowed` is a work array, (vocabulary,).
inline int64_t check_rows(const TrainProblem& f, bool* disallowed) {
  for (int64_t id = 0; id < f.vocabulary; id++) {
    disallowed[id] = f.columns[id] == -2;
    if (f.columns[id] < -2 || f.columns[id] >= f.features) return INVALID_PROBLEM;
  }
  const int64_t* labels = (const int64_t*)f.labels;
  for (int64_t row = 0; row < f.sequences; row++) {
    const int64_t length = f.lengths[row], at = row * f.steps;
    if (length < 1 || length > f.steps) return INVALID_SPAN | row << 8;
    if (f.vocabulary && (f.id_bytes == 1 ? has_wrong_id(f, disallowed, (const uint8_t*)f.inputs + at, length)
                                         : has_wrong_id(f, disallowed, (const uint16_t*)f.inputs + at, length)))
      return INVALID_ID | row << 8;
    bool wrong = f.target == CLASS && !is_class(f, labels[row]);
    if (f.target == STEP_CLASS)
      for (int64_t t = 0; t < length; t++) wrong |= !is_class(f, labels[at + t]) && labels[at + t] != -100;
    if (wrong) return INVALID_LABEL | row << 8;
  }
  return DONE;
}

inline int64_t count_targets(const TrainProblem& f, int64_t row) {  // number of targets of a sequence
  int64_t count = !is_by_step(f);
  const int64_t at = row * f.steps;
  if (f.target == STEP_CLASS)
    for (int64_t t = 0; t < f.lengths[row]; t++) count += ((const int64_t*)f.labels)[at + t] >= 0;
  if (f.target == NEXT_SYMBOL)
    for (int64_t t = 1; t < f.lengths[row]; t++) count += f.columns[id_at(f, at + t)] >= 0;
  return count;
}

// Scale of the gradients of `count` sequences from row `first`, and whether there is an optimizer step. Without any next
// symbol to predict, torch takes a step with a gradient of zero.
struct BatchScale {
  double scale;
  bool updates;
};
inline BatchScale batch_scale(const TrainProblem& f, int64_t first, int64_t count) {
  int64_t targets = 0;
  for (int64_t row = first; row < first + count; row++) targets += count_targets(f, row);
  // The model's loss is a mean over sequences, or over targets
  const bool by_sequence = f.logistic && f.target != STEP_CLASS;
  return {1.0 / (by_sequence || !targets ? count : targets), targets > 0 || f.target != STEP_CLASS};
}

// Copy the outputs z of a step, [output][lane], to the logits of a row. For one target per sequence, the step is its last.
template <class S>
void write_logits(const TrainProblem& f, int64_t row, int64_t step, const S* z, int64_t lanes) {
  S* to = (S*)f.logits + (is_by_step(f) ? row * f.steps + step : row) * f.outputs;
  for (int64_t o = 0; o < f.outputs; o++) to[o] = z[o * lanes];
}

// Write the metrics of a row. `sums`: largest error, then the sums of errors, losses and correct answers, and the number
// of targets.
inline void write_row(const TrainProblem& f, int64_t row, const double* sums) {
  const double targets = sums[4] > 0 ? sums[4] : 1;
  double* out = f.rows + 4 * row;
  const double losses = f.logistic ? 1 : targets;  // the loss of logistic outputs is a sum
  out[0] = sums[0], out[1] = sums[1] / targets, out[2] = sums[2] / losses, out[3] = sums[3] / targets;
}

// Train on all batches. run_batch(first, count) evaluates these sequences, computes the gradient and returns whether there
// is one.
template <class S, class RunBatch>
void train_batches(const TrainProblem& f, S* gradient, int64_t size, RunBatch run_batch) {
  for (int64_t first = 0, step = 0; first < f.sequences; first += f.batch, step++) {
    const int64_t count = f.sequences - first < f.batch ? f.sequences - first : f.batch;
    if (!run_batch(first, count)) continue;
    double rate = f.rates[step];
    if (f.reference > 0) {
      double worst = 0;
      for (int64_t row = first; row < first + count; row++) worst = f.rows[4 * row] <= worst ? worst : f.rows[4 * row];
      f.progress[0] += MEAN_RATE * (worst - f.progress[0]);
      const double share = f.progress[0] / f.reference;
      rate *= share > 1 ? 1 : share < f.floor ? f.floor : share;
    }
    update(f, rate, f.max_norm > 0 ? clipping_factor(gradient, size, f.max_norm) : 1, gradient, size);
  }
}

}  // namespace
