// Hyperbolic tangent, logistic function, exponential and logarithm.
//
// tanh has errors of up to three ulp in float and in double, and the logistic function too, except in float with AVX-512
// (logistic_by_table). NaN gives NaN.
#pragma once
#include "vector.h"

namespace {

template <class S>
struct Exp;

// expm1(r) = r + r^2 q(r) for |r| <= ln(2) / 2; q by Chebyshev interpolation, relative errors 2.4e-8 and 4.1e-17
template <>
struct Exp<float> {
  static constexpr float Q[] = {0.5f,           0.16666576989698775683f,   0.041666554617204574203f,
                                0.00836317905f, 0.0013926183587713494542f};
  static constexpr float LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;  // the product of the high part and n is exact
  static constexpr float ROUND = 12582912.0f;                                 // 1.5 * 2^23: adding it rounds to an integer
  static constexpr int MANTISSA = 23, BIAS = 127;
  static constexpr float LIMIT = 87.3365f, TANH_LIMIT = 20.0f;  // exp(-LIMIT) is the smallest normal number
};
template <>
struct Exp<double> {
  static constexpr double Q[] = {0.50000000000000010221,    0.16666666666666667453,   0.041666666666624127873,
                                 0.0083333333333300618325,  0.0013888888917213716901, 0.00019841269863053616878,
                                 0.000024801521295954375131, 2.7557268459997064772e-6, 2.7620088445409748161e-7,
                                 2.5100385495510319078e-8};
  static constexpr double LN2_HIGH = 0.693147180369123816490, LN2_LOW = 1.90821492927058770002e-10;
  static constexpr double ROUND = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr int MANTISSA = 52, BIAS = 1023;
  static constexpr double LIMIT = 708.0, TANH_LIMIT = 44.0;
};

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool HAS_FUSED_PRODUCTS = true;
#else
constexpr bool HAS_FUSED_PRODUCTS = false;
#endif

// exp(x) = scale * (1 + rest). With `small`, x is at most 40. Then, with a product that is not rounded, one float is enough
// for ln(2), which is 3e-9 from it.
template <class S, int N>
INLINE void exp_parts(const Pack<S, N>& x, Pack<S, N>& scale, Pack<S, N>& rest, bool small = false) {
  using E = Exp<S>;
  const Pack<S, N> shifted = x * S(1.44269504088896340736) + E::ROUND;
  const Pack<S, N> n = shifted - E::ROUND;
  const bool one = small && HAS_FUSED_PRODUCTS && sizeof(S) == 4;
  const Pack<S, N> r = one ? x - n * S(0.69314718055994530942) : x - n * E::LN2_HIGH - n * E::LN2_LOW;
  constexpr int TERMS = sizeof(E::Q) / sizeof(S);
  Pack<S, N> q = r * E::Q[TERMS - 1] + E::Q[TERMS - 2];
#pragma GCC unroll 16
  for (int i = TERMS - 3; i >= 0; i--) q = q * r + E::Q[i];
  rest = r + r * r * q;
#pragma GCC unroll 8
  for (int i = 0; i < N; i++)  // the low bits of `shifted` are n
    scale.v[i] = (Vec<S>)(((typename Types<S>::Bits)shifted.v[i] + E::BIAS) << E::MANTISSA);
}

template <class S>
INLINE Vec<S> exp(Vec<S> x) {
  Pack<S, 1> scale, rest;
  exp_parts(clamp(Pack<S, 1>{{x}}, Exp<S>::LIMIT), scale, rest);
  return (scale * rest + scale).v[0];
}

// Logarithm of a positive normal number: exponent * ln(2) + 2 artanh((m - 1) / (m + 1)) with a mantissa m near 1.
template <class S>
INLINE Vec<S> log(Vec<S> x) {
  using E = Exp<S>;
  using Bits = typename Types<S>::Bits;
  constexpr int TERMS = sizeof(S) == 4 ? 5 : 11;
  const Bits third = Bits{} + (Int<S>(1) << E::MANTISSA) / 3;  // mantissas above 4/3 are halved
  const IVec<S> exponent = (IVec<S>)((((Bits)x + 2 * third) >> E::MANTISSA) - E::BIAS);
  const Vec<S> m = (Vec<S>)((Bits)x - ((Bits)exponent << E::MANTISSA));
  const Vec<S> s = (m - S(1)) / (m + S(1)), square = s * s;
  Vec<S> sum = splat<S>(S(1) / (2 * TERMS + 1));
#pragma GCC unroll 11
  for (int term = TERMS; term > 0; term--) sum = sum * square + S(1) / (2 * term - 1);
  const Vec<S> n = __builtin_convertvector(exponent, Vec<S>);
  return n * S(0.693147180559945309417) + S(2) * s * sum + (x - x);  // NaN gives NaN
}

#if defined(__AVX512F__)
// 1 / (1 + exp(-x)) with exp(-x) = 2^(k / 16) exp(r) and |r| <= ln(2) / 32. The powers are looked up by the low four bits of
// k, and k itself is added to the exponent, from which these four bits have been subtracted in the table. A third fewer
// multiplications than without a table. Within 4 ulp for results above 1e-13, and 7 ulp for others that are normal numbers.
alignas(64) constexpr int32_t POWERS[] = {0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532, 0x3f75fed7, 0x3f75583f,
                                         0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c, 0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d};
template <int N>
INLINE Pack<float, N> logistic_by_table(const Pack<float, N>& x) {
  using P = Pack<float, N>;
  using Bits = Types<float>::Bits;
  constexpr float ROUND = Exp<float>::ROUND;
  const P clamped = clamp(x, Exp<float>::LIMIT), shifted = clamped * -23.083120654223414518f + ROUND, k = shifted - ROUND;
  const P r = -1.0f * clamped - k * 0.043321698784996581839f;
  P power;
#pragma GCC unroll 8
  for (int n = 0; n < N; n++)
    power.v[n] = (Vec<float>)(((Bits)shifted.v[n] << 19) + (Bits)__builtin_shuffle(load_int<float>(POWERS), (IVec<float>)shifted.v[n]));
  return reciprocal(power * r * (r * (r * (1.0f / 6) + 0.5f) + 1.0f) + (power + 1.0f));
}
#endif

template <class S, int N>
INLINE Pack<S, N> logistic(const Pack<S, N>& x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(S) == 4) return logistic_by_table(x);
#endif
  Pack<S, N> scale, rest;
  exp_parts(clamp(S(-1) * x, Exp<S>::LIMIT), scale, rest);
  return reciprocal(S(1) + (scale * rest + scale));
}

template <class S, int N>
INLINE Pack<S, N> tanh(const Pack<S, N>& x) {
  Pack<S, N> scale, rest;
  exp_parts(clamp(x + x, Exp<S>::TANH_LIMIT), scale, rest, true);
  const Pack<S, N> expm1 = scale * rest + (scale - S(1));  // no cancellation, since scale is 1 for small x
  return expm1 * reciprocal(expm1 + S(2));
}

}  // namespace
