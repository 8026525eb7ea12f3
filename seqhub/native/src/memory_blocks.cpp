// Memory cell blocks of Hochreiter & Schmidhuber (1997) with truncated gradients, one sequence at a time. Vector lanes are
// cells, and the gates of a block are repeated for each of its cells. Compiled once per instruction set.
//
// Errors are propagated along the cell states only, so that backward is elementwise except for the outer products that give
// the weight gradients. Gradients of a gate are computed for each of its cells and summed once at the end.
#include "memory_blocks.h"
#include "train_memory_blocks.h"

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)

namespace {

enum Kept { OUTPUT, INPUT_GATE, OUTPUT_GATE, CELL_INPUT, STATE, SQUASHED_STATE };

template <class S, int ROWS>  // sums of a cell: cell input, input gate and, with ROWS = 3, output gate
struct Blocks {
  static constexpr int L = LANES<S>;
  using V = Vec<S>;
  const BlocksProblem& p;
  const int64_t T, F, H, blocks, units, padded, chunks, sources;
  S *weights, *gradients;  // [chunk][source][row][lane]; sources: features, units of the previous step, bias

  explicit Blocks(const BlocksProblem& problem)
      : p(problem), T(p.steps), F(p.features), H(p.cells), blocks(H / p.block_size), units(H + (ROWS - 1) * blocks),
        padded((H + BLOCK_PADDING - 1) / BLOCK_PADDING * BLOCK_PADDING), chunks((H + L - 1) / L), sources(F + units + 1),
        weights((S*)p.scratch), gradients(weights + ROWS * padded * sources) {}

  S* kept(int64_t row, int64_t slot) const { return (S*)p.saved + (row * (T + 1) + slot) * BLOCK_KEPT * padded; }
  int64_t unit_of(int row, int64_t cell) const { return row ? H + (row - 1) * blocks + cell / p.block_size : cell; }
  int64_t place_of(int64_t unit) const {  // offset among the saved values of a step
    if (unit < H) return unit;
    const int64_t gate = unit - H;
    return (1 + gate / blocks) * padded + gate % blocks * p.block_size;
  }
  int64_t first_of(int64_t row) const { return p.spans ? p.spans[row] : 0; }
  int64_t length_of(int64_t row) const { return p.spans ? p.spans[p.batch + row] : T; }

  // Visit all weights: use(offset in `weights`, index of the tensor, offset in the tensor).
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
      if (first < 0 || length < 1 || length > T || first > T - length) return INVALID_SPAN | row << 8;
      const int64_t* ids = (const int64_t*)p.inputs + row * T + first;
      for (int64_t t = 0; p.vocabulary && t < length; t++)
        if ((uint64_t)ids[t] >= (uint64_t)p.vocabulary) return INVALID_ID | row << 8;
    }
    for (int64_t id = 0; id < p.vocabulary; id++)
      if (p.columns[id] < -1 || p.columns[id] >= F) return INVALID_PROBLEM;
    return DONE;
  }

  // Visit the features that are not zero: use(feature, value).
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
        Pack<S, ROWS> sum[4] = {};  // several independent chains, to hide the latency of additions
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
        const Pack<S, ROWS> activations = logistic((sum[0] + sum[1]) + (sum[2] + sum[3]));
        const int64_t lane = chunk * L;
        const V cell_input = p.logistic_input ? activations.v[0] : S(4) * activations.v[0] - S(2);
        const V state = load(before + STATE * padded + lane) + activations.v[1] * cell_input;
        V squashed_state = state;
        if (!p.identity_output) squashed_state = S(2) * logistic(Pack<S, 1>{{state}}).v[0] - S(1);
        store(now + OUTPUT * padded + lane, ROWS == 3 ? activations.v[ROWS - 1] * squashed_state : squashed_state);
        store(now + INPUT_GATE * padded + lane, activations.v[1]);
        store(now + OUTPUT_GATE * padded + lane, activations.v[ROWS - 1]);
        store(now + CELL_INPUT * padded + lane, cell_input);
        store(now + STATE * padded + lane, state);
        store(now + SQUASHED_STATE * padded + lane, squashed_state);
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

  // Add to the weight gradients. `errors` is a work array, (7, padded H).
  void backward(int64_t row, const int64_t* places, S* errors) const {
    const int64_t first = row * T + first_of(row), length = length_of(row);
    S *d_state = errors, *d_output = errors + padded, *d_gates = errors + 2 * padded, *sums = errors + 4 * padded;
    memset(errors, 0, sizeof(S) * 4 * padded);
    if (p.d_m_n) {
      const S* d = (const S*)p.d_m_n + row * units;
      memcpy(d_state, d, sizeof(S) * H);
      for (int64_t unit = H; unit < units; unit++) d_gates[places[unit] - padded] = d[unit];
    }
    if (p.d_inputs) memset((S*)p.d_inputs + row * T * F, 0, sizeof(S) * T * F);
    for (int64_t t = length; t-- > 0;) {
      const S *now = kept(row, t + 1), *before = kept(row, t);
      if (p.d_states) memcpy(d_output, (const S*)p.d_states + (first + t) * H, sizeof(S) * H);
      if (p.d_h_n && t == length - 1)
        for (int64_t j = 0; j < H; j++) d_output[j] += ((const S*)p.d_h_n)[row * H + j];
      for (int64_t chunk = 0; chunk < chunks; chunk++) {
        const int64_t lane = chunk * L;
        auto at = [&](Kept which) { return load(now + which * padded + lane); };
        const V input_gate = at(INPUT_GATE), output_gate = at(OUTPUT_GATE), cell_input = at(CELL_INPUT);
        const V squashed_state = at(SQUASHED_STATE), error = load(d_output + lane);
        const V slope = p.identity_output ? splat<S>(1) : (S(1) - squashed_state * squashed_state) * S(0.5);
        const V state = load(d_state + lane) + (ROWS == 3 ? error * output_gate : error) * slope;
        store(d_state + lane, state);
        V d[ROWS];
        d[0] = state * input_gate *
               (p.logistic_input ? cell_input * (S(1) - cell_input) : S(1) - cell_input * cell_input * S(0.25));
        d[1] = (state * cell_input + load(d_gates + lane)) * input_gate * (S(1) - input_gate);
        if (ROWS == 3)
          d[ROWS - 1] = (error * squashed_state + load(d_gates + padded + lane)) * output_gate * (S(1) - output_gate);
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
      if (t == length - 1) memset(d_output, 0, sizeof(S) * 3 * padded);  // and d_gates
      if (p.d_inputs)
        for (int64_t f = 0; f < F; f++) {
          S sum = 0;
          for (int64_t cell = 0; cell < H; cell++)
            for (int n = 0; n < ROWS; n++) {
              // the gradient of a gate is the sum over its cells, which share its weights
              sum += sums[n * padded + cell] * weights[((cell / L * sources + f) * ROWS + n) * L + cell % L];
            }
          ((S*)p.d_inputs)[(first + t) * F + f] = sum;
        }
    }
    if (p.d_m0) {
      S* d = (S*)p.d_m0 + row * units;
      memset(d, 0, sizeof(S) * units);
      memcpy(d, d_state, sizeof(S) * H);
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
int64_t run_typed(const BlocksProblem& p, bool back) {
  return p.output_gates ? Blocks<S, 3>(p)(back) : Blocks<S, 2>(p)(back);
}

}  // namespace

extern "C" {
EXPORTED int64_t JOIN(seqhub_blocks_forward, ISA)(const BlocksProblem* p) {
  return without_subnormals([p] { return p->is_double ? run_typed<double>(*p, false) : run_typed<float>(*p, false); });
}
EXPORTED int64_t JOIN(seqhub_blocks_backward, ISA)(const BlocksProblem* p) {
  return without_subnormals([p] { return p->is_double ? run_typed<double>(*p, true) : run_typed<float>(*p, true); });
}

// Like seqhub_train_scratch and seqhub_train.
EXPORTED int64_t JOIN(seqhub_blocks_train_scratch, ISA)(const TrainProblem* f) {
  return with_blocks_trainer(*f, [](const auto& trainer) { return trainer.scratch_bytes(); });
}
EXPORTED int64_t JOIN(seqhub_blocks_train, ISA)(const TrainProblem* f) {
  return without_subnormals([f] { return with_blocks_trainer(*f, [](const auto& trainer) { return trainer(); }); });
}
}
