// Recurrence over time for one block of G * LANES sequences, in one direction of one layer.
//
// All arrays have the layout [step][unit or sum][sequence]; the sums of a unit are adjacent. Units are padded to a
// multiple of four with zero weights, which keeps their states zero. Steps at which a sequence is not active (after its
// end, or in the reverse direction before its start) do not change its state.
//
// C has the sizes of a cell (cells.h).
#pragma once
#include "cells.h"

#define PACK _Pragma("GCC unroll 8") for (int n = 0; n < N; n++)  // each vector of a tile

namespace {

constexpr bool WIDE = VECTOR_BYTES == 64;  // 32 registers rather than 16
constexpr int UNIT_PADDING = 4;
constexpr int PERMUTED_TABLES = VECTOR_BYTES >= 32 ? 4 : 0;  // maximal number of vectors of a table row for permutations
constexpr int TILE_K = WIDE ? 4 : 2, TILE_J = 4, TILE = TILE_K * TILE_J;  // tiles of weight gradients
// Up to this number of ids, gradients of the table are masked sums; above, they are scattered
constexpr int MAX_MASKED_IDS = 32;

constexpr int units_per_tile(int rows) { return rows == 1 ? 4 : WIDE ? 2 : 1; }  // such that its sums fit the registers

constexpr int back_tile(int64_t width) { return WIDE && width % 8 == 0 ? 8 : 4; }

constexpr int MAX_ROWS = 4;

// Sizes of a cell as values, for code that does not depend on them in its innermost loops.
struct CellSizes {
  int rows, kept, gates, units_per_tile;
  bool has_c;
  const int *recurrent, *input;
  const bool* has_input;
};
template <class C>
constexpr CellSizes CELL_SIZES{C::ROWS, C::KEPT, C::GATES, units_per_tile(C::ROWS), C::HAS_C,
                                C::RECURRENT, C::INPUT, C::HAS_INPUT};

// A sequence of vectors, [step][width][G * LANES], indexed by time t. The first `real` columns are not padding.
template <class S>
struct Series {
  S* data;
  int64_t width, real, first, direction;  // time t is at entry first + direction * t
  INLINE S* at(int64_t t, int lanes) const { return data + (first + direction * t) * width * lanes; }
};

template <class S>
struct Weights {
  int64_t hidden;     // units without padding; padding is not read, since infinity times zero would be NaN
  int64_t units;      // units with padding
  int tiles_of_units; // number of units whose sums are computed together
  S* recurrent;       // [tile][previous unit][unit of tile][gate]
  int parts;          // number of parts of a real-valued input; 0 for ids
  S* input[2];        // for each part: [tile][feature][unit of tile][gate]
  S* bias;            // [unit][row]
  int64_t ids;        // columns of the table, including the zero vector
  S* table;           // input weights and bias of each id: [unit][row][id], or [id][unit][row] if too many to be permuted
  S* recurrent_back;  // [tile of previous units][unit][gate][unit of tile]
  S* input_back[2];   // [tile of features][unit][gate][feature of tile]
};

template <class S>
struct Input {
  const Int<S>* ids;   // [time][G * LANES]
  bool has_zeros;      // whether a real step has the zero vector
  Series<S> parts[2];
};

// Activations of all steps. With a stride of zero only the last step is stored.
template <class S>
struct Trace {
  S* h;               // [step + 1][unit][sequence], the initial state first
  S *c, *kept;        // entry 0 is step `first`
  int64_t c_stride, kept_stride, first;
};

template <class S>
struct Gradients {
  S* recurrent;  // [tile of previous units][tile of gates][TILE]
  S* input[2];   // for each part: the same with features in place of previous units
  S* table;      // the same with ids, or [id][gate]
  S* bias;       // [unit][row]
};

// One direction of one layer for one block.
template <class S>
struct Pass {
  const Weights<S>& w;
  Input<S> x;
  const Int<S>* lengths;  // (G * LANES,)
  int64_t steps;          // largest length
  bool reverse;
  INLINE int64_t time(int64_t step) const { return reverse ? steps - 1 - step : step; }
};

// result[j] += sum over units and gates of weights[tile][unit][gate][j] * d_sums[unit][ROW[gate]], for all j
template <class S, class C, int G>
struct ProductsBack {
  using V = Vec<S>;
  static constexpr int L = LANES<S>, GL = G * L;

  template <const int* ROW, int J>
  static INLINE void tiles(const Weights<S>& w, const S* weights, const S* d_sums, int64_t width, S* result) {
    for (int64_t first = 0; first < width; first += J, weights += (w.units - w.hidden) * C::GATES * J) {
      V sum[J][G];
#pragma GCC unroll 8
      for (int j = 0; j < J; j++)
#pragma GCC unroll 2
        for (int g = 0; g < G; g++) sum[j][g] = load<S>(result + (first + j) * GL + g * L);
      const S* d = d_sums;
      for (int64_t unit = 0; unit < w.hidden; unit++, d += C::ROWS * GL)
#pragma GCC unroll 4
        for (int r = 0; r < C::GATES; r++, weights += J)
#pragma GCC unroll 2
          for (int g = 0; g < G; g++) {
            V v = load<S>(d + ROW[r] * GL + g * L);
#pragma GCC unroll 8
            for (int j = 0; j < J; j++) sum[j][g] += v * weights[j];
          }
#pragma GCC unroll 8
      for (int j = 0; j < J; j++)
#pragma GCC unroll 2
        for (int g = 0; g < G; g++) store<S>(result + (first + j) * GL + g * L, sum[j][g]);
    }
  }
  template <const int* ROW>
  static INLINE void run(const Weights<S>& w, const S* weights, const S* d_sums, int64_t width, S* result) {
    if (back_tile(width) == 8)
      tiles<ROW, 8>(w, weights, d_sums, width, result);
    else
      tiles<ROW, 4>(w, weights, d_sums, width, result);
  }
  static void to_input(const Weights<S>& w, const S* weights, const S* d_sums, int64_t width, S* result) {
    run<C::INPUT>(w, weights, d_sums, width, result);
  }
};

// Gradients of weights from those of the sums, for any cell.
template <class S, int G>
struct SumGradients {
  using V = Vec<S>;
  static constexpr int L = LANES<S>, GL = G * L;

  // One tile: products of d_sums[gate] and operand[j], summed over steps and sequences. `d` are the gates at the first step.
  template <class Operand>
  static INLINE void tile_of_products(const S* const* d, int64_t stride, int64_t count, Operand operand, S* result) {
    V sum[TILE] = {};
    for (int64_t step = 0; step < count; step++) {
      const int64_t offset = step * stride;
#pragma GCC unroll 2
      for (int g = 0; g < G; g++) {
        V v[TILE_K];
#pragma GCC unroll 4
        for (int k = 0; k < TILE_K; k++) v[k] = in_register<S>(load<S>(d[k] + offset + g * L));
#pragma GCC unroll 4
        for (int j = 0; j < TILE_J; j++) {
          auto other = operand(step, j, g);
#pragma GCC unroll 4
          for (int k = 0; k < TILE_K; k++) {
            if constexpr (std::is_same_v<decltype(other), V>)
              sum[k * TILE_J + j] += v[k] * other;
            else  // comparisons take multipliers, so that fewer additions do
              sum[k * TILE_J + j] = add_where<S>(other, sum[k * TILE_J + j], v[k], j + k < 3);
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int n = 0; n < TILE; n += L) store<S>(result + n, load<S>(result + n) + sums<S>(sum + n));
  }

  // All tiles of `width` operands: [tile of operands][tile of gates][TILE]
  template <class Operand>
  static INLINE void tiles(const CellSizes& cell, const int* sum_of_gate, const S* d_sums, int64_t units, int64_t count,
                           int64_t width, Operand operand, S* result) {
    const int64_t gates = cell.gates, of_unit = cell.rows * GL, of_step = units * of_unit;
    for (int64_t j = 0; j < width; j += TILE_J) {
      const S *unit = d_sums, *end = d_sums + of_step;
      for (int64_t gate = 0; unit < end; result += TILE) {
        const S* d[TILE_K];
        for (int k = 0; k < TILE_K; k++) {
          d[k] = unit + sum_of_gate[gate] * GL;
          if (++gate == gates) gate = 0, unit += of_unit;
        }
        tile_of_products(d, of_step, count, [=](int64_t s, int i, int g) { return operand(s, j + i, g); }, result);
      }
    }
  }
  // Operands are at values + step * stride.
  static NOINLINE void products(const CellSizes& cell, const int* sum_of_gate, const S* d_sums, int64_t units, int64_t count,
                                const S* values, int64_t stride, int64_t width, S* result) {
    tiles(cell, sum_of_gate, d_sums, units, count, width,
          [=](int64_t s, int64_t j, int g) { return load<S>(values + s * stride + j * GL + g * L); }, result);
  }
  // Operands are 1 for the id of a step, else 0.
  static NOINLINE void table_products(const CellSizes& cell, const S* d_sums, int64_t units, int64_t count,
                                      const Int<S>* ids, int64_t stride, int64_t width, S* result) {
    tiles(cell, cell.input, d_sums, units, count, width,
          [=](int64_t s, int64_t j, int g) { return equal<S>(load_int<S>(ids + s * stride + g * L), splat_int<S>(Int<S>(j))); },
          result);
  }
  static NOINLINE void add_to_table(const CellSizes& cell, const Pass<S>& pass, int64_t from, int64_t count,
                                    const S* d_sums, S* table) {
    const int64_t units = pass.w.units;
    for (int64_t s = 0; s < count; s++)
      for (int lane = 0; lane < GL; lane++) {
        const int64_t t = pass.time(from + s);
        if (pass.lengths[lane] <= t) continue;
        const S* d = d_sums + s * units * cell.rows * GL + lane;
        S* row = table + pass.x.ids[t * GL + lane] * units * cell.gates;
        for (int64_t unit = 0; unit < units; unit++)
          for (int r = 0; r < cell.gates; r++) row[unit * cell.gates + r] += d[(unit * cell.rows + cell.input[r]) * GL];
      }
  }

  // Add all gradients of weights for steps [from, to).
  static void accumulate(const CellSizes& cell, const Pass<S>& pass, const Trace<S>& trace, int64_t from, int64_t to,
                         const S* d_sums, const Gradients<S>& grads) {
    const Weights<S>& w = pass.w;
    const int64_t units = w.units, count = to - from, first = pass.time(from);
    products(cell, cell.recurrent, d_sums, units, count, trace.h + from * units * GL, units * GL, units, grads.recurrent);
    for (int part = 0; part < w.parts; part++) {
      const Series<S>& series = pass.x.parts[part];
      const int64_t stride = (pass.reverse ? -1 : 1) * series.direction * series.width * GL;
      products(cell, cell.input, d_sums, units, count, series.at(first, GL), stride, series.width, grads.input[part]);
    }
    if (!w.parts && w.ids <= MAX_MASKED_IDS)  // the zero vector is the last id; steps that are not real have no gradients
      table_products(cell, d_sums, units, count, pass.x.ids + first * GL, pass.reverse ? -GL : GL,
                     pass.x.has_zeros ? w.ids : w.ids - 1, grads.table);
    else if (!w.parts)
      add_to_table(cell, pass, from, count, d_sums, grads.table);
    for (int64_t row = 0; row < units * cell.rows; row++) {
      if (!w.parts && cell.has_input[row % cell.rows]) continue;  // computed as the sum over the table
      V sum{};
      for (int64_t s = 0; s < count; s++)
        for (int g = 0; g < G; g++) sum += load<S>(d_sums + (s * units * cell.rows + row) * GL + g * L);
      for (int lane = 0; lane < L; lane++) grads.bias[row] += sum[lane];
    }
  }
};

template <class S, class C, int G>
struct Scan {
  using V = Vec<S>;
  static constexpr int L = LANES<S>, GL = G * L, ROWS = C::ROWS, GATES = C::GATES;
  static constexpr int UNITS = units_per_tile(ROWS);
  static constexpr int BACK_UNITS = ROWS == 1 ? UNITS : 1;  // units of a pack in backward, such that they fit the registers
  static constexpr int KEPT = C::KEPT ? C::KEPT : 1;  // at least 1, since arrays must not be empty
  static constexpr int N = UNITS * G;                 // vectors of a tile
  using P = Pack<S, N>;

  // Offset of vector n of the tile that starts at unit `first`: vector k of the `count` vectors of its unit
  static INLINE int64_t place(int64_t first, int n, int count = 1, int k = 0) {
    return ((first + n / G) * count + k) * GL + n % G * L;
  }

  static INLINE void active(const Int<S>* lengths, int64_t t, IVec<S>* mask) {
#pragma GCC unroll 2
    for (int g = 0; g < G; g++) mask[g] = load_int<S>(lengths + g * L) > splat_int<S>(Int<S>(t));
  }

  static INLINE V look_up(const Weights<S>& w, int64_t row, IVec<S> id) {
    const int64_t ids = w.ids;
    if (PERMUTED_TABLES && ids <= PERMUTED_TABLES * L) {
      int64_t width = (ids + L - 1) / L * L;
      const S* table = w.table + row * width;
      V found = __builtin_shuffle(load<S>(table), id);
      for (int64_t from = L; from < ids; from += L)
        found = id >= splat_int<S>(Int<S>(from)) ? __builtin_shuffle(load<S>(table + from), id) : found;
      return found;
    }
    V found;
    for (int lane = 0; lane < L; lane++) found[lane] = w.table[id[lane] * w.units * ROWS + row];
    return found;
  }

  // sums[unit][ROW[gate]] += weights[.][unit][gate] * vectors[.] over `count` vectors
  template <const int* ROW>
  static INLINE void multiply(const S* weights, const S* vectors, int64_t count, V (&sum)[UNITS][ROWS][G]) {
    for (int64_t j = 0; j < count; j++, weights += UNITS * GATES, vectors += GL) {
      V v[G];
#pragma GCC unroll 2
      for (int g = 0; g < G; g++) v[g] = load<S>(vectors + g * L);
#pragma GCC unroll 4
      for (int u = 0; u < UNITS; u++)
#pragma GCC unroll 4
        for (int r = 0; r < GATES; r++)
#pragma GCC unroll 2
          for (int g = 0; g < G; g++) sum[u][ROW[r]][g] += v[g] * weights[u * GATES + r];
    }
  }

  static void forward(const Pass<S>& pass, const Trace<S>& trace, int64_t from, int64_t to) {
    if (PERMUTED_TABLES && !pass.w.parts && pass.w.ids <= L)
      forward_steps<true>(pass, trace, from, to);
    else
      forward_steps<false>(pass, trace, from, to);
  }

  // ONE: inputs are ids and a table row is one vector, so that the inner loop has no branches
  template <bool ONE>
  static NOINLINE void forward_steps(const Pass<S>& pass, const Trace<S>& trace, int64_t from, int64_t to) {
    const Weights<S>& w = pass.w;
    const int64_t units = w.units;
    for (int64_t step = from; step < to; step++) {
      const int64_t t = pass.time(step), entry = step - trace.first;
      const S *h_before = trace.h + step * units * GL, *c_before = trace.c + entry * trace.c_stride;
      S *h_after = trace.h + (step + 1) * units * GL, *c_after = trace.c + (entry + 1) * trace.c_stride;
      S* kept_at = trace.kept + entry * trace.kept_stride;
      IVec<S> mask[G], id[G] = {};
      active(pass.lengths, t, mask);
      if (!w.parts)
#pragma GCC unroll 2
        for (int g = 0; g < G; g++) id[g] = load_int<S>(pass.x.ids + t * GL + g * L);

      for (int64_t tile = 0, first = 0; first < units; tile++, first += UNITS) {
        V sum[UNITS][ROWS][G];
#pragma GCC unroll 4
        for (int u = 0; u < UNITS; u++)
#pragma GCC unroll 4
          for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
            for (int g = 0; g < G; g++) {
              const int64_t row = (first + u) * ROWS + r;
              if (ONE && C::HAS_INPUT[r])
                sum[u][r][g] = __builtin_shuffle(load<S>(w.table + row * L), id[g]);
              else if (!w.parts && C::HAS_INPUT[r])
                sum[u][r][g] = look_up(w, row, id[g]);
              else
                sum[u][r][g] = splat<S>(w.bias[row]);
            }
        multiply<C::RECURRENT>(w.recurrent + tile * units * UNITS * GATES, h_before, w.hidden, sum);
        for (int part = 0; !ONE && part < w.parts; part++) {
          const Series<S>& series = pass.x.parts[part];
          multiply<C::INPUT>(w.input[part] + tile * series.width * UNITS * GATES, series.at(t, GL), series.real, sum);
        }
        P own[ROWS], kept[KEPT], c{}, h, c_old{}, h_old;
        PACK h_old.v[n] = load<S>(h_before + place(first, n));
        if constexpr (C::HAS_C) PACK c_old.v[n] = load<S>(c_before + place(first, n));
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) PACK own[r].v[n] = sum[n / G][r][n % G];
        C::forward(own, c_old, h_old, kept, c, h);
#pragma GCC unroll 5
        for (int k = 0; k < C::KEPT; k++) PACK store<S>(kept_at + place(first, n, C::KEPT, k), kept[k].v[n]);
        PACK store<S>(h_after + place(first, n), mask[n % G] ? h.v[n] : h_old.v[n]);
        if constexpr (C::HAS_C) PACK store<S>(c_after + place(first, n), mask[n % G] ? c.v[n] : c_old.v[n]);
      }
    }
  }

  // Write the gradients of the sums of steps [from, to) into d_sums, with step `from` at entry 0. dh and dc are gradients of
  // the state after step to - 1 and are replaced by those of the state before step `from`.
  static NOINLINE void backward(const Pass<S>& pass, const Trace<S>& trace, int64_t from, int64_t to, const S* d_out,
                                S* dh, S* dc, S* d_sums) {
    constexpr int N = BACK_UNITS * G;
    using P = Pack<S, N>;
    const int64_t units = pass.w.units;
    for (int64_t step = to - 1; step >= from; step--) {
      const int64_t t = pass.time(step), entry = step - trace.first;
      const S *h_before = trace.h + step * units * GL, *h_after = h_before + units * GL;
      const S *c_before = trace.c + entry * trace.c_stride, *kept_at = trace.kept + entry * trace.kept_stride;
      S* d_sums_at = d_sums + (step - from) * units * ROWS * GL;
      IVec<S> mask[G];
      active(pass.lengths, t, mask);
      for (int64_t first = 0; first < units; first += BACK_UNITS) {
        P d, d_active, kept[KEPT], c{}, d_c{}, d_c_active{}, d_own[ROWS], d_c_before{}, direct, before, after;
        PACK d.v[n] = load<S>(dh + place(first, n));
        if (d_out) PACK d.v[n] += load<S>(d_out + t * units * GL + place(first, n));
        PACK before.v[n] = load<S>(h_before + place(first, n));
        PACK after.v[n] = load<S>(h_after + place(first, n));
#pragma GCC unroll 5
        for (int k = 0; k < C::KEPT; k++) PACK kept[k].v[n] = load<S>(kept_at + place(first, n, C::KEPT, k));
        PACK d_active.v[n] = mask[n % G] ? d.v[n] : V{};
        if constexpr (C::HAS_C) {
          PACK c.v[n] = load<S>(c_before + place(first, n));
          PACK d_c.v[n] = load<S>(dc + place(first, n));
          PACK d_c_active.v[n] = mask[n % G] ? d_c.v[n] : V{};
        }
        C::backward(d_active, d_c_active, kept, c, before, after, d_own, d_c_before, direct);
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) PACK store<S>(d_sums_at + place(first, n, ROWS, r), d_own[r].v[n]);
        PACK store<S>(dh + place(first, n), mask[n % G] ? direct.v[n] : d.v[n]);
        if constexpr (C::HAS_C) PACK store<S>(dc + place(first, n), mask[n % G] ? d_c_before.v[n] : d_c.v[n]);
      }
      ProductsBack<S, typename C::Sizes, G>::template run<C::RECURRENT>(pass.w, pass.w.recurrent_back, d_sums_at, units, dh);
    }
  }
};

}  // namespace
