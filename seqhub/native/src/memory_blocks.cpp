// Memory cell blocks of Hochreiter & Schmidhuber (1997) with their truncated gradient, one sequence after the other: lanes
// of a vector belong to cells, and the gates of a block are repeated for each of its cells. Compiled once per
// instruction set.
//
// Errors go back along the cell states alone, so backward is elementwise but for the outer products that are the weights'
// gradients. Gradients of a gate are computed for each of its cells, and added up once at the end.
#include "memory_blocks.h"
#include "train_memory_blocks.h"

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)

namespace {

enum Kept { OUTPUT, ADMIT, SHOW, NEW, STATE, SQUASHED };

template <class S, int ROWS>  // sums of a cell: its input, its input gate, and maybe its output gate
struct Blocks {
  static constexpr int L = LANES<S>;
  using V = Vec<S>;
  const BlocksProblem& p;
  const int64_t T, F, H, blocks, units, padded, chunks, sources;
  S *weights, *gradients;  // [chunk][source][row][lane]; sources: features, units of the step before, the bias

  explicit Blocks(const BlocksProblem& problem)
      : p(problem), T(p.steps), F(p.features), H(p.cells), blocks(H / p.block_size), units(H + (ROWS - 1) * blocks),
        padded((H + BLOCK_PADDING - 1) / BLOCK_PADDING * BLOCK_PADDING), chunks((H + L - 1) / L), sources(F + units + 1),
        weights((S*)p.scratch), gradients(weights + ROWS * padded * sources) {}

  S* kept(int64_t row, int64_t slot) const { return (S*)p.saved + (row * (T + 1) + slot) * BLOCK_KEPT * padded; }
  int64_t unit_of(int row, int64_t cell) const { return row ? H + (row - 1) * blocks + cell / p.block_size : cell; }
  int64_t place_of(int64_t unit) const {  // among the saved values of a step
    if (unit < H) return unit;
    const int64_t gate = unit - H;
    return (1 + gate / blocks) * padded + gate % blocks * p.block_size;
  }
  int64_t first_of(int64_t row) const { return p.spans ? p.spans[row] : 0; }
  int64_t length_of(int64_t row) const { return p.spans ? p.spans[p.batch + row] : T; }

  // Goes through all weights: use(place here, tensor, place there).
  template <class Use>
  void each_weight(Use use) const {
    for (int64_t cell = 0; cell < H; cell++)
      for (int row = 0; row < ROWS; row++) {
        const int64_t unit = unit_of(row, cell), lane = cell % L;
        const int64_t at = (cell / L * sources * ROWS + row) * L + lane;
        for (int64_t f = 0; f < F; f++) use(at + f * ROWS * L, 0, unit * F + f);
        for (int64_t j = 0; j < units; j++) use(at + (F + j) * ROWS * L, 1, unit * units + j);
        const int64_t biased = unit - (units - p.biased);
        if (biased >= 0) use(at + (F + units) * ROWS * L, 2, biased);
      }
  }

  int64_t check() const {
    for (int64_t row = 0; row < p.batch; row++) {
      const int64_t first = first_of(row), length = length_of(row);
      if (first < 0 || length < 1 || length > T || first > T - length) return WRONG_SPAN | row << 8;
      const int64_t* ids = (const int64_t*)p.inputs + row * T + first;
      for (int64_t t = 0; p.vocabulary && t < length; t++)
        if ((uint64_t)ids[t] >= (uint64_t)p.vocabulary) return WRONG_ID | row << 8;
    }
    for (int64_t id = 0; id < p.vocabulary; id++)
      if (p.columns[id] < -1 || p.columns[id] >= F) return WRONG_PROBLEM;
    return DONE;
  }

  // The features that are not zero: calls use(feature, value).
  template <class Use>
  INLINE void each_feature(int64_t step, Use use) const {
    if (p.vocabulary) {
      const int32_t column = p.columns[((const int64_t*)p.inputs)[step]];
      if (column >= 0) use(column, S(1));
    } else {
      for (int64_t f = 0; f < F; f++) use(f, ((const S*)p.inputs)[step * F + f]);
    }
  }

  void forward(int64_t row, const int64_t* places) const {
    const int64_t first = row * T + first_of(row), length = length_of(row);
    S* before = kept(row, 0);
    memset(before, 0, sizeof(S) * BLOCK_KEPT * padded);
    if (p.h0) {
      const S *h = (const S*)p.h0 + row * H, *m = (const S*)p.m0 + row * units;
      memcpy(before + STATE * padded, m, sizeof(S) * H);
      for (int64_t unit = 0; unit < units; unit++) before[places[unit]] = unit < H ? h[unit] : m[unit];
    }
    if (p.states) memset((S*)p.states + row * T * H, 0, sizeof(S) * T * H);
    for (int64_t t = 0; t < length; t++, before += BLOCK_KEPT * padded) {
      S* now = before + BLOCK_KEPT * padded;
      for (int64_t chunk = 0; chunk < chunks; chunk++) {
        const S* w = weights + chunk * sources * ROWS * L;
        Pack<S, ROWS> sum[4] = {};  // several, as each waits for itself
        for (int n = 0; n < ROWS; n++) sum[0].v[n] = load(w + ((F + units) * ROWS + n) * L);
        each_feature(first + t, [&](int64_t f, S x) {
          for (int n = 0; n < ROWS; n++) sum[1].v[n] += x * load(w + (f * ROWS + n) * L);
        });
        const S* at = w + F * ROWS * L;
        int64_t j = 0;
        for (; p.weight_hh && j + 4 <= units; j += 4, at += 4 * ROWS * L)
          for (int k = 0; k < 4; k++)
            for (int n = 0; n < ROWS; n++) sum[k].v[n] += before[places[j + k]] * load(at + (k * ROWS + n) * L);
        for (; p.weight_hh && j < units; j++, at += ROWS * L)
          for (int n = 0; n < ROWS; n++) sum[0].v[n] += before[places[j]] * load(at + n * L);
        const Pack<S, ROWS> active = logistic((sum[0] + sum[1]) + (sum[2] + sum[3]));
        const int64_t lane = chunk * L;
        const V fresh = p.squash_to_1 ? active.v[0] : S(4) * active.v[0] - S(2);
        const V state = load(before + STATE * padded + lane) + active.v[1] * fresh;
        V squashed = state;
        if (!p.identity) squashed = S(2) * logistic(Pack<S, 1>{{state}}).v[0] - S(1);
        store(now + OUTPUT * padded + lane, ROWS == 3 ? active.v[ROWS - 1] * squashed : squashed);
        store(now + ADMIT * padded + lane, active.v[1]);
        store(now + SHOW * padded + lane, active.v[ROWS - 1]);
        store(now + NEW * padded + lane, fresh);
        store(now + STATE * padded + lane, state);
        store(now + SQUASHED * padded + lane, squashed);
      }
      if (p.states) memcpy((S*)p.states + (first + t) * H, now, sizeof(S) * H);
    }
    if (p.h_n) memcpy((S*)p.h_n + row * H, before, sizeof(S) * H);
    if (p.m_n) {
      S* m = (S*)p.m_n + row * units;
      memcpy(m, before + STATE * padded, sizeof(S) * H);
      for (int64_t unit = H; unit < units; unit++) m[unit] = before[places[unit]];
    }
  }

  // Adds to the gradients; errors: (padded H,), and (2, padded H) of those that enter at the last step only.
  void backward(int64_t row, const int64_t* places, S* errors) const {
    const int64_t first = row * T + first_of(row), length = length_of(row);
    S *of_state = errors, *of_output = errors + padded, *of_gates = errors + 2 * padded, *sums = errors + 4 * padded;
    memset(errors, 0, sizeof(S) * 4 * padded);
    if (p.d_m_n) {
      const S* d = (const S*)p.d_m_n + row * units;
      memcpy(of_state, d, sizeof(S) * H);
      for (int64_t unit = H; unit < units; unit++) of_gates[places[unit] - padded] = d[unit];
    }
    if (p.d_inputs) memset((S*)p.d_inputs + row * T * F, 0, sizeof(S) * T * F);
    for (int64_t t = length; t-- > 0;) {
      const S *now = kept(row, t + 1), *before = kept(row, t);
      if (p.d_states) memcpy(of_output, (const S*)p.d_states + (first + t) * H, sizeof(S) * H);
      if (p.d_h_n && t == length - 1)
        for (int64_t j = 0; j < H; j++) of_output[j] += ((const S*)p.d_h_n)[row * H + j];
      for (int64_t chunk = 0; chunk < chunks; chunk++) {
        const int64_t lane = chunk * L;
        auto at = [&](Kept which) { return load(now + which * padded + lane); };
        const V admit = at(ADMIT), show = at(SHOW), fresh = at(NEW), squashed = at(SQUASHED), error = load(of_output + lane);
        const V slope = p.identity ? splat<S>(1) : (S(1) - squashed * squashed) * S(0.5);
        const V state = load(of_state + lane) + (ROWS == 3 ? error * show : error) * slope;
        store(of_state + lane, state);
        V d[ROWS];
        d[0] = state * admit * (p.squash_to_1 ? fresh * (S(1) - fresh) : S(1) - fresh * fresh * S(0.25));
        d[1] = (state * fresh + load(of_gates + lane)) * admit * (S(1) - admit);
        if (ROWS == 3) d[ROWS - 1] = (error * squashed + load(of_gates + padded + lane)) * show * (S(1) - show);
        S* g = gradients + chunk * sources * ROWS * L;
        auto add = [&](int64_t source, S value) {
          for (int n = 0; n < ROWS; n++) {
            S* to = g + (source * ROWS + n) * L;
            store(to, load(to) + value * d[n]);
          }
        };
        each_feature(first + t, add);
        for (int64_t j = 0; p.weight_hh && j < units; j++) add(F + j, before[places[j]]);
        if (p.biased) add(F + units, S(1));
        for (int n = 0; n < ROWS; n++) store(sums + n * padded + lane, d[n]);
      }
      if (t == length - 1) memset(of_output, 0, sizeof(S) * 3 * padded);  // with the gates'
      if (p.d_inputs)
        for (int64_t f = 0; f < F; f++) {
          S sum = 0;
          for (int64_t cell = 0; cell < H; cell++)
            for (int n = 0; n < ROWS; n++) {
              // the error of a gate is the sum over its cells, which share its weight
              sum += sums[n * padded + cell] * weights[((cell / L * sources + f) * ROWS + n) * L + cell % L];
            }
          ((S*)p.d_inputs)[(first + t) * F + f] = sum;
        }
    }
    if (p.d_m0) {
      S* d = (S*)p.d_m0 + row * units;
      memset(d, 0, sizeof(S) * units);
      memcpy(d, of_state, sizeof(S) * H);
    }
  }

  int64_t operator()(bool back) const {
    if (const int64_t outcome = check()) return outcome;
    const int64_t size = ROWS * padded * sources;
    S* rest = weights + (back ? 2 : 1) * size;
    int64_t* places = (int64_t*)(rest + 8 * padded);
    for (int64_t unit = 0; unit < units; unit++) places[unit] = place_of(unit);
    memset(weights, 0, sizeof(S) * size * (back ? 2 : 1));
    const S* from[] = {(const S*)p.weight_ih, (const S*)p.weight_hh, (const S*)p.bias};
    each_weight([&](int64_t here, int tensor, int64_t there) {
      if (from[tensor]) weights[here] = from[tensor][there];
    });
    for (int64_t row = 0; row < p.batch; row++) back ? backward(row, places, rest) : forward(row, places);
    if (!back) return DONE;
    S* to[] = {(S*)p.d_weight_ih, (S*)p.d_weight_hh, (S*)p.d_bias};
    const int64_t sizes[] = {units * F, units * units, p.biased};
    for (int n = 0; n < 3; n++)
      if (to[n]) memset(to[n], 0, sizeof(S) * sizes[n]);
    each_weight([&](int64_t here, int tensor, int64_t there) {
      if (to[tensor]) to[tensor][there] += gradients[here];
    });
    return DONE;
  }
};

template <class S>
int64_t of_type(const BlocksProblem& p, bool back) {
  return p.output_gates ? Blocks<S, 3>(p)(back) : Blocks<S, 2>(p)(back);
}

}  // namespace

extern "C" {
EXPORTED int64_t JOIN(seqhub_blocks_forward, ISA)(const BlocksProblem* p) {
  return p->is_double ? of_type<double>(*p, false) : of_type<float>(*p, false);
}
EXPORTED int64_t JOIN(seqhub_blocks_backward, ISA)(const BlocksProblem* p) {
  return p->is_double ? of_type<double>(*p, true) : of_type<float>(*p, true);
}

// As seqhub_fit_scratch and seqhub_fit.
EXPORTED int64_t JOIN(seqhub_blocks_fit_scratch, ISA)(const FitProblem* f) {
  return with_blocks_fitting(*f, [](const auto& fitting) { return fitting.scratch_bytes(); });
}
EXPORTED int64_t JOIN(seqhub_blocks_fit, ISA)(const FitProblem* f) {
  return with_blocks_fitting(*f, [](const auto& fitting) { return fitting(); });
}
}
