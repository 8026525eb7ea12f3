// Training of memory cell blocks with truncated gradients, as train.h does for other cells: one sequence at a time. Vector
// lanes are cells, with the sums of each cell and its gates in adjacent rows.
//
// Errors are propagated along the cell states only. The rest of backward is elementwise, followed by products summed over
// all steps, which give the weight gradients.
#pragma once
#include "small_batch.h"
#include "readout.h"

namespace {

template <int ROWS_>
struct BlockRows {  // sums of a cell: cell input, input gate and, with ROWS = 3, output gate; all units contribute to each
  static constexpr int ROWS = ROWS_, GATES = ROWS_;
  static constexpr int RECURRENT[] = {0, 1, 2};
  static constexpr const int* INPUT = RECURRENT;
};

template <class S>
struct BlocksTrainer {
  static constexpr int L = LANES<S>, SUMS = 4;  // independent chains of sums, to hide the latency of additions
  enum Kept { INPUT_GATE, OUTPUT_GATE, CELL_INPUT, SQUASHED_STATE, KEPT };
  using V = Vec<S>;

  const TrainProblem& f;
  const int64_t rows;  // sums of a cell
  const int64_t T, F, H, blocks, units, lanes;
  const bool by_step;
  const Readout<S> readout;
  // Number of values that are read at a step: outputs of the cells, then gate activations or, with connectivity "below",
  // the input
  const int64_t stride;
  const int64_t head_at, size;

  explicit BlocksTrainer(const TrainProblem& fit)
      : f(fit), rows(f.output_gates ? 3 : 2), T(f.steps), F(f.features), H(f.hidden), blocks(H / f.block_size),
        units(H + (rows - 1) * blocks),
        lanes(round_up(H, L)), by_step(is_by_step(f)), readout(f, 1, f.recurrent ? H : H + F),
        stride(round_up(units > readout.real ? units : readout.real, L)),
        head_at(uint64_t(units) * (F + (f.recurrent ? units : 0)) + f.biased),  // may wrap around, as in train.h
        size(round_up(int64_t(uint64_t(head_at) + readout.size()), PARAMETER_PADDING)) {}

  struct Memory {
    SmallBatchWeights<S> weights, gradients;
    S *read, *state, *kept, *d_sums, *d_read;  // [step][value], [cell], [step][kept][cell], [step][row][cell], as read
    int32_t* columns;
    S* gradient;  // (size,)
    typename Readout<S>::Memory head;
    bool* disallowed;
  };

  int64_t in_weights() const { return f.vocabulary ? F + 1 : F; }

  void allocate(Arena& arena, SmallBatchWeights<S>& w) const {
    if (f.recurrent) w.recurrent = arena.allocate<S>(units, rows, lanes);
    w.bias = arena.allocate<S>(rows, lanes);
    (f.vocabulary ? w.table : w.input[0]) = arena.allocate<S>(in_weights(), rows, lanes);
  }
  void allocate(Arena& arena, Memory& m) const {
    allocate(arena, m.weights);
    allocate(arena, m.gradients);
    m.read = arena.allocate<S>(T + 1, stride);
    m.state = arena.allocate<S>(lanes);
    m.kept = arena.allocate<S>(T, KEPT, lanes);
    m.d_sums = arena.allocate<S>(T, rows, lanes);
    m.d_read = arena.allocate<S>(by_step ? T : 1, stride);
    if (f.vocabulary) m.columns = arena.allocate<int32_t>(T);
    m.gradient = arena.allocate<S>(size);
    readout.allocate(arena, m.head, L, true);
    m.disallowed = arena.allocate<bool>(f.vocabulary + 1);
  }
  int64_t scratch_bytes() const {
    Memory m{};
    Arena arena;
    allocate(arena, m);
    return arena.too_large ? -1 : arena.used;
  }

  void zero(const SmallBatchWeights<S>& w) const {
    const int64_t bytes = sizeof(S) * rows * lanes;
    if (f.recurrent) memset(w.recurrent, 0, bytes * units);
    memset(w.bias, 0, bytes);
    memset(f.vocabulary ? w.table : w.input[0], 0, bytes * in_weights());
  }

  // Visit all weights except those of the head: use(element of SmallBatchWeights, offset in the parameters). A gate is visited
  // once for each cell of its block.
  template <class Use>
  void each_weight(const SmallBatchWeights<S>& w, Use use) const {
    S* inputs = f.vocabulary ? w.table : w.input[0];
    const int64_t biases = units * (F + (f.recurrent ? units : 0));
    for (int64_t row = 0; row < rows; row++)
      for (int64_t cell = 0; cell < H; cell++) {
        const int64_t unit = row ? H + (row - 1) * blocks + cell / f.block_size : cell, at = row * lanes + cell;
        const int64_t biased = unit - (units - f.biased);
        if (biased >= 0) use(w.bias[at], biases + biased);
        for (int64_t j = 0; j < F; j++) use(inputs[j * rows * lanes + at], unit * F + j);
        for (int64_t j = 0; f.recurrent && j < units; j++)
          use(w.recurrent[j * rows * lanes + at], units * F + unit * units + j);
      }
  }

  void pack(const Memory& m) const {
    const S* parameters = (const S*)f.parameters;
    each_weight(m.weights, [&](S& weight, int64_t at) { weight = parameters[at]; });
    if (f.vocabulary) {
      for (int64_t id = 0; id < F; id++)
        for (int64_t i = 0; i < rows * lanes; i += L) {
          S* to = m.weights.table + id * rows * lanes + i;
          store<S>(to, load<S>(to) + load<S>(m.weights.bias + i));
        }
      memcpy(m.weights.table + F * rows * lanes, m.weights.bias, sizeof(S) * rows * lanes);
    }
    readout.pack(parameters + head_at, m.head);
    zero(m.gradients);
  }

  void unpack(const Memory& m) const {
    memset(m.gradient, 0, sizeof(S) * head_at);
    each_weight(m.gradients, [&](S& gradient, int64_t at) { m.gradient[at] += gradient; });
    readout.unpack(m.head, m.gradient + head_at);
  }

  template <int ROWS>
  INLINE void add_products(const S* weights, const S* values, int64_t count, V (&sum)[SUMS][ROWS]) const {
    auto add = [&](V (&to)[ROWS], int64_t j) {
#pragma GCC unroll 3
      for (int r = 0; r < ROWS; r++) to[r] += values[j] * load<S>(weights + (j * ROWS + r) * lanes);
    };
    int64_t j = 0;
    for (; j + SUMS <= count; j += SUMS)
#pragma GCC unroll 4
      for (int k = 0; k < SUMS; k++) add(sum[k], j + k);
    for (; j < count; j++) add(sum[0], j);
  }

  template <int ROWS>
  NOINLINE void forward(const Memory& m, const S* values, int64_t length) const {
    memset(m.read, 0, sizeof(S) * stride);
    memset(m.state, 0, sizeof(S) * lanes);
    for (int64_t t = 0; t < length; t++) {
      const S* before = m.read + t * stride;
      S *now = m.read + (t + 1) * stride, *kept = m.kept + t * KEPT * lanes;
      for (int64_t cell = 0; cell < lanes; cell += L) {
        const S* start = f.vocabulary ? m.weights.table + m.columns[t] * ROWS * lanes : m.weights.bias;
        V sum[SUMS][ROWS] = {};
#pragma GCC unroll 3
        for (int r = 0; r < ROWS; r++) sum[0][r] = load<S>(start + r * lanes + cell);
        if (f.recurrent) add_products(m.weights.recurrent + cell, before, units, sum);
        if (!f.vocabulary) add_products(m.weights.input[0] + cell, values + t * F, F, sum);
        Pack<S, ROWS> activations;
#pragma GCC unroll 3
        for (int r = 0; r < ROWS; r++) activations.v[r] = (sum[0][r] + sum[1][r]) + (sum[2][r] + sum[3][r]);
        activations = logistic(activations);
        const V cell_input = f.logistic_input ? activations.v[0] : S(4) * activations.v[0] - S(2);
        const V state = load<S>(m.state + cell) + activations.v[1] * cell_input;
        const V squashed_state = f.identity_output ? state : S(2) * logistic(Pack<S, 1>{{state}}).v[0] - S(1);
        store<S>(m.state + cell, state);
        store<S>(kept + INPUT_GATE * lanes + cell, activations.v[1]);
        store<S>(kept + OUTPUT_GATE * lanes + cell, activations.v[ROWS - 1]);
        store<S>(kept + CELL_INPUT * lanes + cell, cell_input);
        store<S>(kept + SQUASHED_STATE * lanes + cell, squashed_state);
        store<S>(now + cell, ROWS == 3 ? activations.v[ROWS - 1] * squashed_state : squashed_state);
      }
      if (f.recurrent) {  // stored after the outputs of all cells
        for (int64_t block = 0; block < blocks; block++) {
          now[H + block] = kept[INPUT_GATE * lanes + block * f.block_size];
          if (ROWS == 3) now[H + blocks + block] = kept[OUTPUT_GATE * lanes + block * f.block_size];
        }
      } else if (f.vocabulary) {
        memset(now + H, 0, sizeof(S) * F);
        if (m.columns[t] < F) now[H + m.columns[t]] = 1;
      } else {
        memcpy(now + H, values + t * F, sizeof(S) * F);
      }
    }
  }

  // Compute the gradients of the sums from those of the readout.
  template <int ROWS>
  NOINLINE void backward(const Memory& m, int64_t length) const {
    for (int64_t cell = 0; cell < lanes; cell += L) {
      V d_state{};
      for (int64_t t = length - 1; t >= 0; t--) {
        const S* kept = m.kept + t * KEPT * lanes + cell;
        auto at = [&](Kept which) { return load<S>(kept + which * lanes); };
        const V input_gate = at(INPUT_GATE), output_gate = at(OUTPUT_GATE), cell_input = at(CELL_INPUT);
        const V squashed_state = at(SQUASHED_STATE);
        S* d = m.d_sums + t * ROWS * lanes + cell;
        V d_output_gate{};
        if (by_step || t == length - 1) {
          const V error = load<S>(m.d_read + (by_step ? t : 0) * stride + cell);
          const V slope = f.identity_output ? splat<S>(1) : (S(1) - squashed_state * squashed_state) * S(0.5);
          d_state += (ROWS == 3 ? error * output_gate : error) * slope;
          d_output_gate = error * squashed_state * output_gate * (S(1) - output_gate);
        }
        const V slope = f.logistic_input ? cell_input * (S(1) - cell_input) : S(1) - cell_input * cell_input * S(0.25);
        store<S>(d, d_state * input_gate * slope);
        store<S>(d + lanes, d_state * cell_input * input_gate * (S(1) - input_gate));
        if (ROWS == 3) store<S>(d + (ROWS - 1) * lanes, d_output_gate);
      }
    }
  }

  // Add the weight gradients of a sequence.
  template <int ROWS>
  void accumulate(const Memory& m, const S* values, int64_t length) const {
    using C = BlockRows<ROWS>;
    const SmallBatchGradients<S, C> accumulator{lanes, 1, &length, &m.d_sums};
    const Scalars<S> read{m.read, 0, stride}, inputs{values, 0, F};
    if (f.recurrent) accumulator.template products<C::RECURRENT>(&read, units, m.gradients.recurrent);
    accumulator.bias(m.gradients.bias);
    const SmallBatchInput<S> ids{{}, m.columns, 0, 1};
    if (f.vocabulary)
      accumulator.table(&ids, m.gradients.table);
    else
      accumulator.template products<C::RECURRENT>(&inputs, F, m.gradients.input[0]);
  }

  void sequence(const Memory& m, int64_t row, S scale) const {
    const int64_t length = f.lengths[row];
    for (int64_t t = 0; f.vocabulary && t < length; t++) {
      const int32_t column = f.columns[id_at(f, row * T + t)];
      m.columns[t] = column < 0 ? int32_t(F) : column;
    }
    const S* values = (const S*)f.inputs + row * T * F;
    rows == 3 ? forward<3>(m, values, length) : forward<2>(m, values, length);

    double sums[1][5] = {};
    int64_t used = 0;
    memset(m.d_read, 0, sizeof(S) * (by_step ? length : 1) * stride);
    for (int64_t t = by_step ? 0 : length - 1; t < length; t++) {
      Item<S> item{{m.read + (t + 1) * stride}, {m.d_read + (by_step ? t : 0) * stride}, -1, S(0), 0, row, t};
      if (readout.read_target(row, m.columns, t, item) || f.logits) m.head.items[used++] = item;
      if (used == readout.max_items() || (used && t == length - 1)) readout(m.head, used, scale, sums), used = 0;
    }
    write_row(f, row, sums[0]);
    if (!f.is_training) return;

    rows == 3 ? backward<3>(m, length) : backward<2>(m, length);
    rows == 3 ? accumulate<3>(m, values, length) : accumulate<2>(m, values, length);
  }

  int64_t operator()() const {
    if (!is_large_enough(f.scratch, f.scratch_bytes, scratch_bytes())) return INVALID_PROBLEM;
    Memory m{};
    Arena arena;
    arena.base = (char*)f.scratch;
    allocate(arena, m);
    if (const int64_t outcome = check_rows(f, m.disallowed)) return outcome;
    memset(m.gradient, 0, sizeof(S) * size);
    zero(m.weights);
    readout.zero(m.head);
    train_batches(f, m.gradient, size, [&](int64_t first, int64_t count) {
      const BatchScale share = batch_scale(f, first, count);
      pack(m);
      for (int64_t row = first; row < first + count; row++) sequence(m, row, S(share.scale));
      if (f.is_training && share.updates) unpack(m);
      return f.is_training && share.updates;
    });
    return DONE;
  }
};

template <class Use>
int64_t with_blocks_trainer(const TrainProblem& f, Use use) {
  for (int64_t size : {f.sequences, f.batch, f.steps, f.features, f.hidden, f.block_size, f.outputs, f.all_outputs})
    if (size < 1 || size >= MAX_SIZE) return INVALID_PROBLEM;
  if (f.hidden % f.block_size || f.vocabulary < 0 || f.vocabulary >= MAX_SIZE) return INVALID_PROBLEM;
  if (f.logits && f.is_training) return INVALID_PROBLEM;
  return f.is_double ? use(BlocksTrainer<double>(f)) : use(BlocksTrainer<float>(f));
}

}  // namespace
