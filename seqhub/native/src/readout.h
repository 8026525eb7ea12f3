// The weights of a head in training, and its readout of states that lie one by one: lanes belong to states, of whatever
// sequence and step.
#pragma once
#include "head.h"
#include "weight_layout.h"
#include "train_batch.h"

namespace {

constexpr int64_t HEAD_BYTES = 64 << 10;  // of the outputs that are made between two looks at the readout's gradients

// A state that the head reads, and where its gradient goes.
template <class S>
struct Item {
  const S* h[2];
  S* d_h[2];
  int label;
  S number;
  int sequence;  // of those side by side
};

template <class S>
struct Readout {
  static constexpr int L = LANES<S>;

  struct Memory {
    S *weight, *bias;  // padded
    S *d_weight[2], *d_bias;
    S* outputs;        // [step][output][sequence] of some steps
    Item<S>* items;    // and their layout: [item / L][part * units][item % L]
    S *states, *d_states;
    Int<S>* labels;
    S* numbers;
  };

  const FitProblem& f;
  const int64_t parts, real, units;  // states side by side, and how wide each is, without padding and with it
  const int64_t padded, steps;       // outputs with padding, and steps of them at once

  Readout(const FitProblem& fit, int64_t parts_, int64_t real_)
      : f(fit), parts(parts_), real(real_), units(round_up(real, UNIT_PADDING)),
        padded(round_up(f.outputs, OUTPUT_PADDING)), steps(at_once()) {}

  int64_t at_once() const {
    const int64_t count = HEAD_BYTES / int64_t(sizeof(S) * 2 * L * padded);
    return !is_by_step(f) || count < 1 ? 1 : count > f.steps ? f.steps : count;
  }
  uint64_t size() const { return uint64_t(f.outputs) * (parts * real + f.head_biased); }
  int64_t most() const { return steps * L; }

  Kind kind() const {
    if (f.target == NUMBER) return f.logistic ? LOGISTIC_NUMBER : LINEAR_NUMBER;
    return f.logistic ? LOGISTIC : f.outputs == 1 ? LOGIT : SOFTMAX;
  }

  void lay_out(Arena& arena, Memory& m, int64_t lanes, bool by_item) const {
    m.weight = arena.take<S>(padded, parts, units);
    m.bias = arena.take<S>(padded);
    for (int64_t part = 0; part < parts; part++) m.d_weight[part] = arena.take<S>(padded, units);
    m.d_bias = arena.take<S>(padded);
    m.outputs = arena.take<S>(steps, padded, lanes);
    if (!by_item) return;
    m.items = arena.take<Item<S>>(steps, L);
    m.states = arena.take<S>(steps, parts, units, L);
    m.d_states = arena.take<S>(parts, units, L);
    m.labels = arena.take<Int<S>>(L);
    m.numbers = arena.take<S>(L);
  }

  void zero(const Memory& m) const {  // the padding
    memset(m.weight, 0, sizeof(S) * padded * parts * units);
    memset(m.bias, 0, sizeof(S) * padded);
    if (m.states) memset(m.states, 0, sizeof(S) * steps * parts * units * L);
  }

  // Before a step: weights from the parameters, gradients from zero.
  void pack(const S* parameters, const Memory& m) const {
    for (int64_t row = 0; row < f.outputs * parts; row++)
      memcpy(m.weight + row * units, parameters + row * real, sizeof(S) * real);
    if (f.head_biased) memcpy(m.bias, parameters + f.outputs * parts * real, sizeof(S) * f.outputs);
    for (int64_t part = 0; part < parts; part++) memset(m.d_weight[part], 0, sizeof(S) * padded * units);
    memset(m.d_bias, 0, sizeof(S) * padded);
  }

  void unpack(const Memory& m, S* gradient) const {
    for (int64_t o = 0; o < f.outputs; o++)
      for (int64_t part = 0; part < parts; part++)
        for (int64_t j = 0; j < real; j++)
          *gradient++ = m.d_weight[part][(j / TILE_J * (padded / TILE_K) + o / TILE_K) * TILE + o % TILE_K * TILE_J + j % TILE_J];
    if (f.head_biased) memcpy(gradient, m.d_bias, sizeof(S) * f.outputs);
  }

  template <int G>
  Head<S, G> head(const Memory& m) const {
    return {kind(), f.outputs, padded, units, parts, S(f.all_outputs), S(f.tolerance), m.weight, m.bias,
            {m.d_weight[0], m.d_weight[1]}, m.d_bias};
  }

  // Target of step t of a row; columns: of its ids. False where the step does not count.
  bool expect(int64_t row, const int32_t* columns, int64_t t, Item<S>& item) const {
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

  // Evaluates the first `used` items, adds to the sums of their sequences and to the gradients of the weights.
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
      Tally<S, 1> tally{};
      S* z = m.outputs + group * padded * L;
      with.outputs_of(at, z);
      if (f.target == NUMBER)
        with.against_numbers(z, m.numbers, m.labels, scale, tally);  // a length of 1
      else
        with.against_classes(z, m.labels, scale, tally);
      for (int lane = 0; lane < here; lane++) {
        double* sum = sums[items[lane].sequence];
        const double worst = tally.worst[0][lane];
        sum[0] = worst <= sum[0] ? sum[0] : worst;
        sum[1] += tally.mean[0][lane], sum[2] += tally.loss[0][lane];
        sum[3] += tally.right[0][lane], sum[4] += tally.count[0][lane];
      }
      if (!f.trains) continue;
      with.back(z, d_states);
      for (int lane = 0; lane < here; lane++)
        for (int64_t part = 0; part < parts; part++)
          for (int64_t j = 0; j < real; j++) items[lane].d_h[part][j] = d_states[part][j * L + lane];
    }
    if (f.trains) with.gather(m.outputs, groups, h, 0);
  }
};

}  // namespace
