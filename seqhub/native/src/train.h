// Training: many optimizer steps in one call. In each step, every block runs forward, the readout with its loss and
// gradient, and backward while the activations are in cache. Then the gradient is clipped and the optimizer step taken.
#pragma once
#include "kernels.h"
#include "readout.h"
#include "wide_inputs.h"

namespace {

// Vectors of units are used if their number is less than this multiple of the number of vectors of sequences. The ratio
// is 1, because a vector costs about the same in both layouts.
constexpr double SMALL_BATCH_RATIO = 1;

inline Problem problem_of(const TrainProblem& f) {
  Problem p{};
  p.cell = f.cell, p.is_double = f.is_double, p.layers = f.layers, p.directions = f.directions;
  p.batch = f.batch < f.sequences ? f.batch : f.sequences, p.steps = f.steps, p.features = f.features;
  p.hidden = f.hidden, p.vocabulary = f.vocabulary, p.inputs = f.inputs, p.columns = f.columns;
  p.saved = (void*)&f;  // only compared with null, like d_states
  if (f.target == STEP_CLASS || f.target == NEXT_SYMBOL) p.d_states = &f;
  return p;
}

template <class S>
struct Trainer {
  static constexpr int L = LANES<S>;
  using R = Run<S>;

  const TrainProblem& f;
  Problem& p;  // the current batch
  R run;
  const Kernels<S>& kernels;
  const CellSizes& cell;
  const bool by_step;
  const Readout<S> readout;
  const int64_t head_at, size;  // offset of the head's parameters, and the padded number of all parameters
  const int64_t units;          // units padded to whole vectors
  const bool small_batch;       // whether vector lanes are units
  const bool wide;              // whether inputs of small batches are multiplied by WideInputs

  Trainer(const TrainProblem& fit, Problem& problem, const Kernels<S>& of_cell)
      : f(fit), p(problem), run(p, of_cell, nullptr, f.lengths, p.batch < 2 * L ? p.batch : 2 * L), kernels(of_cell),
        cell(of_cell.sizes), by_step(p.d_states),
        readout(f, run.D, run.H), head_at(locate_weights(nullptr, nullptr)),
        size(round_up(int64_t(uint64_t(head_at) + readout.size()), PARAMETER_PADDING)), units(round_up(run.H, L)),
        small_batch(p.batch * (units / L) < SMALL_BATCH_RATIO * run.H * round_up(p.batch, L) / L),
        wide(small_batch && !f.vocabulary && f.features >= WIDE_INPUTS && p.steps < MAX_SIZE / SMALL_BATCH) {}

  // Set pointers to the tensors of the recurrence in a buffer of all parameters, and return their number of elements. The
  // number and sums with it may wrap around. Then the size of the scratch memory overflows, too, and is reported as such.
  int64_t locate_weights(S* buffer, S** sets) const {
    uint64_t used = 0;
    for (int64_t set = 0; set < run.N * run.D; set++) {
      const uint64_t rows = cell.gates * run.H, sizes[] = {rows * run.parts_of(set / run.D).columns, rows * run.H, rows, rows};
      for (int n = 0; n < 4; n++) {
        if (sets) sets[4 * set + n] = buffer + used;
        used += sizes[n];
      }
    }
    return used;
  }

  // ---- memory of one call

  // Memory for small batches, in place of the memory of Run and of the activations.
  struct SmallBatchMemory {
    SmallBatchWeights<S> *weights, *gradients;  // [layer][direction]
    SmallBatchTrace<S>* traces;                 // [layer][direction][sequence]
    int32_t* columns[SMALL_BATCH];
    S *d_sums[SMALL_BATCH], *dh[SMALL_BATCH], *dc[SMALL_BATCH];
    typename WideInputs<S>::Item* items;
    S* d_out[2][2][SMALL_BATCH];                // [this layer, layer below][direction], [step][unit]
  };

  struct Memory {
    typename R::Memory run;
    int64_t *order, *counts;  // for sorting the rows of a batch by length
    char* saved;              // activations of one block
    S **sets, **d_sets;       // tensors of the recurrence, and their gradients
    S *gradient;              // (size,)
    typename Readout<S>::Memory head;
    Int<S>* labels;           // [step][sequence] of a block
    S* numbers;               // [sequence]
    S* d_last[2];
    S* d_last_states;         // for small batches, [direction][sequence][unit]
    bool* disallowed;         // (vocabulary,), whether an id is not allowed
    SmallBatchMemory small_batch;
  };

  int lanes() const { return p.batch > L ? 2 * L : L; }

  void allocate(Arena& arena, Memory& m) const {
    if (small_batch) {
      allocate(arena, m.small_batch);
    } else {
      run.allocate(arena, true, m.run);
      Arena one;
      for (int64_t set = 0; set < run.N * run.D; set++) run.allocate_saved(one, lanes(), run.keeps_all());
      arena.too_large |= one.too_large;
      m.saved = arena.allocate<char>(one.used);
    }
    m.order = arena.allocate<int64_t>(p.batch);
    m.counts = arena.allocate<int64_t>(run.T + 1);
    m.sets = arena.allocate<S*>(run.N * run.D, 4);
    m.d_sets = arena.allocate<S*>(run.N * run.D, 4);
    m.gradient = arena.allocate<S>(size);
    readout.allocate(arena, m.head, lanes(), small_batch);
    for (int64_t d = 0; d < run.D; d++) m.d_last[d] = arena.allocate<S>(run.units, lanes());
    if (small_batch) m.d_last_states = arena.allocate<S>(run.D, SMALL_BATCH, units);
    if (f.target == CLASS || f.target == STEP_CLASS) m.labels = arena.allocate<Int<S>>(by_step ? run.T : 1, lanes());
    if (f.target == NUMBER) m.numbers = arena.allocate<S>(lanes());
    m.disallowed = arena.allocate<bool>(f.vocabulary + 1);
  }

  int64_t scratch_bytes() const {
    Memory m{};
    Arena arena;
    allocate(arena, m);
    return arena.too_large ? -1 : arena.used;
  }

  // Parts of the input of a layer whose weights are packed for small batches.
  Parts packed_parts(int64_t layer) const {
    Parts parts = run.parts_of(layer);
    if (wide && !layer) parts.real[0] = 0;
    return parts;
  }

  void allocate(Arena& arena, SmallBatchMemory& m) const {
    const int64_t sets = run.N * run.D, T = run.T;
    m.weights = arena.allocate<SmallBatchWeights<S>>(sets);
    m.gradients = arena.allocate<SmallBatchWeights<S>>(sets);
    m.traces = arena.allocate<SmallBatchTrace<S>>(sets, SMALL_BATCH);
    for (int64_t set = 0; set < sets; set++) {
      SmallBatchWeights<S> w{}, g{};
      SmallBatchPacking<S>{cell}.allocate(arena, run.H, units, packed_parts(set / run.D), true, w);
      SmallBatchPacking<S>{cell}.allocate(arena, run.H, units, packed_parts(set / run.D), false, g);
      if (arena.base) m.weights[set] = w, m.gradients[set] = g;
    }
    const int64_t sequences = p.batch < SMALL_BATCH ? p.batch : SMALL_BATCH;
    S* d_sums = arena.allocate<S>(sequences, T, cell.rows, units);
    if (wide) m.items = arena.allocate<typename WideInputs<S>::Item>(sequences, T);
    for (int q = 0; q < SMALL_BATCH && q < p.batch; q++) {
      for (int64_t set = 0; set < sets; set++) {
        SmallBatchTrace<S> trace{arena.allocate<S>(T + 1, units), nullptr, arena.allocate<S>(T, cell.kept, units)};
        if (cell.has_c) trace.c = arena.allocate<S>(T + 1, units);
        if (arena.base) m.traces[set * SMALL_BATCH + q] = trace;
      }
      if (f.vocabulary || wide) m.columns[q] = arena.allocate<int32_t>(T);
      if (arena.base) m.d_sums[q] = d_sums + q * T * cell.rows * units;
      m.dh[q] = arena.allocate<S>(units);
      m.dc[q] = arena.allocate<S>(units);
      for (int which = 0; which < 2; which++)
        for (int64_t d = 0; d < run.D; d++)
          if (run.N > 1 || (by_step && !which)) m.d_out[which][d][q] = arena.allocate<S>(T, units);
    }
  }

  // ---- one batch

  template <int G>
  void block(Memory& m, int64_t row, int64_t first, S scale) const {
    constexpr int GL = G * L;
    m.run.order = m.order;
    typename R::Block b(run, m.run, row);
    Arena saved;
    saved.base = m.saved;
    const bool all = run.keeps_all();
    for (int64_t set = 0; set < run.N * run.D; set++) m.run.traces[set] = run.allocate_saved(saved, GL, all);
    if (!f.vocabulary)
      b.read_values();
    else if (f.id_bytes == 1)
      b.read_ids((const uint8_t*)p.inputs);
    else
      b.read_ids((const uint16_t*)p.inputs);
    b.forward(all, run.segment_steps());

    const Head<S, G> head = readout.template head<G>(m.head);
    MetricSums<S, G> metrics{};
    Series<S> h[2];
    for (int64_t d = 0; d < run.D; d++) {
      h[d] = b.output(run.N - 1, d);
      if (!by_step) h[d] = {h[d].data, run.units, run.H, b.steps, 0};  // the state after all steps
    }
    const Int<S>* labels = m.labels;
    if (f.target == NEXT_SYMBOL) labels = m.run.ids + GL;  // ids without a symbol have a column beyond the outputs
    if (f.target == CLASS || f.target == STEP_CLASS) read_labels(b, m.labels, first);
    if (f.target == NUMBER)
      for (int lane = 0; lane < GL; lane++)
        m.numbers[lane] = lane < b.count ? ((const S*)f.labels)[first + b.rows[lane]] : S(0);

    const int64_t steps = !by_step ? 1 : b.steps - (f.target == NEXT_SYMBOL), most = readout.steps;
    for (int64_t from = 0; from < steps; from += most) {
      const int64_t count = from + most > steps ? steps - from : most;
      for (int64_t n = 0; n < count; n++) {
        const int64_t t = from + n;
        const S* at[2];
        S *z = m.head.outputs + n * readout.padded * GL, *d_h[2];
        for (int64_t d = 0; d < run.D; d++) {
          at[d] = h[d].at(t, GL);
          d_h[d] = by_step ? m.run.d_out[0][d] + t * run.units * GL : m.d_last[d];
        }
        head.compute_outputs(at, z);
        if (f.logits) write_block_logits(b, t, first, z);
        if (f.target == NUMBER)
          head.regression_loss(z, m.numbers, m.run.lengths, scale, metrics);
        else
          head.classification_loss(z, labels + t * GL, scale, metrics);
        if (f.is_training) head.back(z, d_h);
      }
      if (f.is_training) head.accumulate_gradients(m.head.outputs, count, h, from);
    }
    if (by_step && f.is_training && steps < b.steps)  // the last symbol has no next symbol
      for (int64_t d = 0; d < run.D; d++)
        memset(m.run.d_out[0][d] + steps * run.units * GL, 0, sizeof(S) * run.units * GL);

    if (f.logits && f.target == NEXT_SYMBOL) {
      const S* at[2];
      for (int64_t d = 0; d < run.D; d++) at[d] = h[d].at(steps, GL);
      head.compute_outputs(at, m.head.outputs);
      write_block_logits(b, steps, first, m.head.outputs);
    }

    for (int lane = 0; lane < b.count; lane++) {
      const int g = lane / L, i = lane % L;
      const double sums[] = {metrics.worst[g][i], metrics.mean[g][i], metrics.loss[g][i], metrics.correct[g][i],
                             metrics.count[g][i]};
      write_row(f, first + b.rows[lane], sums);
    }
    if (f.is_training) b.backward(all, run.segment_steps(), by_step ? nullptr : m.d_last);
  }

  // Process up to SMALL_BATCH sequences of the batch, from position `row` in the order of lengths; return their number.
  int64_t small_batch_block(Memory& memory, int64_t row, int64_t first, S scale) const {
    SmallBatchMemory& m = memory.small_batch;
    const int count = run.B - row < SMALL_BATCH ? int(run.B - row) : SMALL_BATCH;
    int64_t rows[SMALL_BATCH], lengths[SMALL_BATCH + 1] = {};
    for (int q = 0; q < count; q++) {
      rows[q] = memory.order[row + q];
      lengths[q] = run.lengths[rows[q]];
      for (int64_t t = 0; f.vocabulary && t < lengths[q]; t++) {
        const int32_t column = f.columns[id_at(f, (first + rows[q]) * run.T + t)];
        m.columns[q][t] = column < 0 ? int32_t(f.features) : column;
      }
    }
    SmallBatchInput<S> x[SMALL_BATCH];
    for (int64_t set = 0; set < run.N * run.D; set++) {
      read_inputs(m, set, count, rows, lengths, x);
      for (int q = 0; q < count; q++) {
        memset(m.traces[set * SMALL_BATCH + q].h, 0, sizeof(S) * units);
        if (cell.has_c) memset(m.traces[set * SMALL_BATCH + q].c, 0, sizeof(S) * units);
      }
      SmallBatchPass<S> pass = pass_of(m, set, x);
      if (wide && set < run.D) {
        const int64_t used = list_items(m, set, count, lengths, x, true);
        wide_inputs().forward(memory.sets[4 * set], m.weights[set].bias, m.items, used);
        pass.parts = 0;  // the sums are a table with a row for each step
      }
      for (int active = count; active > 0; active--)
        kernels.forward_few[active - 1](pass, lengths[active], lengths[active - 1]);
    }

    double sums[SMALL_BATCH][5] = {};
    run_readout(memory, count, rows, lengths, first, scale, sums);
    for (int q = 0; q < count; q++) write_row(f, first + rows[q], sums[q]);
    if (!f.is_training) return count;

    int above = 0;  // index into d_out of the current layer
    for (int64_t layer = run.N - 1; layer >= 0; layer--, above = 1 - above) {
      const bool has_out = layer < run.N - 1 || by_step;
      for (int64_t d = 0; layer && d < run.D; d++)
        for (int q = 0; q < count; q++) memset(m.d_out[1 - above][d][q], 0, sizeof(S) * lengths[q] * units);
      for (int64_t d = 0; d < run.D; d++) {
        const int64_t set = layer * run.D + d;
        read_inputs(m, set, count, rows, lengths, x);
        Scalars<S> d_out[SMALL_BATCH];
        for (int q = 0; q < count; q++) {
          d_out[q] = d ? Scalars<S>{m.d_out[above][d][q], (lengths[q] - 1) * units, -units}
                       : Scalars<S>{m.d_out[above][d][q], 0, units};
          if (layer < run.N - 1 || by_step) memset(m.dh[q], 0, sizeof(S) * units);
          else memcpy(m.dh[q], d_last(memory, d, q), sizeof(S) * units);
          memset(m.dc[q], 0, sizeof(S) * units);
        }
        SmallBatchPass<S> pass = pass_of(m, set, x);
        for (int active = 1; active <= count; active++)
          kernels.backward_few[active - 1](pass, lengths[active], lengths[active - 1], has_out ? d_out : nullptr, m.dh, m.dc,
                                           m.d_sums);
        kernels.accumulate_few(pass, count, lengths, m.d_sums, m.gradients[set]);
        pass.hidden = run.H;
        for (int q = 0; layer && q < count; q++) back_to_inputs(m, pass, d, q, lengths[q], 1 - above);
        if (wide && !layer)
          wide_inputs().backward(m.items, list_items(m, set, count, lengths, x, false), row > 0, memory.d_sets[4 * set]);
      }
    }
    return count;
  }

  // Set the inputs of a layer and direction, in the order in which it reads the steps.
  void read_inputs(const SmallBatchMemory& m, int64_t set, int count, const int64_t* rows, const int64_t* lengths,
            SmallBatchInput<S>* x) const {
    const int64_t layer = set / run.D, F = f.features;
    const bool reverse = set % run.D;
    for (int q = 0; q < count; q++) {
      const int64_t last = lengths[q] - 1;
      x[q] = {};
      x[q].columns = m.columns[q];
      x[q].first = reverse ? last : 0;
      x[q].direction = reverse ? -1 : 1;
      if (!layer && !f.vocabulary)
        x[q].parts[0] = {(const S*)p.inputs + rows[q] * run.T * F, reverse ? last * F : 0, reverse ? -F : F};
      for (int64_t d = 0; layer && d < run.D; d++) {  // step s is at entry s + 1, in the reading order of direction d
        const bool opposite = reverse != (d == 1);
        x[q].parts[d] = {m.traces[((layer - 1) * run.D + d) * SMALL_BATCH + q].h, (opposite ? last + 1 : 1) * units,
                         opposite ? -units : units};
      }
    }
  }

  SmallBatchPass<S> pass_of(const SmallBatchMemory& m, int64_t set, const SmallBatchInput<S>* x) const {
    const Parts parts = packed_parts(set / run.D);
    const int64_t before = run.T > 1 ? run.H : 0;  // units of the previous step; those of the first step are zero
    return {m.weights[set], before, units, parts.count, {parts.real[0], parts.real[1]}, x, m.traces + set * SMALL_BATCH};
  }

  void back_to_inputs(const SmallBatchMemory& m, const SmallBatchPass<S>& pass, int64_t direction, int q, int64_t steps,
                      int below) const {
    for (int part = 0; part < pass.parts; part++)
      for (int64_t step = 0; step < steps; step++) {
        const int64_t t = direction ? steps - 1 - step : step;
        S *d_sums = m.d_sums[q] + step * cell.rows * units, *to = m.d_out[below][part][q] + t * units;
        kernels.input_back_one(pass, pass.w.input_back[part], &d_sums, &to);
      }
  }

  WideInputs<S> wide_inputs() const { return {cell, run.H, units, f.features}; }

  // List all steps of a block, with their sums or the gradients of these; return their number. Before the recurrence, the
  // memory of the gradients has the sums, in the order of time.
  int64_t list_items(const SmallBatchMemory& m, int64_t set, int count, const int64_t* lengths, const SmallBatchInput<S>* x,
                     bool forward) const {
    int64_t used = 0;
    for (int q = 0; q < count; q++)
      for (int64_t step = 0; step < lengths[q]; step++) {
        const int64_t t = x[q].first + x[q].direction * step;
        m.items[used++] = {x[q].parts[0].at(step), m.d_sums[q] + (forward ? t : step) * cell.rows * units};
        if (forward) m.columns[q][t] = int32_t(q * run.T + t);
      }
    return used;
  }

  // ---- the head for small batches: vector lanes are states of any sequence and step

  S* d_last(const Memory& m, int64_t d, int q) const { return m.d_last_states + (d * SMALL_BATCH + q) * units; }

  void run_readout(const Memory& memory, int count, const int64_t* rows, const int64_t* lengths, int64_t first, S scale,
                double (*sums)[5]) const {
    const SmallBatchMemory& m = memory.small_batch;
    int64_t used = 0;
    for (int q = 0; q < count; q++) {
      const int64_t last = lengths[q] - 1;
      for (int64_t d = 0; by_step && f.is_training && d < run.D; d++)
        memset(m.d_out[0][d][q], 0, sizeof(S) * lengths[q] * units);
      for (int64_t t = by_step ? 0 : last; t <= last; t++) {
        Item<S> item{};
        item.sequence = q;
        item.row = first + rows[q], item.step = t;
        if (!readout.read_target(item.row, m.columns[q], t, item) && !f.logits) continue;
        for (int64_t d = 0; d < run.D; d++) {
          const int64_t entry = by_step && d ? last - t + 1 : by_step ? t + 1 : last + 1;
          item.h[d] = m.traces[((run.N - 1) * run.D + d) * SMALL_BATCH + q].h + entry * units;
          item.d_h[d] = by_step ? m.d_out[0][d][q] + t * units : d_last(memory, d, q);
        }
        memory.head.items[used++] = item;
        if (used == readout.max_items()) readout(memory.head, used, scale, sums), used = 0;
      }
    }
    if (used) readout(memory.head, used, scale, sums);
  }

  void write_block_logits(const typename R::Block& b, int64_t t, int64_t first, const S* z) const {
    for (int lane = 0; lane < b.count; lane++)
      if (!by_step || t < b.m.lengths[lane]) write_logits(f, first + b.rows[lane], t, z + lane, b.GL);
  }

  void read_labels(const typename R::Block& b, Int<S>* to, int64_t first) const {
    const int GL = b.GL;
    for (int lane = 0; lane < GL; lane++) {
      const int64_t row = lane < b.count ? first + b.rows[lane] : 0, length = b.m.lengths[lane];
      if (!by_step) to[lane] = lane < b.count ? Int<S>(((const int64_t*)f.labels)[row]) : -1;
      const int64_t* labels = (const int64_t*)f.labels + row * f.steps;
      for (int64_t t = 0; by_step && t < b.steps; t++) to[t * GL + lane] = t < length ? Int<S>(labels[t]) : -1;
    }
  }

  // Compute the gradients and metrics of `count` sequences from row `first`; return whether to take an optimizer step.
  bool batch(Memory& m, int64_t first, int64_t count) {
    run.B = count;
    run.lengths = f.lengths + first;
    const int64_t bytes = f.vocabulary ? f.id_bytes : f.features * int64_t(sizeof(S));
    p.inputs = (const char*)f.inputs + first * f.steps * bytes;
    memset(m.counts, 0, sizeof(int64_t) * (run.T + 1));
    run.sort(m.order, m.counts);
    for (int64_t set = 0; set < run.N * run.D; set++) {
      const Parts parts = run.parts_of(set / run.D);
      if (small_batch) {
        const Parts packed = packed_parts(set / run.D);
        SmallBatchPacking<S>{cell}.pack(m.sets + 4 * set, run.H, units, packed, set >= run.D, run.T > 1,
                                        m.small_batch.weights[set]);
        SmallBatchPacking<S>{cell}.zero(run.H, units, packed, false, m.small_batch.gradients[set]);
      } else {
        run.zero_gradients(m.run, set);
        Packing<S>{cell}.pack(m.sets + 4 * set, run.H, parts, m.run.weights[set]);
      }
    }
    readout.pack((const S*)f.parameters + head_at, m.head);

    const BatchScale share = batch_scale(f, first, count);
    const S scale = S(share.scale);
    for (int64_t row = 0; row < count;) {
      if (small_batch) {
        row += small_batch_block(m, row, first, scale);
        continue;
      }
      const int groups = count - row > L ? 2 : 1;
      if (groups == 2)
        block<2>(m, row, first, scale);
      else
        block<1>(m, row, first, scale);
      row += groups * L;
    }
    return share.updates;
  }

  // Copy the gradients into one buffer, in the order of the parameters.
  void unpack_gradients(Memory& m) const {
    for (int64_t set = 0; set < run.N * run.D; set++)
      if (small_batch)
        SmallBatchPacking<S>{cell}.unpack(m.small_batch.gradients[set], run.H, units, packed_parts(set / run.D),
                                        m.d_sets + 4 * set);
      else
        Packing<S>{cell}.unpack(m.run.gradients[set], run.units, run.H, run.parts_of(set / run.D), m.d_sets + 4 * set);
    readout.unpack(m.head, m.gradient + head_at);
  }

  int64_t operator()() {
    if (!is_large_enough(f.scratch, f.scratch_bytes, scratch_bytes())) return INVALID_PROBLEM;
    Memory m{};
    Arena arena;
    arena.base = (char*)f.scratch;
    allocate(arena, m);
    if (const int64_t outcome = check_rows(f, m.disallowed)) return outcome;
    locate_weights((S*)f.parameters, m.sets);
    locate_weights(m.gradient, m.d_sets);
    memset(m.gradient, 0, sizeof(S) * size);
    readout.zero(m.head);
    if (small_batch) {
      for (int64_t set = 0; set < run.N * run.D; set++)
        SmallBatchPacking<S>{cell}.zero(run.H, units, packed_parts(set / run.D), true, m.small_batch.weights[set]);
      for (int64_t set = 0; wide && set < run.D; set++) m.small_batch.weights[set].table = m.small_batch.d_sums[0];
      memset(m.d_last_states, 0, sizeof(S) * run.D * SMALL_BATCH * units);
    } else {
      for (int64_t set = 0; set < run.N * run.D; set++) run.zero_weights(m.run, set);
    }

    train_batches(f, m.gradient, size, [&](int64_t first, int64_t count) {
      const bool updates = batch(m, first, count) && f.is_training;
      if (updates) unpack_gradients(m);
      return updates;
    });
    return DONE;
  }
};

template <class S, class Use>
int64_t with_typed_trainer(const TrainProblem& f, Problem& p, Use use) {
  const Kernels<S>* kernels = kernels_of<S>(p.cell);
  if (!kernels) return INVALID_PROBLEM;
  Trainer<S> trainer(f, p, *kernels);
  return use(trainer);
}

template <class Use>
int64_t with_trainer(const TrainProblem& f, Use use) {
  for (int64_t size : {f.sequences, f.batch, f.outputs, f.all_outputs})
    if (size < 1 || size >= MAX_SIZE) return INVALID_PROBLEM;
  if (f.logits && f.is_training) return INVALID_PROBLEM;
  Problem p = problem_of(f);
  if (!has_valid_sizes(p)) return INVALID_PROBLEM;
  return p.is_double ? with_typed_trainer<double>(f, p, use) : with_typed_trainer<float>(f, p, use);
}

}  // namespace
