// Recurrence over all layers, both directions and the whole batch. Compiled once per instruction set, whose name ISA is
// part of the symbols.
#include "kernels.h"

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)

namespace {

// Activations that exceed the last-level cache are recomputed in backward, segment by segment, where that is faster than
// reading memory. Speedup for an LSTM with B 1024, T 1000: 1.6x for 4 units, 1.2x for 16, 0.9x for 64.
constexpr int64_t MAX_SAVED_BYTES = 16 << 20;
constexpr int64_t MAX_RECOMPUTED_UNITS = 32;
constexpr int64_t BLOCK_BYTES = 256 << 10;  // data that backward processes between two passes over the weights

// Columns of ids, L at a time.
template <class S>
struct IdColumns {
  static constexpr int L = LANES<S>;
  const int32_t* columns;
  const Int<S> none;  // in place of a negative column
  const bool permuted;
  alignas(VECTOR_BYTES) Int<S> table[L] = {};

  explicit IdColumns(const Problem& p)
      : columns(p.columns), none(Int<S>(p.features)), permuted(PERMUTED_TABLES && p.vocabulary <= L) {
    for (int64_t id = 0; permuted && id < p.vocabulary; id++) table[id] = columns[id];
  }

  // Columns of the first `count` of L ids; `none` for the others
  template <class Id>
  INLINE IVec<S> operator()(const Id* ids, int64_t count) const {
    if (permuted && count >= L) {
      typedef Id Ids __attribute__((vector_size(L * sizeof(Id)), aligned(sizeof(Id)), may_alias));
      return __builtin_shuffle(load_int<S>(table), __builtin_convertvector(*(const Ids*)ids, IVec<S>));
    }
    if (count <= 0) return splat_int<S>(none);
    alignas(VECTOR_BYTES) Int<S> found[L];
    if (count >= L)
#pragma GCC unroll 16
      for (int n = 0; n < L; n++) found[n] = columns[ids[n]];
    else
      for (int n = 0; n < L; n++) found[n] = n < count ? Int<S>(columns[ids[n]]) : none;
    return load_int<S>(found);
  }
  INLINE IVec<S> or_none(IVec<S> found) const { return found < splat_int<S>(0) ? splat_int<S>(none) : found; }
};

template <class S>
struct Run {
  using V = Vec<S>;
  static constexpr int L = LANES<S>;
  const Problem& p;
  const Kernels<S>& kernels;
  const CellSizes& cell;
  int64_t B;               // in training, these three describe the current batch
  const int64_t *starts;   // if null, 0
  const int64_t *lengths;  // if null, T
  const int64_t T, H, D, N, units;
  const int64_t kept_rows;  // rows whose activations are kept at the same time

  Run(const Problem& problem, const Kernels<S>& of_cell)
      : Run(problem, of_cell, problem.spans, problem.spans ? problem.spans + problem.batch : nullptr, problem.batch) {}
  Run(const Problem& problem, const Kernels<S>& of_cell, const int64_t* starts_, const int64_t* lengths_, int64_t kept_rows_)
      : p(problem), kernels(of_cell), cell(of_cell.sizes), B(p.batch), starts(starts_), lengths(lengths_), T(p.steps), H(p.hidden), D(p.directions),
        N(p.layers), units(round_up(p.hidden, UNIT_PADDING)), kept_rows(kept_rows_) {}

  // ---- activations saved between forward and backward, for each block of lanes, layer and direction: h of all steps, then
  //      c and the kept values of the cell for all steps, or only c at the first step of each segment

  bool keeps_all() const {
    return !cell.kept || units > MAX_RECOMPUTED_UNITS ||
           per_lane(T, T) * double(round_up(kept_rows, L)) * sizeof(S) <= MAX_SAVED_BYTES;
  }
  double per_lane(double c_steps, double kept_steps) const {
    return double(N) * D * units * ((T + 1) + (cell.has_c ? c_steps + 1 : 0) + cell.kept * kept_steps);
  }
  int64_t segment_steps() const {  // steps that backward processes together
    const int64_t bytes = int64_t(sizeof(S)) * 2 * L * units * (cell.rows + cell.kept + 3);
    int64_t length = BLOCK_BYTES / bytes;
    return length < 8 ? (T < 8 ? T : 8) : length > T ? T : length;
  }
  int64_t num_segments() const { return (T + segment_steps() - 1) / segment_steps(); }

  struct Saved {
    S *h, *c, *kept;
  };
  Saved allocate_saved(Arena& arena, int lanes, bool all) const {
    Saved s{};
    s.h = arena.allocate<S>(T + 1, units, lanes);
    if (cell.has_c) s.c = arena.allocate<S>(all ? T + 1 : num_segments(), units, lanes);
    if (all) s.kept = arena.allocate<S>(T, units, cell.kept, lanes);
    return s;
  }
  int64_t saved_bytes() const {
    Arena arena;
    for (int64_t row = 0; row < B && !arena.too_large;) {
      const int groups = B - row > L ? 2 : 1;
      Arena one;
      allocate_saved(one, groups * L, keeps_all());
      int64_t blocks = groups == 1 ? 1 : (B - row) / (2 * L) ? (B - row) / (2 * L) : 1, bytes;
      arena.too_large |= one.too_large || __builtin_mul_overflow(one.used, N * D, &bytes) ||
                         __builtin_mul_overflow(bytes, blocks, &bytes) ||
                         __builtin_add_overflow(arena.used, bytes, &arena.used);
      row += blocks * groups * L;
    }
    return arena.too_large ? -1 : arena.used;
  }

  // ---- batch: rows sorted by length in descending order, so that the sequences of a block have similar lengths

  int64_t start_of(int64_t row) const { return starts ? starts[row] : 0; }
  int64_t length_of(int64_t row) const { return lengths ? lengths[row] : T; }

  int64_t check() const {
    for (int64_t row = 0; row < B; row++) {
      const int64_t start = start_of(row), length = length_of(row);
      if (start < 0 || length < 1 || length > T || start > T - length) return INVALID_SPAN | row << 8;
      if (!p.vocabulary) continue;
      const int64_t* ids = (const int64_t*)p.inputs + row * T + start;
      if (has_wrong_id(ids, length)) return INVALID_ID | row << 8;
    }
    for (int64_t id = 0; id < p.vocabulary; id++)
      if (p.columns[id] < -1 || p.columns[id] >= p.features) return INVALID_PROBLEM;
    return DONE;
  }

  bool has_wrong_id(const int64_t* ids, int64_t length) const {
    using Bits = typename Types<double>::Bits;
    constexpr int N = LANES<double>;
    const uint64_t last = uint64_t(p.vocabulary) - 1;
    Bits signs{};  // the sign of an id or of its distance from the last id is negative
    int64_t t = 0;
    for (; t + N <= length; t += N) {
      const Bits id = (Bits)load_int<double>(ids + t);
      signs |= id | (last - id);
    }
    uint64_t sign = 0;
    for (int lane = 0; lane < N; lane++) sign |= signs[lane];
    for (; t < length; t++) sign |= uint64_t(ids[t]) | (last - uint64_t(ids[t]));
    return int64_t(sign) < 0;
  }

  void sort(int64_t* order, int64_t* counts) const {  // counting sort; counts: (T + 1,), zero
    for (int64_t row = 0; row < B; row++) counts[T - length_of(row)]++;
    for (int64_t n = 0, before = 0; n <= T; n++) {
      const int64_t here = counts[n];
      counts[n] = before;
      before += here;
    }
    for (int64_t row = 0; row < B; row++) order[counts[T - length_of(row)]++] = row;
  }

  // ---- memory of one call

  struct Memory {
    int64_t *order, *counts;
    Weights<S>* weights;
    Gradients<S>* gradients;
    Int<S>*ids, *lengths;
    S *values, *d_values;
    Saved* traces;       // [layer][direction], for the current block
    Saved* scratch;      // a single one: c and kept values if these are not saved
    S *dh, *dc, *d_sums;
    S* d_out[2][2];      // [this layer, layer below][direction]
  };

  Parts parts_of(int64_t layer) const {
    Parts parts{};
    if (layer) {
      parts.count = int(D);
      for (int d = 0; d < D; d++) parts.real[d] = H, parts.padded[d] = units;
      parts.columns = D * H;
    } else {
      parts.columns = p.features;
      if (!p.vocabulary) parts.count = 1, parts.real[0] = p.features, parts.padded[0] = round_up(p.features, TILE_J);
    }
    return parts;
  }

  void allocate(Arena& arena, bool back, Memory& m) const {
    const int lanes = B > L ? 2 * L : L;
    m.order = arena.allocate<int64_t>(B);
    m.counts = arena.allocate<int64_t>(T + 1);
    m.weights = arena.allocate<Weights<S>>(N, D);
    if (back) m.gradients = arena.allocate<Gradients<S>>(N, D);
    for (int64_t layer = 0; layer < N; layer++)
      for (int64_t d = 0; d < D; d++) {
        Weights<S> w{};
        Gradients<S> g{};
        Packing<S>{cell}.allocate(arena, H, units, parts_of(layer), back, layer || p.d_inputs, w);
        if (back) Packing<S>{cell}.allocate(arena, units, parts_of(layer), g);
        if (!arena.base) continue;
        m.weights[layer * D + d] = w;
        if (back) m.gradients[layer * D + d] = g;
      }
    m.lengths = arena.allocate<Int<S>>(lanes);
    const int64_t padded = round_up(p.features, TILE_J);
    if (p.vocabulary)
      m.ids = arena.allocate<Int<S>>(T, lanes);
    else
      m.values = arena.allocate<S>(T, padded, lanes);
    m.traces = arena.allocate<Saved>(N, D);
    m.scratch = arena.allocate<Saved>(1);
    const bool all = p.saved && keeps_all();
    const int64_t kept = !back ? 1 : all ? 0 : segment_steps();  // steps of scratch
    Saved s{};
    if (cell.has_c && !all) s.c = arena.allocate<S>(kept + 1, units, lanes);
    if (!all) s.kept = arena.allocate<S>(kept, units, cell.kept, lanes);
    if (arena.base) *m.scratch = s;
    if (!p.saved)  // only the states that the next layer and the output read
      for (int64_t layer = 0; layer < (N > 1 ? 2 : 1); layer++)
        for (int64_t d = 0; d < D; d++) {
          S* h = arena.allocate<S>(T + 1, units, lanes);
          if (!arena.base) continue;
          for (int64_t each = layer; each < N; each += 2) m.traces[each * D + d] = {h, nullptr, nullptr};
        }
    if (!back) return;
    if (p.d_inputs) m.d_values = arena.allocate<S>(T, padded, lanes);
    m.dh = arena.allocate<S>(units, lanes);
    m.dc = arena.allocate<S>(units, lanes);
    m.d_sums = arena.allocate<S>(segment_steps(), units, cell.rows, lanes);
    for (int which = 0; which < 2; which++)
      for (int64_t d = 0; d < D; d++)
        if (which ? N > 1 : N > 1 || p.d_states) m.d_out[which][d] = arena.allocate<S>(T, units, lanes);
  }

  int64_t scratch_bytes(bool back) const {
    Memory m{};
    Arena arena;
    allocate(arena, back, m);
    return arena.too_large ? -1 : arena.used;
  }

  // ---- conversion between the caller's layout and the layout of a block

  struct Block {
    const Run& run;
    Memory& m;
    const int groups, GL;  // vectors of sequences, and their lanes
    int64_t rows[2 * L];
    int64_t count, steps;
    bool has_zeros = false;  // whether a real step has the zero vector

    Block(const Run& r, Memory& memory, int64_t first)
        : run(r), m(memory), groups(r.B - first > L ? 2 : 1), GL(groups * L), count(0), steps(0) {
      for (int lane = 0; lane < GL; lane++) {
        const bool real = first + lane < run.B;
        rows[lane] = real ? m.order[first + lane] : -1;
        m.lengths[lane] = real ? Int<S>(run.length_of(rows[lane])) : 0;
        count += real;
        if (m.lengths[lane] > steps) steps = m.lengths[lane];
      }
    }

    int64_t first_of(int lane) const { return lane < count ? rows[lane] * run.T + run.start_of(rows[lane]) : 0; }

    void read_inputs() {
      if (run.p.vocabulary)
        read_ids((const int64_t*)run.p.inputs);
      else
        read_values();
    }
    template <class Id>
    void read_ids(const Id* inputs) {
      const int64_t lanes = GL, last = steps;  // not members, which the stores could change for all the compiler knows
      const IdColumns<S> columns(run.p);
      Vec<S> tile[L];  // the bits of L steps of L sequences
      IVec<S> seen{};
      for (int64_t first = 0; first < lanes; first += L)
        for (int64_t t = 0; t < last; t += L) {
          for (int lane = 0; lane < L; lane++)
            tile[lane] = (Vec<S>)columns(inputs + first_of(int(first) + lane) + t, m.lengths[first + lane] - t);
#pragma GCC unroll 16
          for (int lane = 0; lane < L; lane++) seen |= (IVec<S>)tile[lane];
          transpose_lanes<S>(tile);
          const int64_t count = last - t < L ? last - t : L;
          for (int64_t n = 0; n < count; n++)
            store_int<S>(m.ids + (t + n) * lanes + first, columns.or_none((IVec<S>)tile[n]));
        }
      for (int lane = 0; lane < L; lane++) has_zeros |= seen[lane] < 0;
    }
    void read_values() {
      const int64_t F = run.p.features, padded = round_up(F, TILE_J), lanes = GL;
      const S* rows_of[2 * L];
      for (int lane = 0; lane < GL; lane++) rows_of[lane] = (const S*)run.p.inputs + first_of(lane) * F;
      for (int64_t t = 0; t < steps; t++) {
        S* to = m.values + t * padded * lanes;
        for (int64_t lane = 0; lane < lanes; lane += L) read_step(rows_of + lane, t, m.lengths + lane, to + lane);
        memset(to + F * lanes, 0, sizeof(S) * (padded - F) * lanes);
      }
    }
    // Read the features of a step of L sequences, zero after their end.
    void read_step(const S* const* rows_of, int64_t t, const Int<S>* lengths, S* to) {
      const int64_t F = run.p.features, lanes = GL;
      for (int64_t f = 0; F >= L && f < F; f += L) {
        const int64_t first = f + L < F ? f : F - L;  // the last features may be read twice
        V v[L];
        for (int lane = 0; lane < L; lane++) v[lane] = t < lengths[lane] ? load<S>(rows_of[lane] + t * F + first) : V{};
        transpose_lanes<S>(v);
        for (int n = 0; n < L; n++) store<S>(to + (first + n) * lanes, v[n]);
      }
      for (int64_t lane = 0; F < L && lane < L; lane++)
        for (int64_t f = 0; f < F; f++) to[f * lanes + lane] = t < lengths[lane] ? rows_of[lane][t * F + f] : S(0);
    }

    // One vector per sequence, (B, H), for a layer and direction
    void read_state(const void* from, int64_t which, S* to) {
      memset(to, 0, sizeof(S) * run.units * GL);
      if (!from) return;
      for (int lane = 0; lane < count; lane++)
        for (int64_t j = 0; j < run.H; j++) to[j * GL + lane] = ((const S*)from)[(which * run.B + rows[lane]) * run.H + j];
    }
    void write_state(const S* from, int64_t which, void* to) {
      if (!to) return;
      for (int lane = 0; lane < count; lane++)
        for (int64_t j = 0; j < run.H; j++) ((S*)to)[(which * run.B + rows[lane]) * run.H + j] = from[j * GL + lane];
    }

    // One vector per step, (B, T, width), starting at `column`; the loop over steps is the outer one for the cache
    void write_series(Series<S> from, void* to, int64_t width, int64_t column) {
      const int64_t real = from.real;
      for (int64_t t = 0; t < run.T; t++)
        for (int lane = 0; lane < count; lane++) {
          S* row = (S*)to + (rows[lane] * run.T + t) * width + column;
          const int64_t step = t - run.start_of(rows[lane]);
          if (step >= 0 && step < m.lengths[lane])
            for (int64_t j = 0; j < real; j++) row[j] = from.at(step, GL)[j * GL + lane];
          else
            memset(row, 0, sizeof(S) * real);
        }
    }
    void read_series(const void* from, S* to, int64_t width, int64_t column) {
      memset(to, 0, sizeof(S) * steps * run.units * GL);
      for (int64_t t = 0; t < steps; t++)
        for (int lane = 0; lane < count; lane++) {
          if (t >= m.lengths[lane]) continue;
          const S* row = (const S*)from + (first_of(lane) + t) * width + column;
          for (int64_t j = 0; j < run.H; j++) to[(t * run.units + j) * GL + lane] = row[j];
        }
    }

    // ---- forward and backward pass

    Series<S> output(int64_t layer, int64_t d) const {
      S* h = m.traces[layer * run.D + d].h;
      return d ? Series<S>{h, run.units, run.H, steps, -1} : Series<S>{h, run.units, run.H, 1, 1};
    }

    Pass<S> pass(int64_t layer, int64_t d) const {
      Input<S> x{};
      x.ids = m.ids, x.has_zeros = has_zeros;
      if (layer)
        for (int each = 0; each < run.D; each++) x.parts[each] = output(layer - 1, each);
      else
        x.parts[0] = {m.values, round_up(run.p.features, TILE_J), run.p.features, 0, 1};
      return {m.weights[layer * run.D + d], x, m.lengths, steps, d == 1};
    }

    Trace<S> trace(const Saved& s, const Saved& states, int64_t first, bool rolling) const {
      const int64_t stride = rolling ? 0 : run.units * GL;
      return {states.h, s.c, s.kept, stride, stride * run.cell.kept, first};
    }

    void forward(bool all, int64_t segment_steps) {
      const Problem& p = run.p;
      const int64_t state = sizeof(S) * run.units * GL;
      for (int64_t layer = 0; layer < run.N; layer++)
        for (int64_t d = 0; d < run.D; d++) {
          const int64_t which = layer * run.D + d;
          const Saved &saved = m.traces[which], &used = all ? saved : *m.scratch;
          const Pass<S> code = pass(layer, d);
          read_state(p.h0, which, saved.h);
          if (run.cell.has_c) read_state(p.c0, which, used.c);
          for (int64_t from = 0, n = 0, to; from < steps; from = to, n++) {
            to = all || !p.saved || from + segment_steps > steps ? steps : from + segment_steps;
            if (run.cell.has_c && !all && p.saved) memcpy(saved.c + n * run.units * GL, used.c, state);
            run.kernels.forward[groups - 1](code, trace(used, saved, all ? 0 : from, !all), from, to);
          }
          write_state(saved.h + steps * run.units * GL, which, p.h_n);
          if (run.cell.has_c) write_state(used.c + (all ? steps : 0) * run.units * GL, which, p.c_n);
          if (p.states && layer == run.N - 1) write_series(output(layer, d), p.states, run.D * run.H, d * run.H);
        }
    }

    void read_gradients() {
      if (run.p.d_states)
        for (int64_t d = 0; d < run.D; d++) read_series(run.p.d_states, m.d_out[0][d], run.D * run.H, d * run.H);
    }

    // Add the gradients of the inputs from those of the sums of steps [from, to).
    void back_to_inputs(const Pass<S>& code, int64_t from, int64_t to, const Series<S>* d_parts) const {
      for (int part = 0; part < code.w.parts; part++)
        for (int64_t step = from; step < to; step++)
          run.kernels.input_back[groups - 1](code.w, code.w.input_back[part],
                                             m.d_sums + (step - from) * run.units * run.cell.rows * GL,
                                             code.x.parts[part].width, d_parts[part].at(code.time(step), GL));
    }

    // d_last: gradients of the last states of the last layer, in the same layout; null if Problem has them
    void backward(bool all, int64_t segment_steps, S* const* d_last = nullptr) {
      const Problem& p = run.p;
      const int64_t units = run.units;
      S *const *d_out = m.d_out[0], *const *d_below = m.d_out[1];
      for (int64_t layer = run.N - 1; layer >= 0; layer--) {
        Series<S> d_parts[2];
        for (int64_t d = 0; layer && d < run.D; d++) {
          memset(d_below[d], 0, sizeof(S) * steps * units * GL);
          d_parts[d] = {d_below[d], units, run.H, 0, 1};
        }
        const int64_t padded = round_up(p.features, TILE_J);
        if (!layer && p.d_inputs) {
          memset(m.d_values, 0, sizeof(S) * steps * padded * GL);
          d_parts[0] = {m.d_values, padded, p.features, 0, 1};
        }
        const bool has_out = layer < run.N - 1 || p.d_states;
        for (int64_t d = 0; d < run.D; d++) {
          const int64_t which = layer * run.D + d;
          const Saved& saved = m.traces[which];
          const Pass<S> code = pass(layer, d);
          read_state(p.d_h_n, which, m.dh);
          read_state(p.d_c_n, which, m.dc);
          if (d_last && layer == run.N - 1) memcpy(m.dh, d_last[d], sizeof(S) * units * GL);
          for (int64_t n = (steps + segment_steps - 1) / segment_steps - 1; n >= 0; n--) {
            const int64_t from = n * segment_steps, to = from + segment_steps > steps ? steps : from + segment_steps;
            const Trace<S> made = trace(all ? saved : *m.scratch, saved, all ? 0 : from, false);
            if (!all) {  // recompute the segment; h does not change
              if (run.cell.has_c) memcpy(made.c, saved.c + n * units * GL, sizeof(S) * units * GL);
              run.kernels.forward[groups - 1](code, made, from, to);
            }
            run.kernels.backward[groups - 1](code, made, from, to, has_out ? d_out[d] : nullptr, m.dh, m.dc, m.d_sums);
            (groups == 2 ? SumGradients<S, 2>::accumulate : SumGradients<S, 1>::accumulate)(run.cell, code, made, from, to,
                                                                                        m.d_sums, m.gradients[which]);
            if (layer || p.d_inputs) back_to_inputs(code, from, to, d_parts);
          }
          write_state(m.dh, which, p.d_h0);
          if (run.cell.has_c) write_state(m.dc, which, p.d_c0);
        }
        if (!layer && p.d_inputs) write_series(d_parts[0], p.d_inputs, p.features, 0);
        S* const* below = d_below;
        d_below = d_out;
        d_out = below;
      }
    }
  };

  int64_t operator()(bool back) const {
    if (p.saved && (p.saved_bytes < 0 || p.saved_bytes != saved_bytes())) return INVALID_PROBLEM;
    if (!is_large_enough(p.scratch, p.scratch_bytes, scratch_bytes(back))) return INVALID_PROBLEM;
    if (const int64_t outcome = check()) return outcome;
    Memory m{};
    Arena arena;
    arena.base = (char*)p.scratch;
    allocate(arena, back, m);

    const int64_t sets = N * D;
    const S* const* parameters = (const S* const*)p.parameters;
    memset(m.counts, 0, sizeof(int64_t) * (T + 1));
    sort(m.order, m.counts);
    for (int64_t set = 0; set < sets; set++) {
      zero_weights(m, set);
      if (back) zero_gradients(m, set);
      Packing<S>{cell}.pack(parameters + 4 * set, H, parts_of(set / D), m.weights[set]);
    }

    Arena saved;
    saved.base = (char*)p.saved;
    const bool all = p.saved && keeps_all();
    for (int64_t row = 0; row < B;) {
      const int groups = B - row > L ? 2 : 1;
      if (p.saved)
        for (int64_t set = 0; set < sets; set++) m.traces[set] = allocate_saved(saved, groups * L, all);
      pass(Block(*this, m, row), all, back);
      row += groups * L;
    }
    if (back)
      for (int64_t set = 0; set < sets; set++)
        Packing<S>{cell}.unpack(m.gradients[set], units, H, parts_of(set / D), (S* const*)p.parameters + 4 * (sets + set));
    return DONE;
  }

  void pass(Block block, bool all, bool back) const {
    block.read_inputs();
    if (!back) return block.forward(all, segment_steps());
    block.read_gradients();
    block.backward(all, segment_steps());
  }

  static void clear(S* at, int64_t count) { memset(at, 0, sizeof(S) * count); }

  void zero_weights(const Memory& m, int64_t set) const {  // sets the padding, which is not written later
    const Weights<S>& w = m.weights[set];
    const Parts parts = parts_of(set / D);
    clear(w.recurrent, units * units * cell.gates);
    if (w.recurrent_back) clear(w.recurrent_back, units * units * cell.gates);
    if (!parts.count) clear(w.table, round_up(w.ids, L) * units * cell.rows);
    for (int part = 0; part < parts.count; part++) {
      clear(w.input[part], parts.padded[part] * units * cell.gates);
      if (w.input_back[part]) clear(w.input_back[part], parts.padded[part] * units * cell.gates);
    }
  }
  void zero_gradients(const Memory& m, int64_t set) const {
    const Gradients<S>& g = m.gradients[set];
    const Parts parts = parts_of(set / D);
    clear(g.recurrent, units * units * cell.gates);
    clear(g.bias, units * cell.rows);
    if (!parts.count) clear(g.table, round_up(parts.columns + 1, TILE_J) * units * cell.gates);
    for (int part = 0; part < parts.count; part++) clear(g.input[part], parts.padded[part] * units * cell.gates);
  }
};

template <class S, class Use>
int64_t with_typed_run(const Problem& p, Use use) {
  const Kernels<S>* kernels = kernels_of<S>(p.cell);
  return kernels ? use(Run<S>(p, *kernels)) : INVALID_PROBLEM;
}

inline bool has_valid_sizes(const Problem& p) {
  for (int64_t size : {p.layers, p.batch, p.steps, p.features, p.hidden})
    if (size < 1 || size >= MAX_SIZE) return false;
  return (p.directions == 1 || p.directions == 2) && p.vocabulary >= 0 && p.vocabulary < MAX_SIZE;
}

template <class Use>
int64_t with_run(const Problem& p, Use use) {
  if (!has_valid_sizes(p)) return INVALID_PROBLEM;
  return p.is_double ? with_typed_run<double>(p, use) : with_typed_run<float>(p, use);
}

}  // namespace

#include "train.h"

extern "C" {

// Bytes of activations that forward saves for backward, and of scratch memory; -1 on overflow.
EXPORTED int64_t JOIN(seqhub_saved_bytes, ISA)(const Problem* p) {
  return with_run(*p, [](const auto& run) { return run.saved_bytes(); });
}
EXPORTED int64_t JOIN(seqhub_forward_scratch, ISA)(const Problem* p) {
  return with_run(*p, [](const auto& run) { return run.scratch_bytes(false); });
}
EXPORTED int64_t JOIN(seqhub_backward_scratch, ISA)(const Problem* p) {
  return with_run(*p, [](const auto& run) { return run.scratch_bytes(true); });
}

EXPORTED int64_t JOIN(seqhub_forward, ISA)(const Problem* p) {
  return without_subnormals([p] { return with_run(*p, [](const auto& run) { return run(false); }); });
}

EXPORTED int64_t JOIN(seqhub_backward, ISA)(const Problem* p) {
  if (!p->saved) return INVALID_PROBLEM;
  return without_subnormals([p] { return with_run(*p, [](const auto& run) { return run(true); }); });
}

// Bytes of scratch memory for training; -1 on overflow.
EXPORTED int64_t JOIN(seqhub_train_scratch, ISA)(const TrainProblem* f) {
  return with_trainer(*f, [](const auto& trainer) { return trainer.scratch_bytes(); });
}
EXPORTED int64_t JOIN(seqhub_train, ISA)(const TrainProblem* f) {
  return without_subnormals([f] { return with_trainer(*f, [](auto& trainer) { return trainer(); }); });
}
}
