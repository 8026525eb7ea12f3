// Rows of a call of training: checks, counts of what enters the loss, and the steps of the optimizer that
// they are taken for.
#pragma once
#include "optimizers.h"

namespace {

constexpr double MEAN_RATE = 0.005;  // of ErrorRate
constexpr int PARAMETER_PADDING = 16;

inline int64_t id_at(const FitProblem& f, int64_t at) {
  return f.id_bytes == 1 ? ((const uint8_t*)f.inputs)[at] : ((const uint16_t*)f.inputs)[at];
}
inline bool is_by_step(const FitProblem& f) { return f.target == STEP_CLASS || f.target == NEXT_SYMBOL; }
inline bool is_class(const FitProblem& f, int64_t label) { return label >= 0 && label < (f.outputs == 1 ? 2 : f.outputs); }

template <class Id>
bool has_wrong_id(const FitProblem& f, const bool* refused, const Id* ids, int64_t length) {
  bool wrong = false;
  for (int64_t t = 0; t < length; t++) wrong |= ids[t] >= f.vocabulary || refused[ids[t]];
  return wrong;
}

// Before anything is done with the rows; refused: (vocabulary,) to work with.
inline int64_t check_rows(const FitProblem& f, bool* refused) {
  for (int64_t id = 0; id < f.vocabulary; id++) {
    refused[id] = f.columns[id] == -2;
    if (f.columns[id] < -2 || f.columns[id] >= f.features) return WRONG_PROBLEM;
  }
  const int64_t* labels = (const int64_t*)f.labels;
  for (int64_t row = 0; row < f.sequences; row++) {
    const int64_t length = f.lengths[row], at = row * f.steps;
    if (length < 1 || length > f.steps) return WRONG_SPAN | row << 8;
    if (f.vocabulary && (f.id_bytes == 1 ? has_wrong_id(f, refused, (const uint8_t*)f.inputs + at, length)
                                         : has_wrong_id(f, refused, (const uint16_t*)f.inputs + at, length)))
      return WRONG_ID | row << 8;
    bool wrong = f.target == CLASS && !is_class(f, labels[row]);
    if (f.target == STEP_CLASS)
      for (int64_t t = 0; t < length; t++) wrong |= !is_class(f, labels[at + t]) && labels[at + t] != -100;
    if (wrong) return WRONG_LABEL | row << 8;
  }
  return DONE;
}

inline int64_t counted(const FitProblem& f, int64_t row) {  // targets of a sequence
  int64_t count = !is_by_step(f);
  const int64_t at = row * f.steps;
  if (f.target == STEP_CLASS)
    for (int64_t t = 0; t < f.lengths[row]; t++) count += ((const int64_t*)f.labels)[at + t] >= 0;
  if (f.target == NEXT_SYMBOL)
    for (int64_t t = 1; t < f.lengths[row]; t++) count += f.columns[id_at(f, at + t)] >= 0;
  return count;
}

// Scale of the gradients of `count` sequences from `first` on, and whether they make a step. Where
// no next symbol counts, torch takes one, of a gradient of zero.
struct Share {
  double scale;
  bool learns;
};
inline Share share_of(const FitProblem& f, int64_t first, int64_t count) {
  int64_t targets = 0;
  for (int64_t row = first; row < first + count; row++) targets += counted(f, row);
  const bool by_sequence = f.logistic && f.target != STEP_CLASS;  // unit of the mean in the model's loss; if not, targets
  return {1.0 / (by_sequence || !targets ? count : targets), targets > 0 || f.target != STEP_CLASS};
}

// Sums over the counted targets of a sequence: worst error, errors, losses, correct ones, and how many.
inline void write_row(const FitProblem& f, int64_t row, const double* sums) {
  const double targets = sums[4] > 0 ? sums[4] : 1;  // of logistic outputs, errors are summed
  double* out = f.rows + 4 * row;
  out[0] = sums[0], out[1] = sums[1] / targets, out[2] = sums[2] / (f.logistic ? 1 : targets), out[3] = sums[3] / targets;
}

// All steps: make(first, count) evaluates these sequences, leaves their gradient and returns whether there is one.
template <class S, class Make>
void take_steps(const FitProblem& f, S* gradient, int64_t size, Make make) {
  for (int64_t first = 0, step = 0; first < f.sequences; first += f.batch, step++) {
    const int64_t count = f.sequences - first < f.batch ? f.sequences - first : f.batch;
    if (!make(first, count)) continue;
    double rate = f.rates[step];
    if (f.reference > 0) {
      double worst = 0;
      for (int64_t row = first; row < first + count; row++) worst = f.rows[4 * row] <= worst ? worst : f.rows[4 * row];
      f.progress[0] += MEAN_RATE * (worst - f.progress[0]);
      const double share = f.progress[0] / f.reference;
      rate *= share > 1 ? 1 : share < f.floor ? f.floor : share;
    }
    if (f.max_norm > 0) clip(gradient, size, f.max_norm);
    update(f, rate, gradient, size);
  }
}

}  // namespace
