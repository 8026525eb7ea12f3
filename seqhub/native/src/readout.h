// Weights of the head during training, and its readout of individual states: vector lanes are states of any sequence and
// step.
#pragma once
#include "head.h"
#include "weight_layout.h"
#include "train_batch.h"

namespace {

constexpr int64_t HEAD_BYTES = 64 << 10;  // outputs computed between two updates of the weight gradients

// A state that the head reads, its target, and the destination of its gradient.
template <class S>
struct Item {
  const S* h[2];
  S* d_h[2];
  int label;
  S number;
  int sequence;  // index within the small batch
  int64_t row, step;
};

template <class S>
struct Readout {
  static constexpr int L = LANES<S>;

  struct Memory {
    S *weight, *bias;  // padded
    S *d_weight[2], *d_bias;
    S* outputs;        // [step][output][sequence], for `steps` steps
    Item<S>* items;    // layout: [item / L][part * units][item % L]
    S *states, *d_states;
    Int<S>* labels;
    S* numbers;
  };

  const TrainProblem& f;
  const int64_t parts, real, units;  // concatenated states, and the width of each without and with padding
  const int64_t padded, steps;       // outputs with padding, and steps that are processed together

  Readout(const TrainProblem& fit, int64_t parts_, int64_t real_)
      : f(fit), parts(parts_), real(real_), units(round_up(real, UNIT_PADDING)),
        padded(round_up(f.outputs, OUTPUT_PADDING)), steps(steps_per_pass()) {}

  int64_t steps_per_pass() const {
    const int64_t count = HEAD_BYTES / int64_t(sizeof(S) * 2 * L * padded);
    return !is_by_step(f) || count < 1 ? 1 : count > f.steps ? f.steps : count;
  }
  uint64_t size() const { return uint64_t(f.outputs) * (parts * real + f.head_has_bias); }
  int64_t max_items() const { return steps * L; }

  Kind kind() const {
    if (f.target == NUMBER) return f.logistic ? LOGISTIC_NUMBER : LINEAR_NUMBER;
    return f.logistic ? LOGISTIC : f.outputs == 1 ? LOGIT : SOFTMAX;
  }

  void allocate(Arena& arena, Memory& m, int64_t lanes, bool by_item) const {
    m.weight = arena.allocate<S>(padded, parts, units);
    m.bias = arena.allocate<S>(padded);
    for (int64_t part = 0; part < parts; part++) m.d_weight[part] = arena.allocate<S>(padded, units);
    m.d_bias = arena.allocate<S>(padded);
    m.outputs = arena.allocate<S>(steps, padded, lanes);
    if (!by_item) return;
    m.items = arena.allocate<Item<S>>(steps, L);
    m.states = arena.allocate<S>(steps, parts, units, L);
    m.d_states = arena.allocate<S>(parts, units, L);
    m.labels = arena.allocate<Int<S>>(L);
    m.numbers = arena.allocate<S>(L);
  }

  void zero(const Memory& m) const {  // sets the padding
    memset(m.weight, 0, sizeof(S) * padded * parts * units);
    memset(m.bias, 0, sizeof(S) * padded);
    if (m.states) memset(m.states, 0, sizeof(S) * steps * parts * units * L);
  }

  // Prepare an optimizer step: copy the weights from the parameters and set the gradients to zero.
  void pack(const S* parameters, const Memory& m) const {
    for (int64_t row = 0; row < f.outputs * parts; row++)
      memcpy(m.weight + row * units, parameters + row * real, sizeof(S) * real);
    if (f.head_has_bias) memcpy(m.bias, parameters + f.outputs * parts * real, sizeof(S) * f.outputs);
    for (int64_t part = 0; part < parts; part++) memset(m.d_weight[part], 0, sizeof(S) * padded * units);
    memset(m.d_bias, 0, sizeof(S) * padded);
  }

  void unpack(const Memory& m, S* gradient) const {
    for (int64_t o = 0; o < f.outputs; o++)
      for (int64_t part = 0; part < parts; part++)
        for (int64_t j = 0; j < real; j++)
          *gradient++ =
              m.d_weight[part][(j / TILE_J * (padded / TILE_K) + o / TILE_K) * TILE + o % TILE_K * TILE_J + j % TILE_J];
    if (f.head_has_bias) memcpy(gradient, m.d_bias, sizeof(S) * f.outputs);
  }

  template <int G>
  Head<S, G> head(const Memory& m) const {
    return {kind(), f.outputs, padded, units, parts, S(f.all_outputs), S(f.tolerance), m.weight, m.bias,
            {m.d_weight[0], m.d_weight[1]}, m.d_bias};
  }

  // Set the target of step t of a row, whose ids have these columns; return false if the step has no target.
  bool read_target(int64_t row, const int32_t* columns, int64_t t, Item<S>& item) const {
    const int64_t* labels = (const int64_t*)f.labels;
    if (f.target == NUMBER) {
      item.number = ((const S*)f.labels)[row];
      return true;
    }
    item.label = -1;
    if (f.target == CLASS) item.label = int(labels[row]);
    if (f.target == STEP_CLASS) item.label = int(labels[row * f.steps + t]);
    if (f.target == NEXT_SYMBOL && t + 1 < f.lengths[row]) item.label = columns[t + 1];
    return is_class(f, item.label);
  }

  // Evaluate the first `used` items; add to the sums of their sequences and to the weight gradients.
  void operator()(const Memory& m, int64_t used, S scale, double (*sums)[5]) const {
    const Head<S, 1> with = head<1>(m);
    const int64_t groups = (used + L - 1) / L;
    S* d_states[2] = {m.d_states, m.d_states + units * L};
    Series<S> h[2];
    for (int64_t part = 0; part < parts; part++) h[part] = {m.states + part * units * L, parts * units, real, 0, 1};
    for (int64_t group = 0; group < groups; group++) {
      Item<S>* items = m.items + group * L;
      const int here = used - group * L < L ? int(used - group * L) : L;
      const S* at[2] = {h[0].at(group, L), parts > 1 ? h[1].at(group, L) : nullptr};
      for (int lane = 0; lane < L; lane++) {
        m.labels[lane] = lane < here ? (f.target == NUMBER ? 1 : items[lane].label) : -1;
        m.numbers[lane] = lane < here ? items[lane].number : S(0);
        for (int64_t part = 0; part < parts; part++)
          for (int64_t j = 0; j < real; j++) ((S*)at[part])[j * L + lane] = lane < here ? items[lane].h[part][j] : S(0);
      }
      MetricSums<S, 1> metrics{};
      S* z = m.outputs + group * padded * L;
      with.compute_outputs(at, z);
      for (int lane = 0; f.logits && lane < here; lane++)
        write_logits(f, items[lane].row, items[lane].step, z + lane, L);
      if (f.target == NUMBER)
        with.regression_loss(z, m.numbers, m.labels, scale, metrics);  // a length of 1
      else
        with.classification_loss(z, m.labels, scale, metrics);
      for (int lane = 0; lane < here; lane++) {
        double* sum = sums[items[lane].sequence];
        const double worst = metrics.worst[0][lane];
        sum[0] = worst <= sum[0] ? sum[0] : worst;
        sum[1] += metrics.mean[0][lane], sum[2] += metrics.loss[0][lane];
        sum[3] += metrics.correct[0][lane], sum[4] += metrics.count[0][lane];
      }
      if (!f.is_training) continue;
      with.back(z, d_states);
      for (int lane = 0; lane < here; lane++)
        for (int64_t part = 0; part < parts; part++)
          for (int64_t j = 0; j < real; j++) items[lane].d_h[part][j] = d_states[part][j * L + lane];
    }
    if (f.is_training) with.accumulate_gradients(m.outputs, groups, h, 0);
  }
};

}  // namespace
