// Training: many steps of an optimizer in one call. Each step is, block by block, forward, the readout with its loss and
// its gradient, and backward while the activations are in cache; then the gradient is clipped and the step taken.
#pragma once
#include "small_batch.h"
#include "readout.h"

namespace {

// Vectors of units are used if they are so much fewer than vectors of sequences. One, by counting: a vector costs about
// the same in either form.
constexpr double FEWER = 1;

inline Problem problem_of(const FitProblem& f) {
  Problem p{};
  p.cell = f.cell, p.is_double = f.is_double, p.layers = f.layers, p.directions = f.directions;
  p.batch = f.batch < f.sequences ? f.batch : f.sequences, p.steps = f.steps, p.features = f.features;
  p.hidden = f.hidden, p.vocabulary = f.vocabulary, p.inputs = f.inputs, p.columns = f.columns;
  p.saved = (void*)&f;  // only compared with null, and so is d_states
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
  const Readout<S> readout;
  const int64_t head_at, size;  // where its parameters begin, and how many there are of all with padding
  const int64_t units;          // padded to whole vectors
  const bool few;               // whether vectors hold units

  Fitting(const FitProblem& fit, Problem& problem)
      : f(fit), p(problem), run(p, nullptr, f.lengths, p.batch < 2 * L ? p.batch : 2 * L), by_step(p.d_states),
        readout(f, run.D, run.H), head_at(place_sets(nullptr, nullptr)),
        size(round_up(int64_t(uint64_t(head_at) + readout.size()), PARAMETER_PADDING)), units(round_up(run.H, L)),
        few(p.batch * (units / L) < FEWER * run.H * round_up(p.batch, L) / L) {}

  // Finds the tensors of the recurrence in a buffer of all parameters; returns how many numbers they are. The number may
  // wrap around, as may those that it is added to: then the scratch memory, which must hold all, cannot be counted.
  int64_t place_sets(S* buffer, S** sets) const {
    uint64_t used = 0;
    for (int64_t set = 0; set < run.N * run.D; set++) {
      const uint64_t rows = C::GATES * run.H, sizes[] = {rows * run.parts_of(set / run.D).columns, rows * run.H, rows, rows};
      for (int n = 0; n < 4; n++) {
        if (sets) sets[4 * set + n] = buffer + used;
        used += sizes[n];
      }
    }
    return used;
  }

  // ---- the memory of one call

  // What is needed for few sequences in place of the memory of Run and of that of activations.
  struct FewMemory {
    FewWeights<S> *weights, *gradients;  // [layer][direction]
    FewTrace<S>* traces;                 // [layer][direction][sequence]
    int32_t* columns[FEW];
    S *d_sums[FEW], *dh[FEW], *dc[FEW];
    S* d_out[2][2][FEW];                 // [this layer, layer below][direction], [step][unit]
  };

  struct Memory {
    typename R::Memory run;
    int64_t *order, *counts;  // of the rows of a batch
    char* saved;              // activations of one block
    S **sets, **d_sets;       // the recurrence's tensors, and their gradients
    S *gradient;              // (size,)
    typename Readout<S>::Memory head;
    Int<S>* labels;           // [step][sequence] of a block
    S* numbers;               // [sequence]
    S* d_last[2];
    S* few_last;              // for few sequences, [direction][sequence][unit]
    bool* refused;            // of each id: whether it must not occur
    FewMemory few;
  };

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
    readout.lay_out(arena, m.head, lanes(), few);
    for (int64_t d = 0; d < run.D; d++) m.d_last[d] = arena.take<S>(run.units, lanes());
    if (few) m.few_last = arena.take<S>(run.D, FEW, units);
    if (f.target == CLASS || f.target == STEP_CLASS) m.labels = arena.take<Int<S>>(by_step ? run.T : 1, lanes());
    if (f.target == NUMBER) m.numbers = arena.take<S>(lanes());
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
  }

  // ---- one batch

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

    const Head<S, G> head = readout.template head<G>(m.head);
    Tally<S, G> tally{};
    Series<S> h[2];
    for (int64_t d = 0; d < run.D; d++) {
      h[d] = b.output(run.N - 1, d);
      if (!by_step) h[d] = {h[d].data, run.units, run.H, b.steps, 0};  // the state after all steps
    }
    const Int<S>* labels = m.labels;
    if (f.target == NEXT_SYMBOL) labels = m.run.ids + GL;  // ids that are not symbols have a column beyond the outputs
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
        head.outputs_of(at, z);
        if (f.target == NUMBER)
          head.against_numbers(z, m.numbers, m.run.lengths, scale, tally);
        else
          head.against_classes(z, labels + t * GL, scale, tally);
        if (f.trains) head.back(z, d_h);
      }
      if (f.trains) head.gather(m.head.outputs, count, h, from);
    }
    if (by_step && f.trains && steps < b.steps)  // nothing follows the last symbol
      for (int64_t d = 0; d < run.D; d++)
        memset(m.run.d_out[0][d] + steps * run.units * GL, 0, sizeof(S) * run.units * GL);

    for (int lane = 0; lane < b.count; lane++) {
      const int g = lane / L, i = lane % L;
      const double sums[] = {tally.worst[g][i], tally.mean[g][i], tally.loss[g][i], tally.right[g][i], tally.count[g][i]};
      write_row(f, first + b.rows[lane], sums);
    }
    if (f.trains) b.backward(all, run.stretch(), by_step ? nullptr : m.d_last);
  }

  // A few sequences of the batch, from number `row` on in the order of their lengths; returns how many.
  int64_t side_by_side(Memory& memory, int64_t row, int64_t first, S scale) const {
    FewMemory& m = memory.few;
    const int count = run.B - row < FEW ? int(run.B - row) : FEW;
    int64_t rows[FEW], lengths[FEW + 1] = {};
    for (int q = 0; q < count; q++) {
      rows[q] = memory.order[row + q];
      lengths[q] = run.lengths[rows[q]];
      for (int64_t t = 0; f.vocabulary && t < lengths[q]; t++) {
        const int32_t column = f.columns[id_at(f, (first + rows[q]) * run.T + t)];
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
    for (int q = 0; q < count; q++) write_row(f, first + rows[q], sums[q]);
    if (!f.trains) return count;

    int above = 0;  // index into d_out of the present layer
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

  // Inputs of a layer and direction, by its own steps.
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
      for (int64_t d = 0; layer && d < run.D; d++) {  // state s + 1 of its own steps, or of the steps of the other direction
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

  // ---- the head of few sequences: lanes belong to states of any sequence and step

  S* d_last(const Memory& m, int64_t d, int q) const { return m.few_last + (d * FEW + q) * units; }

  void read_out(const Memory& memory, int count, const int64_t* rows, const int64_t* lengths, int64_t first, S scale,
                double (*sums)[5]) const {
    const FewMemory& m = memory.few;
    int64_t used = 0;
    for (int q = 0; q < count; q++) {
      const int64_t last = lengths[q] - 1;
      for (int64_t d = 0; by_step && f.trains && d < run.D; d++)
        memset(m.d_out[0][d][q], 0, sizeof(S) * lengths[q] * units);
      for (int64_t t = by_step ? 0 : last; t <= last; t++) {
        Item<S> item{};
        item.sequence = q;
        if (!readout.expect(first + rows[q], m.columns[q], t, item)) continue;
        for (int64_t d = 0; d < run.D; d++) {
          const int64_t entry = by_step && d ? last - t + 1 : by_step ? t + 1 : last + 1;
          item.h[d] = m.traces[((run.N - 1) * run.D + d) * FEW + q].h + entry * units;
          item.d_h[d] = by_step ? m.d_out[0][d][q] + t * units : d_last(memory, d, q);
        }
        memory.head.items[used++] = item;
        if (used == readout.most()) readout(memory.head, used, scale, sums), used = 0;
      }
    }
    if (used) readout(memory.head, used, scale, sums);
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

  // Gradients of `count` sequences from `first` on, and their rows; returns whether a step is to be taken.
  bool batch(Memory& m, int64_t first, int64_t count) {
    run.B = count;
    run.lengths = f.lengths + first;
    const int64_t bytes = f.vocabulary ? f.id_bytes : f.features * int64_t(sizeof(S));
    p.inputs = (const char*)f.inputs + first * f.steps * bytes;
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
    readout.pack((const S*)f.parameters + head_at, m.head);

    const Share share = share_of(f, first, count);
    const S scale = S(share.scale);
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
    return share.learns;
  }

  // The gradients, in the order of the parameters.
  void collect(Memory& m) const {
    for (int64_t set = 0; set < run.N * run.D; set++)
      if (few)
        FewPacking<S, C>::unpack(m.few.gradients[set], run.H, units, run.parts_of(set / run.D), m.d_sets + 4 * set);
      else
        Packing<S, C>::unpack(m.run.gradients[set], run.units, run.H, run.parts_of(set / run.D), m.d_sets + 4 * set);
    readout.unpack(m.head, m.gradient + head_at);
  }

  int64_t operator()() {
    if (!is_enough(f.scratch, f.scratch_bytes, scratch_bytes())) return WRONG_PROBLEM;
    Memory m{};
    Arena arena;
    arena.base = (char*)f.scratch;
    lay_out(arena, m);
    if (const int64_t outcome = check_rows(f, m.refused)) return outcome;
    place_sets((S*)f.parameters, m.sets);
    place_sets(m.gradient, m.d_sets);
    memset(m.gradient, 0, sizeof(S) * size);
    readout.zero(m.head);
    if (few) {
      for (int64_t set = 0; set < run.N * run.D; set++)
        FewPacking<S, C>::zero(run.H, units, run.parts_of(set / run.D), true, m.few.weights[set]);
      memset(m.few_last, 0, sizeof(S) * run.D * FEW * units);
    }

    take_steps(f, m.gradient, size, [&](int64_t first, int64_t count) {
      const bool learns = batch(m, first, count) && f.trains;
      if (learns) collect(m);
      return learns;
    });
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
