// Vector types and operations. In Scan, lane b of every vector is sequence b of a block, so that lanes are independent.
//
// Compiled once per instruction set. Everything has internal linkage; otherwise the linker would merge the templates of
// different instruction sets, and a processor could get instructions that it does not support.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif
#include <type_traits>
#include <utility>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16  // SSE2, NEON, or code that the compiler generates for other processors
#endif
#define VECTOR __attribute__((vector_size(VECTOR_BYTES)))
#define UNALIGNED(type) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(type)), may_alias))
#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))  // large functions with several callers

namespace {

// Call a function with subnormal numbers flushed to zero, and restore the mode of the calling thread. Vanishing gradients
// are subnormal, and some processors are ten times slower with them.
template <class F>
NOINLINE int64_t in_flush_mode(F use) {  // not inlined, so that no operation is moved out of the mode
  return use();
}
template <class F>
inline int64_t without_subnormals(F use) {
#if defined(__SSE2__)
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | 0x8040);  // results and operands
  const int64_t outcome = in_flush_mode(use);
  _mm_setcsr(mode);
#elif defined(__aarch64__)
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  __asm__ volatile("msr fpcr, %0" : : "r"(mode | uint64_t(1) << 24));
  const int64_t outcome = in_flush_mode(use);
  __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
  const int64_t outcome = in_flush_mode(use);
#endif
  return outcome;
}

template <class S>
struct Types;

template <>
struct Types<float> {
  typedef int32_t Integer;
  typedef float V VECTOR;
  typedef int32_t I VECTOR;
  typedef uint32_t Bits VECTOR;
  typedef float Loaded UNALIGNED(float);
  typedef int32_t LoadedI UNALIGNED(int32_t);
};

template <>
struct Types<double> {
  typedef int64_t Integer;
  typedef double V VECTOR;
  typedef int64_t I VECTOR;
  typedef uint64_t Bits VECTOR;
  typedef double Loaded UNALIGNED(double);
  typedef int64_t LoadedI UNALIGNED(int64_t);
};

template <class S>
using Vec = typename Types<S>::V;
template <class S>
using IVec = typename Types<S>::I;
template <class S>
using Int = typename Types<S>::Integer;
template <class S>
constexpr int LANES = VECTOR_BYTES / sizeof(S);

template <class S>
INLINE Vec<S> load(const S* p) {
  return *(const typename Types<S>::Loaded*)p;
}
template <class S>
INLINE void store(S* p, Vec<S> v) {
  *(typename Types<S>::Loaded*)p = v;
}
template <class S>
INLINE IVec<S> load_int(const Int<S>* p) {
  return *(const typename Types<S>::LoadedI*)p;
}
template <class S>
INLINE void store_int(Int<S>* p, IVec<S> v) {
  *(typename Types<S>::LoadedI*)p = v;
}
template <class S>
INLINE Vec<S> splat(S x) {
  return Vec<S>{} + x;
}
template <class S>
INLINE IVec<S> splat_int(Int<S> x) {
  return IVec<S>{} + x;
}

// A vector that is loaded once: without it, GCC loads a vector with several uses again at each, more often than the
// processor can.
template <class S>
INLINE Vec<S> in_register(Vec<S> v) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#endif
  return v;
}

// N vectors with the same arithmetic. The dependency chain of a tanh is long, so that several independent chains are needed
// to use the core fully.
template <class S, int N>
struct Pack {
  Vec<S> v[N];
};
#define EACH                \
  Pack<S, N> out;           \
  _Pragma("GCC unroll 8") for (int n = 0; n < N; n++) out.v[n] =
#define OPERATOR(sign)                                                    \
  template <class S, int N>                                               \
  INLINE Pack<S, N> operator sign(const Pack<S, N>& a, const Pack<S, N>& b) { \
    EACH a.v[n] sign b.v[n];                                              \
    return out;                                                           \
  }                                                                       \
  template <class S, int N>                                               \
  INLINE Pack<S, N> operator sign(const Pack<S, N>& a, S b) {             \
    EACH a.v[n] sign b;                                                   \
    return out;                                                           \
  }                                                                       \
  template <class S, int N>                                               \
  INLINE Pack<S, N> operator sign(S a, const Pack<S, N>& b) {             \
    EACH a sign b.v[n];                                                   \
    return out;                                                           \
  }
OPERATOR(+) OPERATOR(-) OPERATOR(*)

// x limited to [-limit, limit]; NaN gives NaN.
template <class S>
INLINE Vec<S> clamp_one(Vec<S> x, S limit) {
#if defined(__AVX512F__)
  if constexpr (sizeof(S) == 4) return _mm512_max_ps(_mm512_set1_ps(-limit), _mm512_min_ps(_mm512_set1_ps(limit), x));
#elif defined(__AVX2__)
  if constexpr (sizeof(S) == 4) return _mm256_max_ps(_mm256_set1_ps(-limit), _mm256_min_ps(_mm256_set1_ps(limit), x));
#elif defined(__SSE2__)
  if constexpr (sizeof(S) == 4) return _mm_max_ps(_mm_set1_ps(-limit), _mm_min_ps(_mm_set1_ps(limit), x));
#endif
  x = x > limit ? splat<S>(limit) : x;
  return x < -limit ? splat<S>(-limit) : x;
}

template <class S, int N>
INLINE Pack<S, N> clamp(const Pack<S, N>& x, S limit) {
  EACH clamp_one<S>(x.v[n], limit);
  return out;
}

// 1 / x. In float with AVX-512, an estimate and one Newton step, with an error of one or two ulp; several times faster than
// division.
template <class S, int N>
INLINE Pack<S, N> reciprocal(const Pack<S, N>& x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(S) == 4) {
    Pack<S, N> y;
#pragma GCC unroll 8
    for (int n = 0; n < N; n++) y.v[n] = _mm512_rcp14_ps(x.v[n]);
    return y + y * (S(1) - x * y);
  }
#endif
  EACH S(1) / x.v[n];
  return out;
}

// x if positive, else zero; NaN gives NaN
template <class S, int N>
INLINE Pack<S, N> relu(const Pack<S, N>& x) {
  EACH x.v[n] < S(0) ? Vec<S>{} : x.v[n];
  return out;
}
// x if `where` is positive or NaN, else zero
template <class S, int N>
INLINE Pack<S, N> where_positive(const Pack<S, N>& where, const Pack<S, N>& x) {
  EACH where.v[n] <= S(0) ? Vec<S>{} : x.v[n];
  return out;
}

// Which lanes of two vectors are equal, and a sum to which x is added in these lanes. With `fused`, x is added by a
// multiplication by one, which gives the same sum: on some processors, adders and multipliers are different units.
#if defined(__AVX512F__)
template <class S>
using Where = std::conditional_t<sizeof(S) == 4, __mmask16, __mmask8>;
template <class S>
INLINE Where<S> equal(IVec<S> a, IVec<S> b) {
  if constexpr (sizeof(S) == 4)
    return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
  else
    return _mm512_cmpeq_epi64_mask((__m512i)a, (__m512i)b);
}
template <class S>
INLINE Vec<S> add_where(Where<S> where, Vec<S> sum, Vec<S> x, bool fused) {
  if constexpr (sizeof(S) == 4)
    return fused ? _mm512_mask3_fmadd_ps(x, _mm512_set1_ps(1), sum, where) : _mm512_mask_add_ps(sum, where, sum, x);
  else
    return fused ? _mm512_mask3_fmadd_pd(x, _mm512_set1_pd(1), sum, where) : _mm512_mask_add_pd(sum, where, sum, x);
}
#else
template <class S>
using Where = IVec<S>;
template <class S>
INLINE Where<S> equal(IVec<S> a, IVec<S> b) {
  return a == b;
}
template <class S>
INLINE Vec<S> add_where(Where<S> where, Vec<S> sum, Vec<S> x, bool) {
  return sum + (where ? x : Vec<S>{});
}
#endif

template <class S>
INLINE Vec<S> square_root(Vec<S> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(S) == 4) return _mm512_sqrt_ps(x);
  else return _mm512_sqrt_pd(x);
#elif defined(__AVX2__)
  if constexpr (sizeof(S) == 4) return _mm256_sqrt_ps(x);
  else return _mm256_sqrt_pd(x);
#elif defined(__SSE2__)
  if constexpr (sizeof(S) == 4) return _mm_sqrt_ps(x);
  else return _mm_sqrt_pd(x);
#endif
  for (int lane = 0; lane < LANES<S>; lane++) x[lane] = __builtin_sqrt(x[lane]);
  return x;
}

// Horizontal sums of LANES vectors: lane i of the result is the sum of all lanes of vector i.
template <class S, int D, size_t... i>
INLINE Vec<S> fold(Vec<S> a, Vec<S> b, std::index_sequence<i...>) {
  constexpr int L = LANES<S>;
  return __builtin_shufflevector(a, b, int(i & D ? L + i : i)...) +
         __builtin_shufflevector(a, b, int(i & D ? L + (i ^ D) : (i ^ D))...);
}
template <class S, int D = 1>
INLINE Vec<S> sums(Vec<S>* v) {
  constexpr int L = LANES<S>;
  if constexpr (D == L) {
    return v[0];
  } else {
#pragma GCC unroll 16
    for (int n = 0; n < L / (2 * D); n++) v[n] = fold<S, D>(v[2 * n], v[2 * n + 1], std::make_index_sequence<L>());
    return sums<S, 2 * D>(v);
  }
}

// Transpose LANES vectors in place.
template <class S, int D, size_t... i>
INLINE void exchange(Vec<S>& a, Vec<S>& b, std::index_sequence<i...>) {
  constexpr int L = LANES<S>;
  const Vec<S> lower = __builtin_shufflevector(a, b, int(i & D ? L + (i ^ D) : i)...);
  b = __builtin_shufflevector(a, b, int(i & D ? L + i : (i ^ D))...);
  a = lower;
}
template <class S, int D = 1>
INLINE void transpose_lanes(Vec<S>* v) {
  constexpr int L = LANES<S>;
  if constexpr (D < L) {
#pragma GCC unroll 16
    for (int n = 0; n < L; n++)
      if (!(n & D)) exchange<S, D>(v[n], v[n + D], std::make_index_sequence<L>());
    transpose_lanes<S, 2 * D>(v);
  }
}

}  // namespace
