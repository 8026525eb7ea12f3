// One step of each cell, forward and backward, for a pack of units of LANES sequences. Definitions and gate order as in
// PyTorch.
//
// Sizes      the constants, shared by cells whose gradients of weights are the same function of those of the sums
// ROWS       sums per unit
// RECURRENT  for each row of weight_hh, the sum that h contributes to
// INPUT      for each row of weight_ih, the sum that x contributes to
// HAS_INPUT  for each sum, whether x contributes to it
// KEPT       values per unit and step that backward needs in addition to h and c
// forward    sums (ROWS), previous c and h -> kept values, new c and h
// backward   gradients of new h and c, kept values, previous c and h, new h -> gradients of the sums, of previous c, and
//            the part of the gradient of previous h that does not pass through the sums
#pragma once
#include "activations.h"

namespace {

struct RnnSizes {
  static constexpr int ROWS = 1, KEPT = 0, GATES = 1;
  static constexpr int RECURRENT[] = {0};
  static constexpr const int* INPUT = RECURRENT;
  static constexpr bool HAS_INPUT[] = {true};
  static constexpr bool HAS_C = false;
};

template <class S, bool RELU>
struct Rnn : RnnSizes {
  using Sizes = RnnSizes;
  template <class V>
  static INLINE void forward(const V* sum, V, V, V*, V&, V& h) {
    if constexpr (RELU) {
      h = relu(sum[0]);
    } else {
      h = tanh(sum[0]);
    }
  }
  template <class V>
  static INLINE void backward(V dh, V, const V*, V, V, V h, V* dsum, V&, V& direct) {
    if constexpr (RELU) {
      dsum[0] = where_positive(h, dh);
    } else {
      dsum[0] = dh * (S(1) - h * h);
    }
    direct = V{};
  }
};

struct GruSizes {
  static constexpr int ROWS = 4, KEPT = 4, GATES = 3;  // r, z, part of n from h, part of n from x
  static constexpr int RECURRENT[] = {0, 1, 2}, INPUT[] = {0, 1, 3};
  static constexpr bool HAS_INPUT[] = {true, true, false, true};
  static constexpr bool HAS_C = false;
};

template <class S>
struct Gru : GruSizes {
  using Sizes = GruSizes;
  template <class V>
  static INLINE void forward(const V* sum, V, V before, V* kept, V&, V& h) {
    V r = logistic(sum[0]), z = logistic(sum[1]), n = tanh(sum[3] + r * sum[2]);
    h = n + z * (before - n);
    kept[0] = r, kept[1] = z, kept[2] = n, kept[3] = sum[2];
  }
  template <class V>
  static INLINE void backward(V dh, V, const V* kept, V, V before, V, V* dsum, V&, V& direct) {
    V r = kept[0], z = kept[1], n = kept[2];
    V dn = dh * (S(1) - z) * (S(1) - n * n);
    dsum[0] = dn * kept[3] * r * (S(1) - r);
    dsum[1] = dh * (before - n) * z * (S(1) - z);
    dsum[2] = dn * r;
    dsum[3] = dn;
    direct = dh * z;
  }
};

struct LstmSizes {
  static constexpr int ROWS = 4, KEPT = 5, GATES = 4;
  static constexpr int RECURRENT[] = {0, 1, 2, 3};
  static constexpr const int* INPUT = RECURRENT;
  static constexpr bool HAS_INPUT[] = {true, true, true, true};
  static constexpr bool HAS_C = true;
};

template <class S>
struct Lstm : LstmSizes {
  using Sizes = LstmSizes;
  template <class V>
  static INLINE void forward(const V* sum, V before, V, V* kept, V& c, V& h) {
    V i = logistic(sum[0]), f = logistic(sum[1]), g = tanh(sum[2]), o = logistic(sum[3]);
    c = f * before + i * g;
    V squashed = tanh(c);
    h = o * squashed;
    kept[0] = i, kept[1] = f, kept[2] = g, kept[3] = o, kept[4] = squashed;
  }
  template <class V>
  static INLINE void backward(V dh, V dc, const V* kept, V before, V, V, V* dsum, V& dc_before, V& direct) {
    V i = kept[0], f = kept[1], g = kept[2], o = kept[3], squashed = kept[4];
    dc = dc + dh * o * (S(1) - squashed * squashed);
    dsum[0] = dc * g * i * (S(1) - i);
    dsum[1] = dc * before * f * (S(1) - f);
    dsum[2] = dc * i * (S(1) - g * g);
    dsum[3] = dh * squashed * o * (S(1) - o);
    dc_before = dc * f;
    direct = V{};
  }
};

}  // namespace
