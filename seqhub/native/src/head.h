// Linear readout of states with loss and gradient, for one block of G * LANES sequences.
//
// The layout is [step][output][sequence], as in Scan. Outputs are padded to a multiple of four with zero weights.
#pragma once
#include "problem.h"
#include "scan.h"

namespace {

constexpr int OUTPUT_PADDING = 4;

// Losses:
// SOFTMAX          cross-entropy
// LOGIT            binary cross-entropy of a single logit for the second of two classes
// LOGISTIC         half the squared error of logistic outputs, one per class or one for the second of two classes
// LINEAR_NUMBER    squared error of a number
// LOGISTIC_NUMBER  half the squared error of a number from a logistic output
enum Kind { SOFTMAX, LOGIT, LOGISTIC, LINEAR_NUMBER, LOGISTIC_NUMBER };

// Metrics of each sequence: the largest error, and sums over its steps with a target.
template <class S, int G>
struct MetricSums {
  Vec<S> worst[G], mean[G], loss[G], correct[G], count[G];
};

template <class S, int G>
struct Head {
  using V = Vec<S>;
  static constexpr int L = LANES<S>, GL = G * L, K = OUTPUT_PADDING;

  Kind kind;
  int64_t outputs, padded, units, parts;  // outputs without and with padding, padded units of each part (direction)
  S all_outputs, tolerance;
  const S *weight, *bias;  // (padded, parts * units), (padded,)
  S *d_weight[2], *d_bias; // tiles for each part as in Gradients; (padded,)

  void compute_outputs(const S* const* h, S* z) const {
    for (int64_t first = 0; first < padded; first += K) {
      V sum[K][G];
#pragma GCC unroll 4
      for (int k = 0; k < K; k++)
#pragma GCC unroll 2
        for (int g = 0; g < G; g++) sum[k][g] = splat<S>(bias[first + k]);
      for (int64_t part = 0; part < parts; part++) {
        const S* w = weight + (first * parts + part) * units;
        for (int64_t j = 0; j < units; j++) {
          V v[G];
#pragma GCC unroll 2
          for (int g = 0; g < G; g++) v[g] = load<S>(h[part] + j * GL + g * L);
#pragma GCC unroll 4
          for (int k = 0; k < K; k++)
#pragma GCC unroll 2
            for (int g = 0; g < G; g++) sum[k][g] += v[g] * w[k * parts * units + j];
        }
      }
#pragma GCC unroll 4
      for (int k = 0; k < K; k++)
#pragma GCC unroll 2
        for (int g = 0; g < G; g++) store<S>(z + (first + k) * GL + g * L, sum[k][g]);
    }
  }

  // Compute d_h, the gradients of the states, from d, the gradients of the outputs.
  void back(const S* d, S* const* d_h) const {
    for (int64_t part = 0; part < parts; part++)
      for (int64_t first = 0; first < units; first += UNIT_PADDING) {
        V sum[UNIT_PADDING][G] = {};
        for (int64_t o = 0; o < outputs; o++) {
          const S* w = weight + (o * parts + part) * units + first;
#pragma GCC unroll 2
          for (int g = 0; g < G; g++) {
            const V v = load<S>(d + o * GL + g * L);
#pragma GCC unroll 4
            for (int j = 0; j < UNIT_PADDING; j++) sum[j][g] += v * w[j];
          }
        }
#pragma GCC unroll 4
        for (int j = 0; j < UNIT_PADDING; j++)
#pragma GCC unroll 2
          for (int g = 0; g < G; g++) store<S>(d_h[part] + (first + j) * GL + g * L, sum[j][g]);
      }
  }

  // Add the gradients of weights and biases, from the gradients d of the outputs of `count` steps and the states h.
  void accumulate_gradients(const S* d, int64_t count, const Series<S>* h, int64_t from) const {
    constexpr const CellSizes& one = CELL_SIZES<RnnSizes>;  // one sum per output
    for (int64_t part = 0; part < parts; part++)
      SumGradients<S, G>::products(one, one.recurrent, d, padded, count, h[part].at(from, GL),
                                   h[part].direction * h[part].width * GL, units, d_weight[part]);
    for (int64_t o = 0; o < outputs; o++) {
      V sum{};
      for (int64_t s = 0; s < count; s++)
        for (int g = 0; g < G; g++) sum += load<S>(d + (s * padded + o) * GL + g * L);
      for (int lane = 0; lane < L; lane++) d_bias[o] += sum[lane];
    }
  }

  static INLINE V magnitude(V x) { return x < S(0) ? -x : x; }
  static INLINE V logistic_of(V x) { return logistic(Pack<S, 1>{{x}}).v[0]; }

  // Replace the outputs z by the gradients of `scale` times the loss, zero for steps without a class; add to the metrics.
  void classification_loss(S* z, const Int<S>* labels, S scale, MetricSums<S, G>& metrics) const {
    for (int g = 0; g < G; g++, z += L, labels += L) {
      const IVec<S> label = load_int<S>(labels);
      const IVec<S> counts = label >= splat_int<S>(0) & label < splat_int<S>(Int<S>(kind == LOGIT ? 2 : classes()));
      V worst{}, mean{}, loss{};
      IVec<S> best{};
      if (kind == LOGIT) {
        const V x = load<S>(z), target = label == splat_int<S>(1) ? splat<S>(1) : V{};
        const V difference = logistic_of(x) - target;
        worst = mean = magnitude(difference);  // the error of the other class is equal
        const V small = exp<S>(-magnitude(x));
        loss = (x > S(0) ? x : V{}) - x * target + log<S>(small + S(1));
        best = x > S(0) ? splat_int<S>(1) : IVec<S>{};
        store<S>(z, counts ? difference * scale : V{});
      } else {
        V top = load<S>(z);
        for (int64_t o = 1; o < outputs; o++) {
          const V x = load<S>(z + o * GL);
          best = x > top ? splat_int<S>(Int<S>(o)) : best;
          top = x > top ? x : top;
        }
        if (outputs == 1) best = top > S(0) ? splat_int<S>(1) : IVec<S>{};
        V sum{}, inverse_sum{};
        if (kind == SOFTMAX) {
          V of_label{};
          for (int64_t o = 0; o < outputs; o++) {
            const V x = load<S>(z + o * GL) - top, e = exp<S>(x);
            of_label = label == splat_int<S>(Int<S>(o)) ? x : of_label;
            sum += e;
            store<S>(z + o * GL, e);
          }
          inverse_sum = splat<S>(1) / sum;
          loss = log<S>(sum) - of_label;
        }
        const Int<S> first = outputs == 1;  // a single output is for the second class
        for (int64_t o = 0; o < outputs; o++) {
          const V x = load<S>(z + o * GL), y = kind == SOFTMAX ? x * inverse_sum : logistic_of(x);
          const V difference = y - (label == splat_int<S>(Int<S>(o) + first) ? splat<S>(1) : V{});
          const V size = magnitude(difference);
          worst = size <= worst ? worst : size;
          mean += size;
          V d = difference * scale;
          if (kind == LOGISTIC) {
            loss += S(0.5) * size * size;
            d = d * y * (S(1) - y);
          }
          store<S>(z + o * GL, counts ? d : V{});
        }
      }
      add(counts, worst, mean / all_outputs, loss, best == label, metrics, g);
    }
  }

  // The same for numbers.
  void regression_loss(S* z, const S* labels, const Int<S>* lengths, S scale, MetricSums<S, G>& metrics) const {
    for (int g = 0; g < G; g++, z += L, labels += L, lengths += L) {
      const bool half = kind == LOGISTIC_NUMBER;
      const V x = load<S>(z), y = half ? logistic_of(x) : x, difference = y - load<S>(labels);
      const V size = magnitude(difference), slope = half ? y * (S(1) - y) : splat<S>(2);
      const IVec<S> counts = load_int<S>(lengths) > splat_int<S>(0);
      store<S>(z, counts ? difference * slope * scale : V{});
      add(counts, size, size, size * size * S(half ? 0.5 : 1), size <= tolerance, metrics, g);
    }
  }

  int64_t classes() const { return outputs == 1 ? 2 : outputs; }

  static INLINE void add(IVec<S> counts, V worst, V mean, V loss, IVec<S> correct, MetricSums<S, G>& metrics, int g) {
    metrics.worst[g] = counts ? (worst <= metrics.worst[g] ? metrics.worst[g] : worst) : metrics.worst[g];
    metrics.mean[g] += counts ? mean : V{};
    metrics.loss[g] += counts ? loss : V{};
    metrics.correct[g] += counts & correct ? splat<S>(1) : V{};
    metrics.count[g] += counts ? splat<S>(1) : V{};
  }
};

}  // namespace
