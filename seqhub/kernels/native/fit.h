// Training: many steps of an optimizer in one call. Each is, block by block, forward, the readout with its judgement and
// its gradient, and backward while the activations are in cache; then the gradient is clipped and the step taken.
#pragma once
#include "few.h"
#include "head.h"
#include "optimizers.h"

namespace {

// Vectors of units where they are so much fewer than those of sequences would be; measured.
constexpr double FEWER = 1;
constexpr double MEAN_RATE = 0.005;  // of ErrorRate
constexpr int PARAMETER_PADDING = 16;
constexpr int64_t HEAD_BYTES = 64 << 10;  // of the outputs that are made between two looks at the readout's gradients

inline Problem problem_of(const FitProblem& f) {
  Problem p{};
  p.cell = f.cell, p.is_double = f.is_double, p.layers = f.layers, p.directions = f.directions;
  p.batch = f.batch < f.sequences ? f.batch : f.sequences, p.steps = f.steps, p.features = f.features;
  p.hidden = f.hidden, p.vocabulary = f.vocabulary, p.inputs = f.inputs, p.columns = f.columns;
  p.saved = (void*)&f;  // is only asked whether it is there, and so is d_states
  if (f.target == STEP_CLASS || f.target == NEXT_SYMBOL) p.d_states = &f;
  return p;
}

template <class S, class C>
struct Fitting {
  static constexpr int L = LANES<S>;
  using R = Run<S, C>;

  const FitProblem& f;
  Problem& p;  // of the batch at hand
  R run;
  const bool by_step;
  const int64_t width, padded;  // states that the head reads, its outputs with padding
  const int64_t head_at, size;  // where its parameters begin, and how many there are of all with padding
  const int64_t units;          // padded to whole vectors
  const bool few;               // whether vectors are of units

  Fitting(const FitProblem& fit, Problem& problem)
      : f(fit), p(problem), run(p, nullptr, f.lengths, p.batch < 2 * L ? p.batch : 2 * L), by_step(p.d_states),
        width(run.D * run.units), padded(round_up(f.outputs, OUTPUT_PADDING)), head_at(place_sets(nullptr, nullptr)),
        size(round_up(head_at + f.outputs * (run.D * run.H + 1), PARAMETER_PADDING)), units(round_up(run.H, L)),
        few(p.batch * (units / L) < FEWER * run.H * round_up(p.batch, L) / L) {}

  // Finds the tensors of the recurrence in a buffer of all parameters; returns how many numbers they are.
  int64_t place_sets(S* buffer, S** sets) const {
    int64_t used = 0;
    for (int64_t set = 0; set < run.N * run.D; set++) {
      const int64_t rows = C::GATES * run.H, sizes[] = {rows * run.parts_of(set / run.D).columns, rows * run.H, rows, rows};
      for (int n = 0; n < 4; n++) {
        if (sets) sets[4 * set + n] = buffer + used;
        used += sizes[n];
      }
    }
    return used;
  }

  Kind kind() const {
    if (f.target == NUMBER) return f.logistic ? LOGISTIC_NUMBER : LINEAR_NUMBER;
    return f.logistic ? LOGISTIC : f.outputs == 1 ? LOGIT : SOFTMAX;
  }

  // ---- the memory of one call

  // A state that the head reads, and where its gradient goes.
  struct Item {
    const S* h[2];
    S* d_h[2];
    int label;
    S number;
    int sequence;  // of those side by side
  };

  // What is needed for few sequences in place of the memory of Run and of that of activations.
  struct FewMemory {
    FewWeights<S> *weights, *gradients;  // [layer][direction]
    FewTrace<S>* traces;                 // [layer][direction][sequence]
    int32_t* columns[FEW];
    S *d_sums[FEW], *dh[FEW], *dc[FEW];
    S* d_out[2][2][FEW];                 // [of this layer, of the one below][direction], [step][unit]
    Item* items;                         // of one sequence or, of last states, of all
    S *states, *d_states;                // [item / L][direction * units][item % L]
    Int<S>* labels;
    S* numbers;
  };

  struct Memory {
    typename R::Memory run;
    int64_t *order, *counts;  // of the rows of a batch
    char* saved;              // activations of one block
    S **sets, **d_sets;       // the recurrence's tensors, and their gradients
    S *gradient;              // (size,)
    S *weight, *bias;         // of the head, padded
    S *d_weight[2], *d_bias;
    Int<S>* labels;           // [step][sequence] of a block
    S* numbers;               // [sequence]
    S* outputs;               // [step][output][sequence] of some steps
    S* d_last[2];
    S* few_last;              // the same for few sequences, [direction][sequence][unit]
    bool* refused;            // of each id: whether it must not occur
    FewMemory few;
  };

  int64_t head_steps() const {
    const int64_t steps = HEAD_BYTES / int64_t(sizeof(S) * 2 * L * padded);
    return !by_step || steps < 1 ? 1 : steps > run.T ? run.T : steps;
  }
  int lanes() const { return p.batch > L ? 2 * L : L; }

  void lay_out(Arena& arena, Memory& m) const {
    if (few) {
      lay_out(arena, m.few);
    } else {
      run.lay_out(arena, true, m.run);
      Arena one;
      for (int64_t set = 0; set < run.N * run.D; set++) run.lay_out_saved(one, lanes(), run.keeps_all());
      arena.too_large |= one.too_large;
      m.saved = arena.take<char>(one.used);
    }
    m.order = arena.take<int64_t>(p.batch);
    m.counts = arena.take<int64_t>(run.T + 1);
    m.sets = arena.take<S*>(run.N * run.D, 4);
    m.d_sets = arena.take<S*>(run.N * run.D, 4);
    m.gradient = arena.take<S>(size);
    m.weight = arena.take<S>(padded, width);
    m.bias = arena.take<S>(padded);
    for (int64_t d = 0; d < run.D; d++) {
      m.d_weight[d] = arena.take<S>(padded, run.units);
      m.d_last[d] = arena.take<S>(run.units, lanes());
    }
    m.d_bias = arena.take<S>(padded);
    if (few) m.few_last = arena.take<S>(run.D, FEW, units);
    if (f.target == CLASS || f.target == STEP_CLASS) m.labels = arena.take<Int<S>>(by_step ? run.T : 1, lanes());
    if (f.target == NUMBER) m.numbers = arena.take<S>(lanes());
    m.outputs = arena.take<S>(head_steps(), padded, lanes());
    m.refused = arena.take<bool>(f.vocabulary + 1);
  }

  int64_t scratch_bytes() const {
    Memory m{};
    Arena arena;
    lay_out(arena, m);
    return arena.too_large ? -1 : arena.used;
  }

  void lay_out(Arena& arena, FewMemory& m) const {
    const int64_t sets = run.N * run.D, T = run.T;
    m.weights = arena.take<FewWeights<S>>(sets);
    m.gradients = arena.take<FewWeights<S>>(sets);
    m.traces = arena.take<FewTrace<S>>(sets, FEW);
    for (int64_t set = 0; set < sets; set++) {
      FewWeights<S> w{}, g{};
      FewPacking<S, C>::lay_out(arena, run.H, units, run.parts_of(set / run.D), true, w);
      FewPacking<S, C>::lay_out(arena, run.H, units, run.parts_of(set / run.D), false, g);
      if (arena.base) m.weights[set] = w, m.gradients[set] = g;
    }
    for (int q = 0; q < FEW && q < p.batch; q++) {
      for (int64_t set = 0; set < sets; set++) {
        FewTrace<S> trace{arena.take<S>(T + 1, units), nullptr, arena.take<S>(T, C::KEPT, units)};
        if (C::HAS_C) trace.c = arena.take<S>(T + 1, units);
        if (arena.base) m.traces[set * FEW + q] = trace;
      }
      if (f.vocabulary) m.columns[q] = arena.take<int32_t>(T);
      m.d_sums[q] = arena.take<S>(T, C::ROWS, units);
      m.dh[q] = arena.take<S>(units);
      m.dc[q] = arena.take<S>(units);
      for (int which = 0; which < 2; which++)
        for (int64_t d = 0; d < run.D; d++)
          if (run.N > 1 || (by_step && !which)) m.d_out[which][d][q] = arena.take<S>(T, units);
    }
    m.items = arena.take<Item>(head_steps(), L);
    m.states = arena.take<S>(head_steps(), width, L);
    m.d_states = arena.take<S>(width, L);
    m.labels = arena.take<Int<S>>(L);
    m.numbers = arena.take<S>(L);
  }

  // ---- what may be wrong with the rows, before anything is done with them

  template <class Id>
  bool has_wrong_id(const bool* refused, const Id* ids, int64_t length) const {
    bool wrong = false;
    for (int64_t t = 0; t < length; t++) wrong |= ids[t] >= f.vocabulary || refused[ids[t]];
    return wrong;
  }
  bool is_class(int64_t label) const { return label >= 0 && label < (f.outputs == 1 ? 2 : f.outputs); }

  int64_t check(bool* refused) const {
    for (int64_t id = 0; id < f.vocabulary; id++) {
      refused[id] = f.columns[id] == -2;
      if (f.columns[id] < -2 || f.columns[id] >= f.features) return WRONG_PROBLEM;
    }
    const int64_t* labels = (const int64_t*)f.labels;
    for (int64_t row = 0; row < f.sequences; row++) {
      const int64_t length = f.lengths[row], at = row * f.steps;
      if (length < 1 || length > f.steps) return WRONG_SPAN | row << 8;
      if (f.vocabulary && (f.id_bytes == 1 ? has_wrong_id(refused, (const uint8_t*)f.inputs + at, length)
                                           : has_wrong_id(refused, (const uint16_t*)f.inputs + at, length)))
        return WRONG_ID | row << 8;
      bool wrong = f.target == CLASS && !is_class(labels[row]);
      if (f.target == STEP_CLASS)
        for (int64_t t = 0; t < length; t++) wrong |= !is_class(labels[at + t]) && labels[at + t] != -100;
      if (wrong) return WRONG_LABEL | row << 8;
    }
    return DONE;
  }

  // ---- one batch

  int64_t counted(int64_t row) const {  // targets of a sequence
    int64_t count = !by_step;
    const int64_t at = row * f.steps;
    if (f.target == STEP_CLASS)
      for (int64_t t = 0; t < f.lengths[row]; t++) count += ((const int64_t*)f.labels)[at + t] >= 0;
    if (f.target == NEXT_SYMBOL)
      for (int64_t t = 1; t < f.lengths[row]; t++)
        count += f.columns[f.id_bytes == 1 ? ((const uint8_t*)f.inputs)[at + t] : ((const uint16_t*)f.inputs)[at + t]] >= 0;
    return count;
  }

  template <int G>
  void block(Memory& m, int64_t row, int64_t first, S scale) const {
    constexpr int GL = G * L;
    m.run.order = m.order;
    typename R::template Block<G> b(run, m.run, row);
    Arena saved;
    saved.base = m.saved;
    const bool all = run.keeps_all();
    for (int64_t set = 0; set < run.N * run.D; set++) m.run.traces[set] = run.lay_out_saved(saved, GL, all);
    if (!f.vocabulary)
      b.read_values();
    else if (f.id_bytes == 1)
      b.read_ids((const uint8_t*)p.inputs);
    else
      b.read_ids((const uint16_t*)p.inputs);
    b.forward(all, run.stretch());

    const Head<S, G> head = head_of<G>(m);
    Tally<S, G> tally{};
    Series<S> h[2];
    for (int64_t d = 0; d < run.D; d++) {
      h[d] = b.output(run.N - 1, d);
      if (!by_step) h[d] = {h[d].data, run.units, run.H, b.steps, 0};  // the state after all steps
    }
    const Int<S>* labels = m.labels;
    if (f.target == NEXT_SYMBOL) labels = m.run.ids + GL;  // what is no symbol has a column beyond the outputs
    if (f.target == CLASS || f.target == STEP_CLASS) read_labels(b, m.labels, first);
    if (f.target == NUMBER)
      for (int lane = 0; lane < GL; lane++)
        m.numbers[lane] = lane < b.count ? ((const S*)f.labels)[first + b.rows[lane]] : S(0);

    const int64_t steps = !by_step ? 1 : b.steps - (f.target == NEXT_SYMBOL), most = head_steps();
    for (int64_t from = 0; from < steps; from += most) {
      const int64_t count = from + most > steps ? steps - from : most;
      for (int64_t n = 0; n < count; n++) {
        const int64_t t = from + n;
        const S* at[2];
        S *z = m.outputs + n * padded * GL, *d_h[2];
        for (int64_t d = 0; d < run.D; d++) {
          at[d] = h[d].at(t, GL);
          d_h[d] = by_step ? m.run.d_out[0][d] + t * run.units * GL : m.d_last[d];
        }
        head.outputs_of(at, z);
        if (f.target == NUMBER)
          head.against_numbers(z, m.numbers, m.run.lengths, scale, tally);
        else
          head.against_classes(z, labels + t * GL, scale, tally);
        if (f.trains) head.back(z, d_h);
      }
      if (f.trains) head.gather(m.outputs, count, h, from);
    }
    if (by_step && f.trains && steps < b.steps)  // nothing follows the last symbol
      for (int64_t d = 0; d < run.D; d++)
        memset(m.run.d_out[0][d] + steps * run.units * GL, 0, sizeof(S) * run.units * GL);

    for (int lane = 0; lane < b.count; lane++) {
      const int g = lane / L, i = lane % L;
      const double count = tally.count[g][i] > 0 ? tally.count[g][i] : 1;  // of logistic outputs, errors are summed
      double* out = f.rows + 4 * (first + b.rows[lane]);
      out[0] = tally.worst[g][i], out[1] = tally.mean[g][i] / count;
      out[2] = tally.loss[g][i] / (f.logistic ? 1 : count), out[3] = tally.right[g][i] / count;
    }
    if (f.trains) b.backward(all, run.stretch(), by_step ? nullptr : m.d_last);
  }

  // Some of the batch, few of them, from number `row` on in the order of their lengths; returns how many.
  int64_t side_by_side(Memory& memory, int64_t row, int64_t first, S scale) const {
    FewMemory& m = memory.few;
    const int count = run.B - row < FEW ? int(run.B - row) : FEW;
    int64_t rows[FEW], lengths[FEW + 1] = {};
    for (int q = 0; q < count; q++) {
      rows[q] = memory.order[row + q];
      lengths[q] = run.lengths[rows[q]];
      for (int64_t t = 0; f.vocabulary && t < lengths[q]; t++) {
        const int64_t at = rows[q] * run.T + t;
        const int32_t column = f.columns[f.id_bytes == 1 ? ((const uint8_t*)p.inputs)[at] : ((const uint16_t*)p.inputs)[at]];
        m.columns[q][t] = column < 0 ? int32_t(f.features) : column;
      }
    }
    FewInput<S> x[FEW];
    for (int64_t set = 0; set < run.N * run.D; set++) {
      read(m, set, count, rows, lengths, x);
      for (int q = 0; q < count; q++) {
        memset(m.traces[set * FEW + q].h, 0, sizeof(S) * units);
        if (C::HAS_C) memset(m.traces[set * FEW + q].c, 0, sizeof(S) * units);
      }
      for (int active = count; active > 0; active--)
        with_active(active, m, set, x, [&](const auto& scan) { scan.forward(lengths[active], lengths[active - 1]); });
    }

    double sums[FEW][5] = {};
    read_out(memory, count, rows, lengths, first, scale, sums);
    for (int q = 0; q < count; q++) {
      const double targets = sums[q][4] > 0 ? sums[q][4] : 1;
      double* out = f.rows + 4 * (first + rows[q]);
      out[0] = sums[q][0], out[1] = sums[q][1] / targets;
      out[2] = sums[q][2] / (f.logistic ? 1 : targets), out[3] = sums[q][3] / targets;
    }
    if (!f.trains) return count;

    int above = 0;  // which of d_out is that of the layer at hand
    for (int64_t layer = run.N - 1; layer >= 0; layer--, above = 1 - above) {
      const bool has_out = layer < run.N - 1 || by_step;
      for (int64_t d = 0; layer && d < run.D; d++)
        for (int q = 0; q < count; q++) memset(m.d_out[1 - above][d][q], 0, sizeof(S) * lengths[q] * units);
      for (int64_t d = 0; d < run.D; d++) {
        const int64_t set = layer * run.D + d;
        read(m, set, count, rows, lengths, x);
        Scalars<S> d_out[FEW];
        for (int q = 0; q < count; q++) {
          d_out[q] = d ? Scalars<S>{m.d_out[above][d][q], (lengths[q] - 1) * units, -units}
                       : Scalars<S>{m.d_out[above][d][q], 0, units};
          if (layer < run.N - 1 || by_step) memset(m.dh[q], 0, sizeof(S) * units);
          else memcpy(m.dh[q], d_last(memory, d, q), sizeof(S) * units);
          memset(m.dc[q], 0, sizeof(S) * units);
        }
        for (int active = 1; active <= count; active++)
          with_active(active, m, set, x, [&](const auto& scan) {
            scan.backward(lengths[active], lengths[active - 1], has_out ? d_out : nullptr, m.dh, m.dc, m.d_sums);
          });
        for (int q = 0; q < count; q++) gather(m, set, q, lengths[q], x[q], 1 - above);
      }
    }
    return count;
  }

  // What a layer and direction reads, by its own steps.
  void read(const FewMemory& m, int64_t set, int count, const int64_t* rows, const int64_t* lengths,
            FewInput<S>* x) const {
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
      for (int64_t d = 0; layer && d < run.D; d++) {  // state s + 1 of its own steps, or of those of the other direction
        const bool against = reverse != (d == 1);
        x[q].parts[d] = {m.traces[((layer - 1) * run.D + d) * FEW + q].h, (against ? last + 1 : 1) * units,
                         against ? -units : units};
      }
    }
  }

  template <class Use>
  void with_active(int active, const FewMemory& m, int64_t set, const FewInput<S>* x, Use use) const {
    switch (active) {
      case 1:
        return use(scan_of<1>(m, set, x));
      case 2:
        return use(scan_of<2>(m, set, x));
      case 3:
        return use(scan_of<3>(m, set, x));
      default:
        return use(scan_of<4>(m, set, x));
    }
  }
  template <int Q>
  FewScan<S, C, Q> scan_of(const FewMemory& m, int64_t set, const FewInput<S>* x) const {
    const Parts parts = run.parts_of(set / run.D);
    return {m.weights[set], run.H, units, parts.count, {parts.real[0], parts.real[1]}, x, m.traces + set * FEW};
  }

  void gather(const FewMemory& m, int64_t set, int q, int64_t steps, const FewInput<S>& x, int below) const {
    const FewWeights<S>&g = m.gradients[set], &w = m.weights[set];
    const FewGather<S, C> sums{units, steps, m.d_sums[q]};
    sums.template products<C::RECURRENT>({m.traces[set * FEW + q].h, 0, units}, run.H, g.recurrent);
    sums.bias(g.bias);
    const Parts parts = run.parts_of(set / run.D);
    if (!parts.count) sums.table(x, g.table);
    for (int part = 0; part < parts.count; part++)
      sums.template products<C::INPUT>(x.parts[part], parts.real[part], g.input[part]);
    for (int part = 0; set >= run.D && part < parts.count; part++)
      for (int64_t step = 0; step < steps; step++) {
        const int64_t t = set % run.D ? steps - 1 - step : step;
        S *d_sums = m.d_sums[q] + step * C::ROWS * units, *to = m.d_out[below][part][q] + t * units;
        const FewScan<S, C, 1> scan{w, run.H, units, 0, {}, nullptr, nullptr};
        scan.template multiply_back<C::INPUT>(w.input_back[part], &d_sums, &to);
      }
  }

  // ---- the head of few sequences: lanes belong to states, of whatever sequence and step

  S* d_last(const Memory& m, int64_t d, int q) const { return m.few_last + (d * FEW + q) * units; }

  void read_out(const Memory& memory, int count, const int64_t* rows, const int64_t* lengths, int64_t first, S scale,
                double (*sums)[5]) const {
    const FewMemory& m = memory.few;
    const int64_t most = head_steps() * L;
    int64_t used = 0;
    for (int q = 0; q < count; q++) {
      const int64_t row = first + rows[q], last = lengths[q] - 1;
      for (int64_t d = 0; by_step && f.trains && d < run.D; d++)
        memset(m.d_out[0][d][q], 0, sizeof(S) * lengths[q] * units);
      for (int64_t t = by_step ? 0 : last; t <= last; t++) {
        Item item{};
        item.sequence = q;
        item.label = label_of(m, q, row, t, last);
        if (f.target == NUMBER)
          item.number = ((const S*)f.labels)[row];
        else if (item.label < 0 || item.label >= (f.outputs == 1 ? 2 : f.outputs))
          continue;
        for (int64_t d = 0; d < run.D; d++) {
          const int64_t entry = by_step && d ? last - t + 1 : by_step ? t + 1 : last + 1;
          item.h[d] = m.traces[((run.N - 1) * run.D + d) * FEW + q].h + entry * units;
          item.d_h[d] = by_step ? m.d_out[0][d][q] + t * units : d_last(memory, d, q);
        }
        m.items[used++] = item;
        if (used == most) read_out(memory, used, scale, sums), used = 0;
      }
    }
    if (used) read_out(memory, used, scale, sums);
  }

  int label_of(const FewMemory& m, int q, int64_t row, int64_t t, int64_t last) const {
    const int64_t* labels = (const int64_t*)f.labels;
    if (f.target == CLASS) return int(labels[row]);
    if (f.target == STEP_CLASS) return int(labels[row * run.T + t]);
    return f.target == NEXT_SYMBOL && t < last ? m.columns[q][t + 1] : -1;
  }

  void read_out(const Memory& memory, int64_t used, S scale, double (*sums)[5]) const {
    const FewMemory& m = memory.few;
    const Head<S, 1> head = head_of<1>(memory);
    const int64_t groups = (used + L - 1) / L;
    S* d_states[2] = {m.d_states, m.d_states + run.units * L};
    Series<S> h[2];
    for (int64_t d = 0; d < run.D; d++) h[d] = {m.states + d * run.units * L, width, run.H, 0, 1};
    for (int64_t group = 0; group < groups; group++) {
      Item* items = m.items + group * L;
      const int here = used - group * L < L ? int(used - group * L) : L;
      const S* at[2] = {h[0].at(group, L), run.D > 1 ? h[1].at(group, L) : nullptr};
      for (int lane = 0; lane < L; lane++) {
        m.labels[lane] = lane < here ? (f.target == NUMBER ? 1 : items[lane].label) : -1;
        m.numbers[lane] = lane < here ? items[lane].number : S(0);
        for (int64_t d = 0; d < run.D; d++)
          for (int64_t j = 0; j < run.H; j++) ((S*)at[d])[j * L + lane] = lane < here ? items[lane].h[d][j] : S(0);
      }
      Tally<S, 1> tally{};
      S* z = memory.outputs + group * padded * L;
      head.outputs_of(at, z);
      if (f.target == NUMBER)
        head.against_numbers(z, m.numbers, m.labels, scale, tally);  // a length of 1 where there is one
      else
        head.against_classes(z, m.labels, scale, tally);
      for (int lane = 0; lane < here; lane++) {
        double* sum = sums[items[lane].sequence];
        const double worst = tally.worst[0][lane];
        sum[0] = worst <= sum[0] ? sum[0] : worst;
        sum[1] += tally.mean[0][lane], sum[2] += tally.loss[0][lane];
        sum[3] += tally.right[0][lane], sum[4] += tally.count[0][lane];
      }
      if (!f.trains) continue;
      head.back(z, d_states);
      for (int lane = 0; lane < here; lane++)
        for (int64_t d = 0; d < run.D; d++)
          for (int64_t j = 0; j < run.H; j++) items[lane].d_h[d][j] = d_states[d][j * L + lane];
    }
    if (f.trains) head.gather(memory.outputs, groups, h, 0);
  }

  template <int G>
  Head<S, G> head_of(const Memory& m) const {
    return {kind(), f.outputs, padded, run.units, run.D, S(f.all_outputs), S(f.tolerance), m.weight, m.bias,
            {m.d_weight[0], m.d_weight[1]}, m.d_bias};
  }

  template <class B_>
  void read_labels(const B_& b, Int<S>* to, int64_t first) const {
    constexpr int GL = B_::GL;
    for (int lane = 0; lane < GL; lane++) {
      const int64_t row = lane < b.count ? first + b.rows[lane] : 0, length = b.m.lengths[lane];
      if (!by_step) to[lane] = lane < b.count ? Int<S>(((const int64_t*)f.labels)[row]) : -1;
      const int64_t* labels = (const int64_t*)f.labels + row * f.steps;
      for (int64_t t = 0; by_step && t < b.steps; t++) to[t * GL + lane] = t < length ? Int<S>(labels[t]) : -1;
    }
  }

  // Gradients of `count` sequences from `first` on, and their rows; returns whether a step is to be taken. Where no next
  // symbol counts, torch takes one, of a gradient of zero.
  bool batch(Memory& m, int64_t first, int64_t count) {
    run.B = count;
    run.lengths = f.lengths + first;
    const int64_t bytes = f.vocabulary ? f.id_bytes : f.features * int64_t(sizeof(S));
    p.inputs = (const char*)f.inputs + first * f.steps * bytes;
    int64_t targets = 0;
    for (int64_t row = first; row < first + count; row++) targets += counted(row);

    memset(m.counts, 0, sizeof(int64_t) * (run.T + 1));
    run.sort(m.order, m.counts);
    for (int64_t set = 0; set < run.N * run.D; set++) {
      const Parts parts = run.parts_of(set / run.D);
      if (few) {
        FewPacking<S, C>::pack(m.sets + 4 * set, run.H, units, parts, set >= run.D, m.few.weights[set]);
        FewPacking<S, C>::zero(run.H, units, parts, false, m.few.gradients[set]);
      } else {
        run.zero(m.run, set, true);
        Packing<S, C>::pack(m.sets + 4 * set, run.H, parts, true, m.run.weights[set]);
      }
    }
    const S* head = (const S*)f.parameters + head_at;
    for (int64_t row = 0; row < f.outputs * run.D; row++)
      memcpy(m.weight + row * run.units, head + row * run.H, sizeof(S) * run.H);
    memcpy(m.bias, head + f.outputs * run.D * run.H, sizeof(S) * f.outputs);
    for (int64_t d = 0; d < run.D; d++) memset(m.d_weight[d], 0, sizeof(S) * padded * run.units);
    memset(m.d_bias, 0, sizeof(S) * padded);

    const bool by_sequence = f.logistic && f.target != STEP_CLASS;  // what the model's loss is the mean over; else targets
    const S scale = S(1.0 / (by_sequence || !targets ? count : targets));
    for (int64_t row = 0; row < count;) {
      if (few) {
        row += side_by_side(m, row, first, scale);
        continue;
      }
      const int groups = count - row > L ? 2 : 1;
      if (groups == 2)
        block<2>(m, row, first, scale);
      else
        block<1>(m, row, first, scale);
      row += groups * L;
    }
    return targets > 0 || f.target != STEP_CLASS;
  }

  // The gradients, in the order of the parameters.
  void collect(Memory& m) const {
    for (int64_t set = 0; set < run.N * run.D; set++)
      if (few)
        FewPacking<S, C>::unpack(m.few.gradients[set], run.H, units, run.parts_of(set / run.D), m.d_sets + 4 * set);
      else
        Packing<S, C>::unpack(m.run.gradients[set], run.units, run.H, run.parts_of(set / run.D), m.d_sets + 4 * set);
    S* head = m.gradient + head_at;
    for (int64_t o = 0; o < f.outputs; o++)
      for (int64_t d = 0; d < run.D; d++)
        for (int64_t j = 0; j < run.H; j++)
          *head++ = m.d_weight[d][(j / TILE_J * (padded / TILE_K) + o / TILE_K) * TILE + o % TILE_K * TILE_J + j % TILE_J];
    memcpy(head, m.d_bias, sizeof(S) * f.outputs);
  }

  int64_t operator()() {
    if (!f.scratch || f.scratch_bytes < scratch_bytes()) return WRONG_PROBLEM;
    Memory m{};
    Arena arena;
    arena.base = (char*)f.scratch;
    lay_out(arena, m);
    if (const int64_t outcome = check(m.refused)) return outcome;
    place_sets((S*)f.parameters, m.sets);
    place_sets(m.gradient, m.d_sets);
    memset(m.gradient, 0, sizeof(S) * size);
    memset(m.weight, 0, sizeof(S) * padded * width);
    memset(m.bias, 0, sizeof(S) * padded);
    if (few) {
      for (int64_t set = 0; set < run.N * run.D; set++)
        FewPacking<S, C>::zero(run.H, units, run.parts_of(set / run.D), true, m.few.weights[set]);
      memset(m.few.states, 0, sizeof(S) * head_steps() * width * L);
      memset(m.few_last, 0, sizeof(S) * run.D * FEW * units);
    }

    for (int64_t first = 0, step = 0; first < f.sequences; first += p.batch, step++) {
      const int64_t count = f.sequences - first < p.batch ? f.sequences - first : p.batch;
      const bool learns = batch(m, first, count) && f.trains;
      if (!learns) continue;
      double rate = f.rates[step];
      if (f.reference > 0) {
        double worst = 0;
        for (int64_t row = first; row < first + count; row++) worst = f.rows[4 * row] <= worst ? worst : f.rows[4 * row];
        f.progress[0] += MEAN_RATE * (worst - f.progress[0]);
        const double share = f.progress[0] / f.reference;
        rate *= share > 1 ? 1 : share < f.floor ? f.floor : share;
      }
      collect(m);
      if (f.max_norm > 0) clip(m.gradient, size, f.max_norm);
      update(f, rate, m.gradient, size);
    }
    return DONE;
  }
};

template <class Use>
struct MakeFitting {
  const FitProblem& f;
  Problem& p;
  Use use;
  template <class S, class C>
  int64_t of() const {
    Fitting<S, C> fitting(f, p);
    return use(fitting);
  }
};

template <class Use>
int64_t with_fitting(const FitProblem& f, Use use) {
  for (int64_t size : {f.sequences, f.batch, f.outputs, f.all_outputs})
    if (size < 1 || size >= LONGEST) return WRONG_PROBLEM;
  Problem p = problem_of(f);
  return by_type(p, MakeFitting<Use>{f, p, use});
}

}  // namespace
