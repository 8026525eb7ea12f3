// Gradient clipping and optimizers, equal to torch.nn.utils.clip_grad_norm_ and torch.optim. All parameters are in one
// buffer, padded with zeros to whole vectors.
#pragma once
#include "problem.h"
#include "vector.h"

namespace {

constexpr int64_t ELEMENTS = 2048;  // that are scaled and used together, so that they are read from memory once

// Return the factor by which the gradient is too long, at most 1.
template <class S>
double clipping_factor(const S* gradient, int64_t size, double max_norm) {
  constexpr int L = LANES<S>;
  Vec<S> squares{};
  for (int64_t i = 0; i < size; i += L) squares += load<S>(gradient + i) * load<S>(gradient + i);
  double norm = 0;
  for (int lane = 0; lane < L; lane++) norm += squares[lane];
  const double factor = max_norm / (__builtin_sqrt(norm) + 1e-6);
  return factor >= 1 ? 1 : factor;
}

// Take one optimizer step with the gradient times `factor`; `progress` as in TrainProblem.
template <class S>
void update(const TrainProblem& f, double rate, double factor, S* gradient, int64_t size) {
  constexpr int L = LANES<S>;
  constexpr double EPSILON = 1e-8;
  S *parameters = (S*)f.parameters, *firsts = (S*)f.first_moments, *seconds = (S*)f.second_moments;
  f.progress[1] *= f.first;
  f.progress[2] *= f.second;
  const bool adam = f.optimizer == ADAM || f.optimizer == ADAMW;
  const S first = S(f.first), second = S(f.second), epsilon = S(EPSILON), decay = S(f.weight_decay);
  const S one_less_first = S(1 - f.first), one_less_second = S(1 - f.second);
  const S step = S(adam ? rate / (1 - f.progress[1]) : rate);
  const S correction = S(1 / __builtin_sqrt(1 - f.progress[2])), kept = S(1 - rate * f.weight_decay);
  for (int64_t from = 0; from < size; from += ELEMENTS) {
    const int64_t end = from + ELEMENTS < size ? from + ELEMENTS : size;
    for (int64_t i = from; factor != 1 && i < end; i += L) store<S>(gradient + i, load<S>(gradient + i) * S(factor));
    for (int64_t i = from; i < end; i += L) {
      Vec<S> p = load<S>(parameters + i), g = load<S>(gradient + i);
      if (f.optimizer == ADAMW)
        p *= kept;
      else
        g += decay * p;
      if (adam) {
        const Vec<S> m = load<S>(firsts + i), v = load<S>(seconds + i);
        const Vec<S> m_new = m + one_less_first * (g - m), v_new = second * v + one_less_second * g * g;
        store<S>(firsts + i, m_new);
        store<S>(seconds + i, v_new);
        p -= step * m_new / (square_root<S>(v_new) * correction + epsilon);
      } else {
        if (f.optimizer == RMSPROP) {
          const Vec<S> v_new = second * load<S>(seconds + i) + one_less_second * g * g;
          store<S>(seconds + i, v_new);
          g = g / (square_root<S>(v_new) + epsilon);
        }
        if (f.first != 0) {
          g += first * load<S>(firsts + i);
          store<S>(firsts + i, g);
        }
        p -= step * g;
      }
      store<S>(parameters + i, p);
    }
  }
}

}  // namespace
