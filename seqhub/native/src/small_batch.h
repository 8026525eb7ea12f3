// Recurrence for small batches. Vector lanes are units, because a vector of sequences would be mostly empty.
//
// The layout of a sequence is [step][sum][unit], with units padded to whole vectors. Up to SMALL_BATCH sequences run in
// parallel, sorted by length in descending order, so that the active ones always come first and no step is masked.
#pragma once
#include "head.h"
#include "weight_layout.h"

namespace {

constexpr int SMALL_BATCH = 4;                  // sequences that run in parallel
constexpr int SMALL_BATCH_TILE = WIDE ? 4 : 2;  // input columns per tile of weight gradients

template <class S>
struct SmallBatchWeights {  // Also used for gradients, without the last three.
  S* recurrent;      // [previous unit][gate][unit]
  S* input[2];       // for each part: [feature][gate][unit]
  S* bias;           // [row][unit]
  S* table;          // [id][row][unit] including the bias; for gradients [id][gate][unit]
  S* recurrent_back; // [unit][gate][previous unit]
  S* input_back[2];  // for each part of the upper layers: [unit][gate][unit below]
};

// Scalars of an input or a state at each step.
template <class S>
struct Scalars {
  const S* data;
  int64_t first, stride;  // step s is at data + first + stride * s
  INLINE const S* at(int64_t s) const { return data + first + stride * s; }
};

template <class S>
struct SmallBatchTrace {  // activations of one sequence
  S *h, *c;        // [step + 1][unit]
  S *kept;         // [step][kept][unit]
};

template <class S>
struct SmallBatchInput {  // input of one sequence, in the order in which its steps are read
  Scalars<S> parts[2];
  const int32_t* columns;  // columns of ids, [step * direction]
  int64_t first, direction;
};

template <class S>
struct SmallBatchPass {  // one direction of one layer
  const SmallBatchWeights<S>& w;
  int64_t hidden, lanes, parts, widths[2];
  const SmallBatchInput<S>* x;
  const SmallBatchTrace<S>* trace;
};

template <class S, class C, int Q>
struct SmallBatchScan {
  using V = Vec<S>;
  using P = Pack<S, Q>;
  static constexpr int L = LANES<S>, ROWS = C::ROWS, GATES = C::GATES, KEPT = C::KEPT ? C::KEPT : 1;

  template <const int* ROW>
  static INLINE void multiply(const S* weights, int64_t lanes, const S* const* vectors, int64_t count,
                              V (&sum)[ROWS][Q]) {
    for (int64_t j = 0; j < count; j++, weights += GATES * lanes)
#pragma GCC unroll 4
      for (int gate = 0; gate < GATES; gate++) {
        const V v = load<S>(weights + gate * lanes);
#pragma GCC unroll 4
        for (int q = 0; q < Q; q++) sum[ROW[gate]][q] += v * vectors[q][j];
      }
  }

  static NOINLINE void forward(const SmallBatchPass<S>& pass, int64_t from, int64_t to) {
    const SmallBatchWeights<S>& w = pass.w;
    const SmallBatchInput<S>* x = pass.x;
    const SmallBatchTrace<S>* trace = pass.trace;
    const int64_t lanes = pass.lanes;
    for (int64_t step = from; step < to; step++)
      for (int64_t unit = 0; unit < lanes; unit += L) {
        V sum[ROWS][Q];
        const S* vectors[Q];
#pragma GCC unroll 4
        for (int q = 0; q < Q; q++) {
          vectors[q] = trace[q].h + step * lanes;
          const S* start = pass.parts ? w.bias : w.table + x[q].columns[x[q].first + x[q].direction * step] * ROWS * lanes;
#pragma GCC unroll 4
          for (int r = 0; r < ROWS; r++) sum[r][q] = load<S>(start + r * lanes + unit);
        }
        multiply<C::RECURRENT>(w.recurrent + unit, lanes, vectors, pass.hidden, sum);
        for (int64_t part = 0; part < pass.parts; part++) {
          const S* values[Q];
          for (int q = 0; q < Q; q++) values[q] = x[q].parts[part].at(step);
          multiply<C::INPUT>(w.input[part] + unit, lanes, values, pass.widths[part], sum);
        }
        P own[ROWS], kept[KEPT], c{}, c_old{}, h, h_old;
        for (int q = 0; q < Q; q++) {
          h_old.v[q] = load<S>(vectors[q] + unit);
          if constexpr (C::HAS_C) c_old.v[q] = load<S>(trace[q].c + step * lanes + unit);
#pragma GCC unroll 4
          for (int r = 0; r < ROWS; r++) own[r].v[q] = sum[r][q];
        }
        C::forward(own, c_old, h_old, kept, c, h);
#pragma GCC unroll 4
        for (int q = 0; q < Q; q++) {
          store<S>(trace[q].h + (step + 1) * lanes + unit, h.v[q]);
          if constexpr (C::HAS_C) store<S>(trace[q].c + (step + 1) * lanes + unit, c.v[q]);
#pragma GCC unroll 5
          for (int k = 0; k < C::KEPT; k++)
            store<S>(trace[q].kept + (step * C::KEPT + k) * lanes + unit, kept[k].v[q]);
        }
      }
  }

  // result[q][.] += sum over units and gates of weights[unit][gate][.] * d_sums[q][ROW[gate]][unit]
  template <const int* ROW>
  static INLINE void multiply_back(const SmallBatchPass<S>& pass, const S* weights, S* const* d_sums, S* const* result) {
    const int64_t lanes = pass.lanes;
    for (int64_t to = 0; to < lanes; to += L) {
      V sum[GATES][Q] = {};
      const S* at = weights + to;
      for (int64_t unit = 0; unit < pass.hidden; unit++, at += GATES * lanes)
#pragma GCC unroll 4
        for (int gate = 0; gate < GATES; gate++) {
          const V v = load<S>(at + gate * lanes);
#pragma GCC unroll 4
          for (int q = 0; q < Q; q++) sum[gate][q] += v * d_sums[q][ROW[gate] * lanes + unit];
        }
#pragma GCC unroll 4
      for (int q = 0; q < Q; q++) {
        V all = load<S>(result[q] + to);
#pragma GCC unroll 4
        for (int gate = 0; gate < GATES; gate++) all += sum[gate][q];
        store<S>(result[q] + to, all);
      }
    }
  }

  // d_out: gradients of the outputs of each sequence in reading order, or null; d_sums: [step][row][unit]
  static NOINLINE void backward(const SmallBatchPass<S>& pass, int64_t from, int64_t to, const Scalars<S>* d_out,
                                S* const* dh, S* const* dc, S* const* d_sums) {
    const SmallBatchTrace<S>* trace = pass.trace;
    const int64_t lanes = pass.lanes;
    for (int64_t step = to - 1; step >= from; step--) {
      S* sums[Q];
      for (int q = 0; q < Q; q++) sums[q] = d_sums[q] + step * ROWS * lanes;
      for (int64_t unit = 0; unit < lanes; unit += L) {
        P d, d_c{}, kept[KEPT], c{}, before, after, d_own[ROWS], d_c_before{}, direct;
#pragma GCC unroll 4
        for (int q = 0; q < Q; q++) {
          d.v[q] = load<S>(dh[q] + unit);
          if (d_out) d.v[q] += load<S>(d_out[q].at(step) + unit);
          before.v[q] = load<S>(trace[q].h + step * lanes + unit);
          after.v[q] = load<S>(trace[q].h + (step + 1) * lanes + unit);
          if constexpr (C::HAS_C) {
            c.v[q] = load<S>(trace[q].c + step * lanes + unit);
            d_c.v[q] = load<S>(dc[q] + unit);
          }
#pragma GCC unroll 5
          for (int k = 0; k < C::KEPT; k++)
            kept[k].v[q] = load<S>(trace[q].kept + (step * C::KEPT + k) * lanes + unit);
        }
        C::backward(d, d_c, kept, c, before, after, d_own, d_c_before, direct);
#pragma GCC unroll 4
        for (int q = 0; q < Q; q++) {
#pragma GCC unroll 4
          for (int r = 0; r < ROWS; r++) store<S>(sums[q] + r * lanes + unit, d_own[r].v[q]);
          store<S>(dh[q] + unit, direct.v[q]);
          if constexpr (C::HAS_C) store<S>(dc[q] + unit, d_c_before.v[q]);
        }
      }
      multiply_back<C::RECURRENT>(pass, pass.w.recurrent_back, sums, dh);
    }
  }

  static NOINLINE void input_back(const SmallBatchPass<S>& pass, const S* weights, S* const* d_sums, S* const* result) {
    multiply_back<C::INPUT>(pass, weights, d_sums, result);
  }
};

// Weight gradients from the gradients of the sums, for all sequences of a block.
template <class S, class C>
struct SmallBatchGradients {
  using V = Vec<S>;
  static constexpr int L = LANES<S>, ROWS = C::ROWS, GATES = C::GATES;

  int64_t lanes;
  int count;                 // of sequences
  const int64_t* steps;      // of each sequence
  const S* const* d_sums;

  template <const int* ROW, int J>
  INLINE void tile(const Scalars<S>* x, int64_t first, int64_t unit, S* result) const {
    for (int q = 0; q < count; q++) {
      V sum[J][GATES] = {};
      const S* d = d_sums[q] + unit;
      for (int64_t step = 0; step < steps[q]; step++, d += ROWS * lanes) {
        const S* values = x[q].at(step) + first;
#pragma GCC unroll 4
        for (int gate = 0; gate < GATES; gate++) {
          const V v = load<S>(d + ROW[gate] * lanes);
#pragma GCC unroll 4
          for (int j = 0; j < J; j++) sum[j][gate] += v * values[j];
        }
      }
#pragma GCC unroll 4
      for (int j = 0; j < J; j++)
#pragma GCC unroll 4
        for (int gate = 0; gate < GATES; gate++) {
          S* to = result + (j * GATES + gate) * lanes + unit;
          store<S>(to, load<S>(to) + sum[j][gate]);
        }
    }
  }
  template <const int* ROW>
  NOINLINE void products(const Scalars<S>* x, int64_t width, S* result) const {
    for (int64_t unit = 0; unit < lanes; unit += L) {
      int64_t j = 0;
      for (; j + SMALL_BATCH_TILE <= width; j += SMALL_BATCH_TILE)
        tile<ROW, SMALL_BATCH_TILE>(x, j, unit, result + j * GATES * lanes);
      for (; j < width; j++) tile<ROW, 1>(x, j, unit, result + j * GATES * lanes);
    }
  }
  NOINLINE void table(const SmallBatchInput<S>* x, S* result) const {
    for (int q = 0; q < count; q++)
      for (int64_t step = 0; step < steps[q]; step++) {
        S* to = result + x[q].columns[x[q].first + x[q].direction * step] * GATES * lanes;
        for (int64_t unit = 0; unit < lanes; unit += L)
#pragma GCC unroll 4
          for (int gate = 0; gate < GATES; gate++)
            store<S>(to + gate * lanes + unit,
                     load<S>(to + gate * lanes + unit) + load<S>(d_sums[q] + (step * ROWS + C::INPUT[gate]) * lanes + unit));
      }
  }
  NOINLINE void bias(S* result) const {
    for (int q = 0; q < count; q++)
      for (int64_t unit = 0; unit < lanes; unit += L) {
        V sum[ROWS] = {};
        for (int64_t step = 0; step < steps[q]; step++)
#pragma GCC unroll 4
          for (int r = 0; r < ROWS; r++) sum[r] += load<S>(d_sums[q] + (step * ROWS + r) * lanes + unit);
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++)
          store<S>(result + r * lanes + unit, load<S>(result + r * lanes + unit) + sum[r]);
      }
  }

  // Add the gradients of all weights from those of `count` sequences.
  static void accumulate(const SmallBatchPass<S>& pass, int count, const int64_t* steps, const S* const* d_sums,
                         const SmallBatchWeights<S>& g) {
    const SmallBatchGradients sums{pass.lanes, count, steps, d_sums};
    Scalars<S> values[SMALL_BATCH];
    for (int q = 0; q < count; q++) values[q] = {pass.trace[q].h, 0, pass.lanes};
    sums.template products<C::RECURRENT>(values, pass.hidden, g.recurrent);
    sums.bias(g.bias);
    if (!pass.parts) sums.table(pass.x, g.table);
    for (int64_t part = 0; part < pass.parts; part++) {
      for (int q = 0; q < count; q++) values[q] = pass.x[q].parts[part];
      sums.template products<C::INPUT>(values, pass.widths[part], g.input[part]);
    }
  }
};

// Conversion of weights to the layout that SmallBatchScan reads, and of gradients from it.
template <class S>
struct SmallBatchPacking {
  const CellSizes& cell;

  void allocate(Arena& arena, int64_t hidden, int64_t lanes, const Parts& parts, bool back, SmallBatchWeights<S>& w) const {
    w.recurrent = arena.allocate<S>(hidden, cell.gates, lanes);
    w.bias = arena.allocate<S>(cell.rows, lanes);
    for (int p = 0; p < parts.count; p++) w.input[p] = arena.allocate<S>(parts.real[p], cell.gates, lanes);
    if (!parts.count) w.table = arena.allocate<S>(parts.columns + 1, back ? cell.rows : cell.gates, lanes);
    if (!back) return;
    w.recurrent_back = arena.allocate<S>(hidden, cell.gates, lanes);
    for (int p = 0; p < parts.count; p++) w.input_back[p] = arena.allocate<S>(hidden, cell.gates, lanes);
  }
  void zero(int64_t hidden, int64_t lanes, const Parts& parts, bool back, const SmallBatchWeights<S>& w) const {
    auto clear = [&](S* at, int64_t count) { memset(at, 0, sizeof(S) * count * lanes); };
    clear(w.recurrent, hidden * cell.gates);
    clear(w.bias, cell.rows);
    for (int p = 0; p < parts.count; p++) clear(w.input[p], parts.real[p] * cell.gates);
    if (!parts.count) clear(w.table, (parts.columns + 1) * (back ? cell.rows : cell.gates));
    if (!back) return;
    clear(w.recurrent_back, hidden * cell.gates);
    for (int p = 0; p < parts.count; p++) clear(w.input_back[p], hidden * cell.gates);
  }

  // The padding must be zero and is not written. below: also for the gradients of the inputs; recurrent: also recurrent
  // weights, which a single step does not read
  void pack(const S* const* parameters, int64_t hidden, int64_t lanes, const Parts& parts, bool below, bool recurrent,
            const SmallBatchWeights<S>& w) const {
    const S *weight_ih = parameters[0], *weight_hh = parameters[1], *bias_ih = parameters[2], *bias_hh = parameters[3];
    const int64_t of_column = cell.gates * lanes;
    memset(w.bias, 0, sizeof(S) * cell.rows * lanes);
    for (int gate = 0; gate < cell.gates; gate++) {
      const int64_t first = gate * hidden;  // row
      for (int64_t unit = 0; unit < hidden; unit++) {
        w.bias[cell.recurrent[gate] * lanes + unit] += bias_hh[first + unit];
        w.bias[cell.input[gate] * lanes + unit] += bias_ih[first + unit];
      }
      if (recurrent) {
        transpose(weight_hh + first * hidden, hidden, hidden, hidden, w.recurrent + gate * lanes, of_column);
        for (int64_t unit = 0; unit < hidden; unit++)
          memcpy(w.recurrent_back + (unit * cell.gates + gate) * lanes, weight_hh + (first + unit) * hidden, sizeof(S) * hidden);
      }
      const S* weights = weight_ih + first * parts.columns;
      for (int p = 0; p < parts.count; weights += parts.real[p], p++) {
        transpose(weights, parts.columns, hidden, parts.real[p], w.input[p] + gate * lanes, of_column);
        for (int64_t unit = 0; below && unit < hidden; unit++)
          memcpy(w.input_back[p] + (unit * cell.gates + gate) * lanes, weights + unit * parts.columns, sizeof(S) * parts.real[p]);
      }
    }
    if (parts.count) return;
    for (int64_t id = 0; id <= parts.columns; id++)
      memcpy(w.table + id * cell.rows * lanes, w.bias, sizeof(S) * cell.rows * lanes);
    for (int gate = 0; gate < cell.gates; gate++)
      for (int64_t unit = 0; unit < hidden; unit++)
        for (int64_t id = 0; id < parts.columns; id++)
          w.table[(id * cell.rows + cell.input[gate]) * lanes + unit] += weight_ih[(gate * hidden + unit) * parts.columns + id];
  }

  void unpack(const SmallBatchWeights<S>& g, int64_t hidden, int64_t lanes, const Parts& parts, S* const* out) const {
    S *weight_ih = out[0], *weight_hh = out[1], *bias_ih = out[2], *bias_hh = out[3];
    const int64_t of_column = cell.gates * lanes;
    for (int gate = 0; gate < cell.gates; gate++) {
      const int64_t first = gate * hidden;  // row
      transpose(g.recurrent + gate * lanes, of_column, hidden, hidden, weight_hh + first * hidden, hidden);
      S* weights = weight_ih + first * parts.columns;
      if (!parts.count) transpose(g.table + gate * lanes, of_column, parts.columns, hidden, weights, parts.columns);
      for (int p = 0; p < parts.count; weights += parts.real[p], p++)
        transpose(g.input[p] + gate * lanes, of_column, parts.real[p], hidden, weights, parts.columns);
      memcpy(bias_ih + first, g.bias + cell.input[gate] * lanes, sizeof(S) * hidden);
      memcpy(bias_hh + first, g.bias + cell.recurrent[gate] * lanes, sizeof(S) * hidden);
    }
  }
};

}  // namespace
