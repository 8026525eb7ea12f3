// Operations of generated cells between units of a sequence, and functions that the C library computes lane by lane.
#pragma once
#include "cell.h"

namespace {

// Sums of units: of the operands SOURCES[j] the units UNITS[j], with j up to ENDS[u] for unit u.
NOINLINE void gather(V* results, int size, const int* ends, const int* sources, const int* units,
                     const V* const* operands) {
  int j = 0;
  for (int u = 0; u < size; u++) {
    V sum = {};
    if (j < ends[u]) {  // not 0 + unit, which loses the sign of zero
      sum = operands[sources[j]][units[j]];
      for (j++; j < ends[u]; j++) sum += operands[sources[j]][units[j]];
    }
    results[u] = sum;
  }
}

// Products of P matrices (N, K) and (K, M), each of which may be stored transposed
template <int P, int N, int M, int K, bool FIRST_TRANSPOSED, bool SECOND_TRANSPOSED>
INLINE void contract(V* results, const V* one, const V* two) {
  for (int p = 0; p < P; p++, one += N * K, two += K * M)
    for (int n = 0; n < N; n++)
      for (int m = 0; m < M; m++) {
        V sum = {};
        for (int k = 0; k < K; k++)
          sum += one[FIRST_TRANSPOSED ? k * N + n : n * K + k] * two[SECOND_TRANSPOSED ? m * K + k : k * M + m];
        *results++ = sum;
      }
}

// Maximum of each of N groups of WIDTH units together
template <int N, int WIDTH>
INLINE void maxima(V* results, const V* units) {
  for (int n = 0; n < N; n++) results[n] = maximum<WIDTH / N>(units + n * (WIDTH / N));
}

// 1 at the first maximum (or NaN) of each of N groups, 0 at other units
template <int N, int WIDTH>
INLINE void first_maxima(V* results, const V* units) {
  constexpr int SIZE = WIDTH / N;
  for (int n = 0; n < N; n++, results += SIZE, units += SIZE) {
    V found = units[0], place = {};
    for (int u = 1; u < SIZE; u++) {
      const Mask better = (units[u] > found) | ((units[u] != units[u]) & (found == found));
      found = better ? units[u] : found;
      place = better ? all(u) : place;
    }
    for (int u = 0; u < SIZE; u++) results[u] = truth(place == all(u));
  }
}

template <class Function>
INLINE V lanewise(V x, V y, Function function) {
  V z;
  for (int lane = 0; lane < L; lane++) z[lane] = function(x[lane], y[lane]);
  return z;
}

INLINE float of_library(float x, float (*single)(float), double (*)(double)) { return single(x); }
INLINE double of_library(double x, float (*)(float), double (*function)(double)) { return function(x); }

INLINE V rounded(V x) { return lanewise(x, [](S each) { return S(nearbyint(each)); }); }
INLINE V tangent(V x) { return lanewise(x, [](S each) { return of_library(each, tanf, tan); }); }
INLINE V arc_sine(V x) { return lanewise(x, [](S each) { return of_library(each, asinf, asin); }); }
INLINE V arc_cosine(V x) { return lanewise(x, [](S each) { return of_library(each, acosf, acos); }); }
INLINE V arc_tangent(V x) { return lanewise(x, [](S each) { return of_library(each, atanf, atan); }); }
INLINE V hyperbolic_sine(V x) { return lanewise(x, [](S each) { return of_library(each, sinhf, sinh); }); }
INLINE V hyperbolic_cosine(V x) { return lanewise(x, [](S each) { return of_library(each, coshf, cosh); }); }
INLINE V area_sine(V x) { return lanewise(x, [](S each) { return of_library(each, asinhf, asinh); }); }
INLINE V area_cosine(V x) { return lanewise(x, [](S each) { return of_library(each, acoshf, acosh); }); }
INLINE V area_tangent(V x) { return lanewise(x, [](S each) { return of_library(each, atanhf, atanh); }); }
INLINE V error_complement(V x) { return lanewise(x, [](S each) { return of_library(each, erfcf, erfc); }); }
INLINE V power(V x, V y) { return lanewise(x, y, [](S one, S two) { return sizeof(S) == 4 ? S(powf(one, two)) : S(pow(one, two)); }); }
INLINE V angle(V x, V y) { return lanewise(x, y, [](S one, S two) { return sizeof(S) == 4 ? S(atan2f(one, two)) : S(atan2(one, two)); }); }
// with the sign of the divisor, as in Python
INLINE V remainder_of(V x, V y) {
  return lanewise(x, y, [](S one, S two) {
    const S rest = sizeof(S) == 4 ? S(fmodf(one, two)) : S(fmod(one, two));
    return rest != 0 && (two < 0) != (rest < 0) ? rest + two : rest;
  });
}

}  // namespace
