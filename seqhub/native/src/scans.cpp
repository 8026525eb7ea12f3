// Scans: selective scan (Mamba), gated delta rule, linear recurrence (RG-LRU) and WKV (RWKV-4), forward and backward.
// Compiled once per instruction set, whose name ISA is part of the symbols.
//
// Lanes are neighbouring channels (values of a head for the delta rule), whose states do not depend on each other, so that
// no step waits for a sum over lanes. Only gradients of tensors that channels share need such sums.
//
// Backward computes the states again from the initial ones instead of reading states that forward has saved. It keeps
// them for one segment of steps, whose memory fits into the second-level cache, and the state at the start of each segment.
#include "activations.h"
#include "scans.h"

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)

namespace {

constexpr int64_t SEGMENT_BYTES = 512 << 10;

template <class S>
INLINE Vec<S> load_lanes(const S* p, int64_t count) {  // the first `count` lanes, zero in the others
  if (count >= LANES<S>) return load(p);
  S lanes[LANES<S>] = {};
  if (count > 0) memcpy(lanes, p, sizeof(S) * count);
  return load(lanes);
}
template <class S>
INLINE void store_lanes(S* p, Vec<S> v, int64_t count) {
  if (count >= LANES<S>) return store(p, v);
  S lanes[LANES<S>];
  store(lanes, v);
  if (count > 0) memcpy(p, lanes, sizeof(S) * count);
}
template <class S, int D, size_t... i>
INLINE Vec<S> add_shuffled(Vec<S> v, std::index_sequence<i...>) {
  return v + __builtin_shufflevector(v, v, int(i ^ D)...);
}
template <class S, int D = LANES<S> / 2>
INLINE S sum_lanes(Vec<S> v) {
  v = add_shuffled<S, D>(v, std::make_index_sequence<LANES<S>>());
  if constexpr (D == 1)
    return v[0];
  else
    return sum_lanes<S, D / 2>(v);
}
template <class S>
INLINE S* zeros(void* p, int64_t count) {
  return (S*)memset(p, 0, sizeof(S) * count);
}

// Segments of steps of a lane block. Each step has a slot with the state before it, of `state` vectors, and `kept` more
// vectors for the reverse step.
template <class S>
struct Segments {
  int64_t steps, state, slot, length, count;
  Segments(int64_t steps_, int64_t state_, int64_t kept) : steps(steps_), state(state_), slot(state_ + kept) {
    length = SEGMENT_BYTES / (slot * VECTOR_BYTES);
    while (length * length < steps) length++;  // so that memory grows with the square root of the steps
    if (length > steps) length = steps;
    count = (steps + length - 1) / length;
  }
  int64_t vectors() const { return slot * (length + 1) + state * count; }

  // Run a lane block backward, from the initial state that `slots` starts with.
  template <class Block>
  INLINE void backward(Block& block, S* slots) const {
    const int64_t width = slot * LANES<S>, state_width = state * LANES<S>, state_bytes = sizeof(S) * state_width;
    S* starts = slots + width * (length + 1);
    auto first_of = [&](int64_t segment) { return segment * length; };
    auto end_of = [&](int64_t segment) { return segment == count - 1 ? steps : (segment + 1) * length; };
    auto advance = [&](int64_t segment) {
      S* now = slots;
      for (int64_t t = first_of(segment); t < end_of(segment); t++, now += width)
        block.template step<true>(t, now, now + width, now + state_width);
      return now;
    };
    for (int64_t segment = 0; segment < count; segment++) {
      memcpy(starts + segment * state_width, slots, state_bytes);
      const S* last = advance(segment);
      if (segment < count - 1) memcpy(slots, last, state_bytes);
    }
    for (int64_t segment = count; segment-- > 0;) {
      if (segment < count - 1) {
        memcpy(slots, starts + segment * state_width, state_bytes);
        advance(segment);
      }
      for (int64_t t = end_of(segment); t-- > first_of(segment);) {
        const S* now = slots + (t - first_of(segment)) * width;
        block.reverse(t, now, now + state_width);
      }
    }
  }
};

// ---- h' = exp(delta A) h + delta u B, y = C h'

template <class S>
struct SelectiveScan {
  using V = Vec<S>;
  static constexpr int L = LANES<S>;
  const ScanProblem& p;
  const int64_t T = p.steps, D = p.width, N = p.state;
  const S *u, *delta, *B, *C, *d_y;
  S *y, *d_u, *d_delta, *d_B, *d_C;
  S *A, *d_A, *d_state;  // (N, L), of the lane block
  int64_t lanes;

  static Segments<S> segments(const ScanProblem& p) { return {p.steps, p.state, p.state}; }
  static int64_t vectors(const ScanProblem& p) { return 3 * p.state + segments(p).vectors(); }

  template <bool KEEP>
  INLINE void step(int64_t t, const S* state, S* next, S* decays) {
    const V dt = load_lanes(delta + t * D, lanes), x = dt * load_lanes(u + t * D, lanes);
    V sum{};
    for (int64_t n = 0; n < N; n++) {
      const V decay = exp<S>(dt * load(A + n * L)), after = decay * load(state + n * L) + x * B[t * N + n];
      store(next + n * L, after);
      if (KEEP)
        store(decays + n * L, decay);
      else
        sum += after * C[t * N + n];
    }
    if (!KEEP) store_lanes(y + t * D, sum, lanes);
  }

  INLINE void reverse(int64_t t, const S* state, const S* decays) {
    const V dt = load_lanes(delta + t * D, lanes), input = load_lanes(u + t * D, lanes), x = dt * input;
    const V error = d_y ? load_lanes(d_y + t * D, lanes) : V{};
    V d_x{}, d_dt{};
    for (int64_t first = 0; first < N; first += L) {
      const int64_t count = N - first < L ? N - first : L;
      V for_B[L], for_C[L];
      for (int64_t i = count; i < L; i++) for_B[i] = for_C[i] = V{};
      for (int64_t i = 0; i < count; i++) {
        const int64_t n = first + i;
        const V before = load(state + n * L), decay = load(decays + n * L);
        const V d = load(d_state + n * L) + error * C[t * N + n];
        const V d_before = d * decay, d_exponent = d_before * before;
        for_B[i] = d * x;
        for_C[i] = error * (decay * before + x * B[t * N + n]);
        d_x += d * B[t * N + n];
        d_dt += d_exponent * load(A + n * L);
        store(d_A + n * L, load(d_A + n * L) + d_exponent * dt);
        store(d_state + n * L, d_before);
      }
      S *to_B = d_B + t * N + first, *to_C = d_C + t * N + first;
      store_lanes(to_B, load_lanes(to_B, count) + sums<S>(for_B), count);
      store_lanes(to_C, load_lanes(to_C, count) + sums<S>(for_C), count);
    }
    store_lanes(d_u + t * D, d_x * dt, lanes);
    store_lanes(d_delta + t * D, d_x * input + d_dt, lanes);
  }

  // Copy between (lanes, N) and (N, L).
  void gather(S* to, const S* from) const {
    zeros<S>(to, N * L);
    for (int64_t lane = 0; from && lane < lanes; lane++)
      for (int64_t n = 0; n < N; n++) to[n * L + lane] = from[lane * N + n];
  }
  void scatter(S* to, const S* from) const {
    for (int64_t lane = 0; lane < lanes; lane++)
      for (int64_t n = 0; n < N; n++) to[lane * N + n] = from[n * L + lane];
  }

  NOINLINE void run(bool back) {
    A = (S*)p.scratch, d_A = A + N * L, d_state = d_A + N * L;
    S* state = d_state + N * L;
    if (back)
      for (int i = 3; i < 5; i++) zeros<S>(p.d_inputs[i], p.batch * T * N);
    for (int64_t d = 0; d < D; d += L) {
      lanes = D - d < L ? D - d : L;
      gather(A, (const S*)p.inputs[2] + d * N);
      zeros<S>(d_A, N * L);
      for (int64_t b = 0; b < p.batch; b++) {
        const int64_t channel = b * T * D + d, shared = b * T * N, start = (b * D + d) * N;
        u = (const S*)p.inputs[0] + channel, delta = (const S*)p.inputs[1] + channel;
        B = (const S*)p.inputs[3] + shared, C = (const S*)p.inputs[4] + shared;
        gather(state, p.inputs[5] ? (const S*)p.inputs[5] + start : nullptr);
        if (back) {
          d_y = p.d_outputs[0] ? (const S*)p.d_outputs[0] + channel : nullptr;
          d_u = (S*)p.d_inputs[0] + channel, d_delta = (S*)p.d_inputs[1] + channel;
          d_B = (S*)p.d_inputs[3] + shared, d_C = (S*)p.d_inputs[4] + shared;
          gather(d_state, p.d_outputs[1] ? (const S*)p.d_outputs[1] + start : nullptr);
          segments(p).backward(*this, state);
          scatter((S*)p.d_inputs[5] + start, d_state);
        } else {
          y = (S*)p.outputs[0] + channel;
          for (int64_t t = 0; t < T; t++) step<false>(t, state, state, nullptr);
          scatter((S*)p.outputs[1] + start, state);
        }
      }
      if (back) scatter((S*)p.d_inputs[2] + d * N, d_A);
    }
  }
};

// ---- M = exp(g) S, S' = M + k (beta (v - M^T k))^T, y = S'^T q

// A lane block has P vectors of values.
template <class S, int P>
struct DeltaBlock {
  using V = Vec<S>;
  using Values = Pack<S, P>;
  static constexpr int L = LANES<S>, W = P * L;
  const int64_t D, N, H;
  const S *q, *k, *v, *g, *beta, *d_y;
  S *y, *d_q, *d_k, *d_v, *d_g, *d_beta;
  S* d_state;  // (N, W)
  int64_t lanes;

  static INLINE Values read(const S* from) {
    Values out;
#pragma GCC unroll 4
    for (int i = 0; i < P; i++) out.v[i] = load(from + i * L);
    return out;
  }
  static INLINE void write(S* to, const Values& x) {
#pragma GCC unroll 4
    for (int i = 0; i < P; i++) store(to + i * L, x.v[i]);
  }
  INLINE Values read_values(const S* from) const {
    Values out;
#pragma GCC unroll 4
    for (int i = 0; i < P; i++) out.v[i] = load_lanes(from + i * L, lanes - i * L);
    return out;
  }
  INLINE void write_values(S* to, const Values& x) const {
#pragma GCC unroll 4
    for (int i = 0; i < P; i++) store_lanes(to + i * L, x.v[i], lanes - i * L);
  }
  static INLINE V sum(const Values& x) {
    V out = x.v[0];
#pragma GCC unroll 4
    for (int i = 1; i < P; i++) out += x.v[i];
    return out;
  }
  // Sums over the keys of a value that `term` adds to one of CHAINS independent sums, as each addition waits for the last.
  template <class F>
  INLINE Values over_keys(F&& term) const {
    constexpr int CHAINS = P < 4 ? 4 / P : 1;
    Values parts[CHAINS] = {};
    int64_t n = 0;
    for (; n + CHAINS <= N; n += CHAINS)
#pragma GCC unroll 4
      for (int i = 0; i < CHAINS; i++) parts[i] = parts[i] + term(n + i);
    for (; n < N; n++) parts[0] = parts[0] + term(n);
#pragma GCC unroll 4
    for (int i = 1; i < CHAINS; i++) parts[0] = parts[0] + parts[i];
    return parts[0];
  }
  INLINE S decay_of(int64_t t) const { return g ? exp<S>(splat(g[t * H]))[0] : S(1); }

  template <bool KEEP>
  INLINE void step(int64_t t, const S* state, S* next, S* kept) {
    const S *key = k + t * H * N, *query = q + t * H * N, decay = decay_of(t);
    const Values recalled = over_keys([&](int64_t n) { return read(state + n * W) * key[n]; }) * decay;
    const Values change = (read_values(v + t * H * D) - recalled) * beta[t * H];
    auto change_key = [&](int64_t n) {
      const Values after = read(state + n * W) * decay + change * key[n];
      write(next + n * W, after);
      return after;
    };
    if (KEEP) {
      write(kept, recalled);
      for (int64_t n = 0; n < N; n++) change_key(n);
    } else {
      write_values(y + t * H * D, over_keys([&](int64_t n) { return change_key(n) * query[n]; }));
    }
  }

  INLINE void reverse(int64_t t, const S* state, const S* kept) {
    const S *key = k + t * H * N, *query = q + t * H * N, decay = decay_of(t), strength = beta[t * H];
    const Values error = d_y ? read_values(d_y + t * H * D) : Values{};
    const Values d_change = over_keys([&](int64_t n) {
      const Values d = read(d_state + n * W) + error * query[n];
      write(d_state + n * W, d);
      return d * key[n];
    });
    const Values missing = read_values(v + t * H * D) - read(kept);
    const Values change = missing * strength, d_value = d_change * strength;
    d_beta[t * H] += sum_lanes<S>(sum(d_change * missing));
    write_values(d_v + t * H * D, d_value);
    Values d_exponent{};
    for (int64_t first = 0; first < N; first += L) {
      const int64_t count = N - first < L ? N - first : L;
      V for_q[L], for_k[L];
      for (int64_t i = count; i < L; i++) for_q[i] = for_k[i] = V{};
      for (int64_t i = 0; i < count; i++) {
        const int64_t n = first + i;
        const Values decayed = read(state + n * W) * decay, d = read(d_state + n * W), d_decayed = d - d_value * key[n];
        for_q[i] = sum(error * (decayed + change * key[n]));
        for_k[i] = sum(d * change - decayed * d_value);
        d_exponent = d_exponent + d_decayed * decayed;
        write(d_state + n * W, d_decayed * decay);
      }
      S *to_q = d_q + t * H * N + first, *to_k = d_k + t * H * N + first;
      store_lanes(to_q, load_lanes(to_q, count) + sums<S>(for_q), count);
      store_lanes(to_k, load_lanes(to_k, count) + sums<S>(for_k), count);
    }
    if (d_g) d_g[t * H] += sum_lanes<S>(sum(d_exponent));
  }

  void gather(S* to, const S* from) const {
    zeros<S>(to, N * W);
    for (int64_t n = 0; from && n < N; n++) memcpy(to + n * W, from + n * D, sizeof(S) * lanes);
  }
  void scatter(S* to, const S* from) const {
    for (int64_t n = 0; n < N; n++) memcpy(to + n * D, from + n * W, sizeof(S) * lanes);
  }

  // kept: M^T k
  static Segments<S> segments(const ScanProblem& p) { return {p.steps, p.state * P, P}; }
  static int64_t vectors(const ScanProblem& p) { return p.state * P + segments(p).vectors(); }

  // Process the values from d on of head h of sequence b.
  static NOINLINE void run(const ScanProblem& p, bool back, int64_t b, int64_t h, int64_t d) {
    DeltaBlock x{p.width, p.state, p.heads};
    const int64_t head = b * p.steps * x.H + h, values = head * x.D + d, start = (b * x.H + h) * x.N * x.D + d;
    x.lanes = x.D - d < W ? x.D - d : W;
    x.q = (const S*)p.inputs[0] + head * x.N, x.k = (const S*)p.inputs[1] + head * x.N;
    x.v = (const S*)p.inputs[2] + values;
    x.g = p.inputs[3] ? (const S*)p.inputs[3] + head : nullptr, x.beta = (const S*)p.inputs[4] + head;
    x.d_state = (S*)p.scratch;
    S* state = x.d_state + x.N * W;
    x.gather(state, p.inputs[5] ? (const S*)p.inputs[5] + start : nullptr);
    if (back) {
      x.d_y = p.d_outputs[0] ? (const S*)p.d_outputs[0] + values : nullptr;
      x.d_q = (S*)p.d_inputs[0] + head * x.N, x.d_k = (S*)p.d_inputs[1] + head * x.N;
      x.d_v = (S*)p.d_inputs[2] + values;
      x.d_g = p.d_inputs[3] ? (S*)p.d_inputs[3] + head : nullptr, x.d_beta = (S*)p.d_inputs[4] + head;
      x.gather(x.d_state, p.d_outputs[1] ? (const S*)p.d_outputs[1] + start : nullptr);
      segments(p).backward(x, state);
      x.scatter((S*)p.d_inputs[5] + start, x.d_state);
    } else {
      x.y = (S*)p.outputs[0] + values;
      for (int64_t t = 0; t < p.steps; t++) x.template step<false>(t, state, state, nullptr);
      x.scatter((S*)p.outputs[1] + start, state);
    }
  }
};

template <class S>
struct DeltaRule {
  static constexpr int64_t L = LANES<S>;
  const ScanProblem& p;

  static int64_t vectors(const ScanProblem& p) {
    const int64_t wide = DeltaBlock<S, 4>::vectors(p), narrow = DeltaBlock<S, 1>::vectors(p);
    return wide > narrow ? wide : narrow;
  }

  void run(bool back) const {
    const int64_t T = p.steps, N = p.state, D = p.width, H = p.heads;
    if (back)
      for (int i : {0, 1, 3, 4})
        if (p.d_inputs[i]) zeros<S>(p.d_inputs[i], p.batch * T * H * (i < 2 ? N : 1));
    for (int64_t b = 0; b < p.batch; b++)
      for (int64_t h = 0; h < H; h++)
        for (int64_t d = 0; d < D;) {
          if (D - d > L) {
            DeltaBlock<S, 4>::run(p, back, b, h, d);
            d += 4 * L;
          } else {
            DeltaBlock<S, 1>::run(p, back, b, h, d);
            d += L;
          }
        }
  }
};

// ---- h' = a h + x; the states are the outputs, so that backward does not compute them again

template <class S>
struct LinearRecurrence {
  using V = Vec<S>;
  static constexpr int L = LANES<S>;
  const ScanProblem& p;
  const int64_t T = p.steps, D = p.width;

  static int64_t vectors(const ScanProblem&) { return 0; }

  NOINLINE void run(bool back) {
    for (int64_t b = 0; b < p.batch; b++) back ? backward(b) : forward(b);
  }

  void forward(int64_t b) {
    const S *x = (const S*)p.inputs[0] + b * T * D, *a = (const S*)p.inputs[1] + b * T * D;
    const S* before = p.inputs[2] ? (const S*)p.inputs[2] + b * D : nullptr;
    S* y = (S*)p.outputs[0] + b * T * D;
    for (int64_t t = 0; t < T; t++, x += D, a += D, y += D) {
      for (int64_t d = 0; d < D; d += L) {
        const int64_t lanes = D - d;
        V state = load_lanes(x + d, lanes);
        if (before) state += load_lanes(a + d, lanes) * load_lanes(before + d, lanes);
        store_lanes(y + d, state, lanes);
      }
      before = y;
    }
    memcpy((S*)p.outputs[1] + b * D, before, sizeof(S) * D);
  }

  void backward(int64_t b) {
    const int64_t end = (b + 1) * T * D;
    const S *a = (const S*)p.inputs[1] + end, *y = (const S*)p.inputs[3] + end;
    const S* d_y = p.d_outputs[0] ? (const S*)p.d_outputs[0] + end : nullptr;
    S *d_x = (S*)p.d_inputs[0] + end, *d_a = (S*)p.d_inputs[1] + end, *d_state = (S*)p.d_inputs[2] + b * D;
    if (p.d_outputs[1])
      memcpy(d_state, (const S*)p.d_outputs[1] + b * D, sizeof(S) * D);
    else
      zeros<S>(d_state, D);
    for (int64_t t = T; t-- > 0;) {
      a -= D, y -= D, d_x -= D, d_a -= D;
      if (d_y) d_y -= D;
      const S* before = t ? y - D : p.inputs[2] ? (const S*)p.inputs[2] + b * D : nullptr;
      for (int64_t d = 0; d < D; d += L) {
        const int64_t lanes = D - d;
        V error = load_lanes(d_state + d, lanes);
        if (d_y) error += load_lanes(d_y + d, lanes);
        store_lanes(d_x + d, error, lanes);
        store_lanes(d_a + d, before ? error * load_lanes(before + d, lanes) : V{}, lanes);
        store_lanes(d_state + d, error * load_lanes(a + d, lanes), lanes);
      }
    }
  }
};

// ---- Sums over the steps before: num of exp((steps since) w + k) v, den of exp((steps since) w + k), both divided by
//      exp(max); y = (num + exp(u + k) v) / (den + exp(u + k)) with num and den multiplied by exp(max)

template <class S>
struct Wkv {
  using V = Vec<S>;
  static constexpr int L = LANES<S>;
  const ScanProblem& p;
  const int64_t T = p.steps, D = p.width;
  const S *k, *v, *d_y;
  S *y, *d_k, *d_v;
  V w, u, d_w, d_u, d_num, d_den, d_max;
  int64_t lanes;

  static Segments<S> segments(const ScanProblem& p) { return {p.steps, 3, 0}; }
  static int64_t vectors(const ScanProblem& p) { return segments(p).vectors(); }

  // Factors exp(a - max(a, b)) and exp(b - max(a, b)); the larger one is 1.
  struct Factors {
    V first, second;
  };
  INLINE Factors factors(V a, V b) const {
    const V difference = a - b, smaller = exp<S>(difference > S(0) ? -difference : difference);
    return {difference > S(0) ? splat(S(1)) : smaller, difference > S(0) ? smaller : splat(S(1))};
  }

  template <bool KEEP>
  INLINE void step(int64_t t, const S* state, S* next, S*) {
    const V key = load_lanes(k + t * D, lanes), value = load_lanes(v + t * D, lanes);
    const V num = load(state), den = load(state + L), max = load(state + 2 * L);
    if (!KEEP) {
      const Factors f = factors(max, key + u);
      store_lanes(y + t * D, (f.first * num + f.second * value) / (f.first * den + f.second), lanes);
    }
    const Factors f = factors(max + w, key);
    store(next, f.first * num + f.second * value);
    store(next + L, f.first * den + f.second);
    store(next + 2 * L, max + w > key ? max + w : key);
  }

  INLINE void reverse(int64_t t, const S* state, const S*) {
    const V key = load_lanes(k + t * D, lanes), value = load_lanes(v + t * D, lanes);
    const V num = load(state), den = load(state + L), max = load(state + 2 * L);
    const V error = d_y ? load_lanes(d_y + t * D, lanes) : V{};

    // gradients of the new state; the derivative of a maximum is one half for each of two equal values, as in torch
    Factors f = factors(max + w, key);
    const V by_first = f.first * (d_num * num + d_den * den), by_second = f.second * (d_num * value + d_den);
    const V rest = d_max - by_first - by_second, difference = max + w - key;
    const V share = difference > S(0) ? splat(S(1)) : difference < S(0) ? V{} : splat(S(0.5));
    V d_key = by_second + (S(1) - share) * rest, d_value = f.second * d_num;
    d_max = by_first + share * rest;
    d_w += d_max;
    d_num *= f.first;
    d_den *= f.first;

    // of the output, which does not depend on the maximum
    f = factors(max, key + u);
    const V all = f.first * den + f.second, out = (f.first * num + f.second * value) / all, d_sum = error / all;
    const V by_current = f.second * d_sum * (value - out);
    d_num += f.first * d_sum;
    d_den -= f.first * d_sum * out;
    d_max += f.first * d_sum * (num - out * den);
    d_u += by_current;
    store_lanes(d_k + t * D, d_key + by_current, lanes);
    store_lanes(d_v + t * D, d_value + f.second * d_sum, lanes);
  }

  NOINLINE void run(bool back) {
    S* state = (S*)p.scratch;
    for (int64_t d = 0; d < D; d += L) {
      lanes = D - d < L ? D - d : L;
      w = load_lanes((const S*)p.inputs[0] + d, lanes), u = load_lanes((const S*)p.inputs[1] + d, lanes);
      d_w = d_u = V{};
      for (int64_t b = 0; b < p.batch; b++) {
        const int64_t channel = b * T * D + d;
        k = (const S*)p.inputs[2] + channel, v = (const S*)p.inputs[3] + channel;
        for (int i = 0; i < 3; i++)
          store(state + i * L, p.inputs[4] ? load_lanes((const S*)p.inputs[4] + (3 * b + i) * D + d, lanes)
                                           : splat(i == 2 ? S(-1e38) : S(0)));
        if (back) {
          V* parts[] = {&d_num, &d_den, &d_max};
          for (int i = 0; i < 3; i++)
            *parts[i] = p.d_outputs[1] ? load_lanes((const S*)p.d_outputs[1] + (3 * b + i) * D + d, lanes) : V{};
          d_y = p.d_outputs[0] ? (const S*)p.d_outputs[0] + channel : nullptr;
          d_k = (S*)p.d_inputs[2] + channel, d_v = (S*)p.d_inputs[3] + channel;
          segments(p).backward(*this, state);
          for (int i = 0; i < 3; i++) store_lanes((S*)p.d_inputs[4] + (3 * b + i) * D + d, *parts[i], lanes);
        } else {
          y = (S*)p.outputs[0] + channel;
          for (int64_t t = 0; t < T; t++) step<false>(t, state, state, nullptr);
          for (int i = 0; i < 3; i++)
            store_lanes((S*)p.outputs[1] + (3 * b + i) * D + d, load((const S*)state + i * L), lanes);
        }
      }
      if (back) {
        store_lanes((S*)p.d_inputs[0] + d, d_w, lanes);
        store_lanes((S*)p.d_inputs[1] + d, d_u, lanes);
      }
    }
  }
};

template <class S, class F>
int64_t with_scan(const ScanProblem& p, F&& use) {
  switch (p.kind) {
    case SELECTIVE: return use(SelectiveScan<S>{p});
    case DELTA: return use(DeltaRule<S>{p});
    case LINEAR: return use(LinearRecurrence<S>{p});
    case WKV: return use(Wkv<S>{p});
  }
  return -1;
}

template <class S>
int64_t run_typed(const ScanProblem& p, bool back) {
  return with_scan<S>(p, [&](auto&& scan) {
    scan.run(back);
    return int64_t(DONE);
  });
}
template <class S>
int64_t scratch_typed(const ScanProblem& p) {
  return with_scan<S>(p, [&](auto&& scan) { return scan.vectors(p) * VECTOR_BYTES; });
}

}  // namespace

extern "C" {
EXPORTED int64_t JOIN(seqhub_scan_scratch, ISA)(const ScanProblem* p) {
  return p->is_double ? scratch_typed<double>(*p) : scratch_typed<float>(*p);
}
EXPORTED int64_t JOIN(seqhub_scan_forward, ISA)(const ScanProblem* p) {
  return without_subnormals([p] { return p->is_double ? run_typed<double>(*p, false) : run_typed<float>(*p, false); });
}
EXPORTED int64_t JOIN(seqhub_scan_backward, ISA)(const ScanProblem* p) {
  return without_subnormals([p] { return p->is_double ? run_typed<double>(*p, true) : run_typed<float>(*p, true); });
}
}
