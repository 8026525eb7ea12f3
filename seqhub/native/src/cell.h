// Kernels of generated cells (seqhub/cells/writer.py): functions of units, matrix products, and the loops over time.
//
// SCALAR is defined as float or double before this file is included. A V holds one unit of LANES sequences, a block; an
// array of W units is W vectors. A generated struct `Cell` has the sizes, and the functions of one step.
#pragma once
#include <math.h>
#include <stdint.h>

#include "activations.h"

typedef SCALAR S;
typedef Vec<S> V;
typedef IVec<S> Mask;  // -1 in lanes that are true, 0 in others
constexpr int L = LANES<S>;
constexpr int ROWS = 8;  // results of a product that are computed together

#include "cell_gradients.h"

namespace {

// Functions of units

INLINE V all(double number) { return splat<S>(S(number)); }
INLINE V truth(Mask mask) { return mask ? all(1) : V{}; }
INLINE V select(V condition, V one, V two) { return condition != S(0) ? one : two; }
INLINE V absolute(V x) { return (V)((typename Types<S>::Bits)x & ~((typename Types<S>::Bits){} + (Int<S>(1) << (8 * sizeof(S) - 1)))); }
INLINE V largest(V x, V y) { return x > y ? x : (y != y ? y : (x != x ? x : y)); }  // NaN if one is
INLINE V smallest(V x, V y) { return x < y ? x : (y != y ? y : (x != x ? x : y)); }
INLINE V limited(V x, V low, V high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}
INLINE V signum(V x) { return x > S(0) ? all(1) : (x < S(0) ? all(-1) : x); }
INLINE V rectified(V x) { return x < S(0) ? V{} : x; }

template <class Function>
INLINE V lanewise(V x, Function function) {
  V y;
  for (int lane = 0; lane < L; lane++) y[lane] = function(x[lane]);
  return y;
}
INLINE V sine(V x) { return lanewise(x, [](S each) { return sizeof(S) == 4 ? S(sinf(each)) : S(sin(each)); }); }
INLINE V cosine(V x) { return lanewise(x, [](S each) { return sizeof(S) == 4 ? S(cosf(each)) : S(cos(each)); }); }
INLINE V error_function(V x) { return lanewise(x, [](S each) { return sizeof(S) == 4 ? S(erff(each)) : S(erf(each)); }); }
INLINE V rounded_down(V x) { return lanewise(x, [](S each) { return S(floor(each)); }); }
INLINE V rounded_up(V x) { return lanewise(x, [](S each) { return S(ceil(each)); }); }
INLINE V truncated(V x) { return lanewise(x, [](S each) { return S(trunc(each)); }); }

// exp(x / 2) squared, so that large and small results become infinite and zero
INLINE V exponential(V x) {
  const V root = exp<S>(x * S(0.5));
  return root * root;
}
INLINE V inverse(V x) { return reciprocal(Pack<S, 1>{{x}}).v[0]; }
INLINE V hyperbolic_tangent(V x) { return tanh(Pack<S, 1>{{x}}).v[0]; }
// relative errors of a few ulp for all x whose result is a normal number
INLINE V sigmoid(V x) {
  const V y = logistic(Pack<S, 1>{{x}}).v[0];
  return x < -Exp<S>::LIMIT ? V{} : y;
}
INLINE V logarithm(V x) {
  constexpr S SMALLEST = sizeof(S) == 4 ? S(1.17549435e-38) : S(2.2250738585072014e-308);
  constexpr S SCALE = sizeof(S) == 4 ? S(16777216.0) : S(18014398509481984.0), SHIFT = sizeof(S) == 4 ? 24 : 54;
  const V scaled = x < SMALLEST ? x * SCALE : x;
  V y = log<S>(scaled);
  y = x < SMALLEST ? y - SHIFT * S(0.693147180559945309417) : y;
  y = x == S(0) ? all(-__builtin_inf()) : y;
  y = x < S(0) ? all(__builtin_nan("")) : y;
  return x == S(__builtin_inf()) ? x : y;
}
// log(1 + x), accurate also for small x
INLINE V log_one_plus(V x) {
  const V sum = S(1) + x, y = logarithm(sum) * (x / (sum - S(1)));
  return sum == S(1) || x == S(__builtin_inf()) ? x : y;
}
INLINE V exp_minus_one(V x) {
  Pack<S, 1> scale, rest;
  exp_parts(clamp(Pack<S, 1>{{x}}, S(40)), scale, rest);
  const V near = (scale * rest + (scale - S(1))).v[0];
  return x > S(40) ? exponential(x) : (x < S(-40) ? all(-1) : near);
}
INLINE V softplus(V x) { return rectified(x) + log_one_plus(exponential(x < S(0) ? x : -x)); }

// Products. Packed matrices have blocks of ROWS results: all weights of the first operand unit, then of the next one.

INLINE constexpr int packed_size(int rows, int columns) { return (rows + ROWS - 1) / ROWS * ROWS * columns; }

// Adds a matrix times a number to the part of a packed matrix of `columns` columns that starts at (row, column).
NOINLINE void pack(S* packed, int columns, int row, int column, const S* from, int rows, int own_columns,
                   int64_t row_stride, int64_t column_stride, S scale) {
  for (int i = 0; i < rows; i++)
    for (int k = 0; k < own_columns; k++)
      packed[(row + i) / ROWS * ROWS * columns + (column + k) * ROWS + (row + i) % ROWS] +=
          scale * from[i * row_stride + k * column_stride];
}
NOINLINE void pack_row(S* packed, const S* from, int size, int64_t stride) {
  for (int i = 0; i < size; i++) packed[i] += from[i * stride];
}

template <int N>
struct Operand {
  static constexpr int SIZE = N;
  const V* units;
};

template <int R, int N>
INLINE const S* accumulate(V* sums, const S* weights, Operand<N> operand) {
  for (int k = 0; k < N; k++, weights += ROWS) {
    const V unit = operand.units[k];
#pragma GCC unroll 8
    for (int i = 0; i < R; i++) sums[i] += weights[i] * unit;
  }
  return weights;
}

template <int R, class... Operands>
INLINE const S* product_rows(V* results, const S* weights, const S* bias, Operands... operands) {
  V sums[R];
#pragma GCC unroll 8
  for (int i = 0; i < R; i++) sums[i] = splat<S>(bias[i]);
  ((weights = accumulate<R>(sums, weights, operands)), ...);
#pragma GCC unroll 8
  for (int i = 0; i < R; i++) results[i] = sums[i];
  return weights;
}

// The same for few sequences, with ROWS results in lanes
typedef S Results __attribute__((vector_size(ROWS * sizeof(S)), aligned(sizeof(S)), may_alias));

template <int BLOCKS, int COLUMNS, int N>
INLINE const S* accumulate_of(int lane, Results* sums, const S* weights, Operand<N> operand) {
  for (int k = 0; k < N; k++, weights += ROWS) {
    const S unit = ((const S*)(operand.units + k))[lane];
#pragma GCC unroll 8
    for (int i = 0; i < BLOCKS; i++) sums[i] += *(const Results*)(weights + i * ROWS * COLUMNS) * unit;
  }
  return weights;
}

template <int BLOCKS, class... Operands>
INLINE void product_blocks(V* results, const S* weights, const S* bias, int rows, int lanes, Operands... operands) {
  constexpr int COLUMNS = (Operands::SIZE + ...);
  for (int lane = 0; lane < lanes; lane++) {
    Results sums[BLOCKS];
    const S* column = weights;
#pragma GCC unroll 8
    for (int i = 0; i < BLOCKS; i++) sums[i] = *(const Results*)(bias + i * ROWS);
    ((column = accumulate_of<BLOCKS, COLUMNS>(lane, sums, column, operands)), ...);
    Mask own = {};  // the first sequence also fills the lanes without a sequence
    for (int other = 0; other < L; other++) own[other] = -(lane == 0 || lane == other);
    const S* sum = (const S*)sums;
    for (int i = 0; i < rows; i++) results[i] = own ? splat<S>(sum[i]) : results[i];
  }
}

template <int N, class... Operands>
NOINLINE void product_of_few(V* results, const S* weights, const S* bias, int lanes, Operands... operands) {
  constexpr int COLUMNS = (Operands::SIZE + ...), TOGETHER = 8;
  constexpr int REST = (N + ROWS - 1) / ROWS - N / (TOGETHER * ROWS) * TOGETHER;  // blocks, at most TOGETHER
  int row = 0;
  for (; row + TOGETHER * ROWS <= N; row += TOGETHER * ROWS)
    product_blocks<TOGETHER>(results + row, weights + row * COLUMNS, bias + row, TOGETHER * ROWS, lanes, operands...);
  if constexpr (REST > 0)
    product_blocks<REST>(results + row, weights + row * COLUMNS, bias + row, N - row, lanes, operands...);
}

// N results: bias plus the products of a packed matrix and the operands
template <int N, class... Operands>
INLINE void product(V* results, const S* weights, const S* bias, int lanes, Operands... operands) {
  if (lanes <= FEW) return product_of_few<N>(results, weights, bias, lanes, operands...);
  for (int row = 0; row < N / ROWS * ROWS; row += ROWS)
    weights = product_rows<ROWS>(results + row, weights, bias + row, operands...);
  if constexpr (N % ROWS)
    product_rows<N % ROWS>(results + N / ROWS * ROWS, weights, bias + N / ROWS * ROWS, operands...);
}

template <int N>
INLINE V total(const V* units) {
  V sum = units[0];
  for (int u = 1; u < N; u++) sum += units[u];
  return sum;
}
template <int N>
INLINE V maximum(const V* units) {
  V found = units[0];
  for (int u = 1; u < N; u++) found = largest(found, units[u]);
  return found;
}

// A block of sequences

struct Block {
  int64_t row[L], length[L];
  Mask lengths;
  int lanes;  // sequences; the other lanes repeat the last one, with zero gradients
  int64_t shortest, longest;

  Block(int64_t first, int64_t batch, int64_t steps, const int64_t* order, const int64_t* of_rows)
      : lanes(batch - first < L ? int(batch - first) : L), shortest(steps), longest(0) {
    for (int lane = 0; lane < L; lane++) {
      const int64_t place = first + (lane < lanes ? lane : lanes - 1);
      row[lane] = order ? order[place] : place;
      length[lane] = of_rows ? of_rows[row[lane]] : steps;
      lengths[lane] = Int<S>(length[lane]);
      if (length[lane] < shortest) shortest = length[lane];
      if (length[lane] > longest) longest = length[lane];
    }
  }
  Mask present(int64_t step) const { return Int<S>(step) < lengths; }

  // Reads `size` numbers of each sequence, at `from` + row * stride, into as many vectors
  NOINLINE void read(V* units, const S* from, int64_t stride, int size) const {
    for (int first = 0; first < size; first += L) {
      V tile[L];
      const int count = size - first < L ? size - first : L;
      for (int lane = 0; lane < L; lane++) {
        const S* own = from + row[lane] * stride + first;
        if (count == L) tile[lane] = load(own);
        else copy((S*)(tile + lane), own, count);
      }
      transpose_lanes<S>(tile);
      for (int u = 0; u < count; u++) units[first + u] = tile[u];
    }
  }
  NOINLINE void write(S* to, const V* units, int64_t stride, int size) const {
    for (int first = 0; first < size; first += L) {
      V tile[L];
      const int count = size - first < L ? size - first : L;
      for (int u = 0; u < L; u++) tile[u] = units[first + (u < count ? u : 0)];
      transpose_lanes<S>(tile);
      for (int lane = 0; lane < lanes; lane++) {
        S* own = to + row[lane] * stride + first;
        if (count == L) store<S>(own, tile[lane]);
        else copy(own, (const S*)(tile + lane), count);
      }
    }
  }

 private:
  static INLINE void copy(S* to, const S* from, int count) {
    for (int i = 0; i < count; i++) to[i] = from[i];
  }
};

// Numbers of a sequence are contiguous over steps, so several steps are read and written at once.
INLINE constexpr int steps_at_once(int units) { return units <= 64 ? 16 : (units <= 256 ? 4 : 1); }

NOINLINE void clear_absent(V* units, int size, Mask present) {
  for (int u = 0; u < size; u++) units[u] = present ? units[u] : V{};
}

// Arguments of the functions, in the order of seqhub/cells/kernel.py
struct Arguments {
  int64_t batch, steps;
  const S* x;
  S* output;
  V *saved, *scratch;
  const int64_t *lengths, *order;
  const S* d_output;
  S* d_x;
  S* const* states;  // for each state: initial, last, gradient of the last, gradient of the initial one
};

INLINE Arguments arguments_of(const int64_t* a) {
  return {a[0], a[1], (S*)a[2], (S*)a[3], (V*)a[4], (V*)a[5], (int64_t*)a[6], (int64_t*)a[7],
          (S*)a[8], (S*)a[9], (S* const*)(a + 10)};
}

template <class Cell>
S* const* weights_of(const int64_t* a) {
  return (S* const*)(a + 10 + 4 * Cell::STATES);
}

// Number of sequences if products are computed for each of them, with results in lanes; L if sequences are in lanes. The
// former has a cost for each result, so that it needs some weights (measured with AVX-512).
template <class Cell>
INLINE int lanes_of(int64_t batch) {
  constexpr int64_t WEIGHTS = 192;
  return batch <= FEW && Cell::PACKED >= WEIGHTS * batch ? int(batch) : L;
}

template <class Cell>
INLINE constexpr int64_t vectors_of(int64_t scalars) {
  return (scalars + L - 1) / L + 1;
}

template <class Cell>
int64_t saved_bytes(int64_t batch, int64_t steps) {
  return ((batch + L - 1) / L * (steps * Cell::RECORD + Cell::AFTER) + SLACK) * sizeof(V);
}
template <class Cell>
constexpr int CHUNK_UNITS = steps_at_once(Cell::FEATURES + Cell::OUTPUT) * (Cell::FEATURES + Cell::OUTPUT);

template <class Cell>
int64_t forward_scratch_bytes() {
  return (vectors_of<Cell>(Cell::PACKED) + Cell::RECORD + Cell::SCRATCH + Cell::NEXT + Cell::STATE_UNITS +
          CHUNK_UNITS<Cell>) * sizeof(V);
}
template <class Cell>
int64_t backward_scratch_bytes() {
  return (vectors_of<Cell>(Cell::D_PACKED) + vectors_of<Cell>(Cell::SUMS) + Cell::CHUNK * Cell::D_RECORD + SLACK +
          Cell::CHUNK * PANEL_VECTORS * L + Cell::D_SCRATCH + Cell::NEXT + 2 * Cell::STATE_UNITS + CHUNK_UNITS<Cell> +
          Cell::AFTER) *
         sizeof(V);
}

template <class Cell>
void run_forward(const int64_t* numbers) {
  const Arguments a = arguments_of(numbers);
  S* packed = (S*)a.scratch;
  V* own_record = a.scratch + vectors_of<Cell>(Cell::PACKED);
  V* scratch = own_record + Cell::RECORD;
  V* next = scratch + Cell::SCRATCH;
  V* state = next + Cell::NEXT;
  constexpr int AT_ONCE = steps_at_once(Cell::FEATURES + Cell::OUTPUT);
  V *inputs = state + Cell::STATE_UNITS, *outputs = inputs + AT_ONCE * Cell::FEATURES;
  const int lanes = lanes_of<Cell>(a.batch);
  memset(packed, 0, Cell::PACKED * sizeof(S));
  Cell::pack_forward(packed, weights_of<Cell>(numbers));
  for (int64_t first = 0; first < a.batch; first += L) {
    const Block block(first, a.batch, a.steps, a.order, a.lengths);
    V* saved = a.saved ? a.saved + first / L * (a.steps * Cell::RECORD + Cell::AFTER) : nullptr;
    for (int k = 0; k < Cell::STATES; k++) {
      V* units = state + Cell::offset(k);
      if (a.states[4 * k]) block.read(units, a.states[4 * k], Cell::width(k), Cell::width(k));
      else memset((void*)units, 0, Cell::width(k) * sizeof(V));
    }
    for (int64_t low = 0; low < block.longest; low += AT_ONCE) {
      const int64_t high = low + AT_ONCE < block.longest ? low + AT_ONCE : block.longest;
      block.read(inputs, a.x + low * Cell::FEATURES, a.steps * Cell::FEATURES, int(high - low) * Cell::FEATURES);
      for (int64_t step = low; step < high; step++) {
        V* record = saved ? saved + step * Cell::RECORD : own_record;
        const bool full = step < block.shortest;
        const Mask present = block.present(step);
        const V* x = inputs + (step - low) * Cell::FEATURES;
        if (saved) Cell::keep(record, x, state);
        Cell::step(packed, x, state, record, scratch, next, lanes);
        for (int u = 0; u < Cell::STATE_UNITS; u++) state[u] = full ? next[u] : (present ? next[u] : state[u]);
        V *output = outputs + (step - low) * Cell::OUTPUT, *own = next + Cell::OUTPUT_OFFSET;
        for (int u = 0; u < Cell::OUTPUT; u++) output[u] = full ? own[u] : (present ? own[u] : V{});
      }
      block.write(a.output + low * Cell::OUTPUT, outputs, a.steps * Cell::OUTPUT, int(high - low) * Cell::OUTPUT);
    }
    if (saved && Cell::AFTER) Cell::keep(saved + block.longest * Cell::RECORD, inputs, state);
    for (int k = 0; k < Cell::STATES; k++)
      block.write(a.states[4 * k + 1], state + Cell::offset(k), Cell::width(k), Cell::width(k));
  }
}

template <class Cell>
INLINE void backward_of(const int64_t* numbers) {
  const Arguments a = arguments_of(numbers);
  S* packed = (S*)a.scratch;
  S* weight_sums = (S*)(a.scratch + vectors_of<Cell>(Cell::D_PACKED));
  V* records = (V*)weight_sums + vectors_of<Cell>(Cell::SUMS);
  V* panel = records + Cell::CHUNK * Cell::D_RECORD + SLACK;
  V* scratch = panel + Cell::CHUNK * PANEL_VECTORS * L;
  V* d_next = scratch + Cell::D_SCRATCH;
  V* d_state = d_next + Cell::NEXT;
  V* d_before = d_state + Cell::STATE_UNITS;
  constexpr int AT_ONCE = steps_at_once(Cell::FEATURES + Cell::OUTPUT);
  V *d_inputs = d_before + Cell::STATE_UNITS, *d_outputs = d_inputs + AT_ONCE * Cell::FEATURES;
  V* const kept = d_outputs + AT_ONCE * Cell::OUTPUT;
  const int lanes = lanes_of<Cell>(a.batch);
  memset((void*)a.scratch, 0, (records - a.scratch) * sizeof(V));
  memset((void*)d_next, 0, Cell::NEXT * sizeof(V));
  Cell::pack_backward(packed, weights_of<Cell>(numbers));
  for (int64_t first = 0; first < a.batch; first += L) {
    const Block block(first, a.batch, a.steps, a.order, a.lengths);
    const Mask real = block.lanes == L ? Mask{} - 1 : [&] {
      Mask mask = {};
      for (int lane = 0; lane < block.lanes; lane++) mask[lane] = -1;
      return mask;
    }();
    for (int k = 0; k < Cell::STATES; k++) {
      V* units = d_state + Cell::offset(k);
      if (a.states[4 * k + 2]) block.read(units, a.states[4 * k + 2], Cell::width(k), Cell::width(k));
      else memset((void*)units, 0, Cell::width(k) * sizeof(V));
      if (block.lanes < L) clear_absent(units, Cell::width(k), real);
    }
    V* saved = a.saved + first / L * (a.steps * Cell::RECORD + Cell::AFTER);
    const V* after = saved + block.longest * Cell::RECORD;
    for (int64_t high = block.longest, low; high > 0; high = low) {
      low = high > Cell::CHUNK ? high - Cell::CHUNK : 0;
      for (int64_t last = high, begin; last > low; last = begin) {
        begin = last - low > AT_ONCE ? last - AT_ONCE : low;
        const int count = int(last - begin);
        if (a.d_output)
          block.read(d_outputs, a.d_output + begin * Cell::OUTPUT, a.steps * Cell::OUTPUT, count * Cell::OUTPUT);
        for (int64_t step = last - 1; step >= begin; step--) {
          V *record = saved + step * Cell::RECORD, *d_record = records + (step - low) * Cell::D_RECORD;
          const bool full = step < block.shortest, whole = full && block.lanes == L;
          const Mask present = block.present(step);
          for (int u = 0; u < Cell::STATE_UNITS; u++) d_next[u] = full ? d_state[u] : (present ? d_state[u] : V{});
          if (a.d_output) {
            const V* d_output = d_outputs + (step - begin) * Cell::OUTPUT;
            const Mask has_gradient = present & real;
            V* to = d_next + Cell::OUTPUT_OFFSET;
            for (int u = 0; u < Cell::OUTPUT; u++) {
              const V own = whole ? d_output[u] : (has_gradient ? d_output[u] : V{});
              to[u] = Cell::OUTPUT_OFFSET < Cell::STATE_UNITS ? to[u] + own : own;
            }
          }
          V* d_x = a.d_x ? d_inputs + (step - begin) * Cell::FEATURES : nullptr;
          Cell::step_backward(packed, record, after, d_record, scratch, d_next, d_before, d_x, lanes);
          for (int u = 0; u < Cell::STATE_UNITS; u++)
            d_state[u] = full ? d_before[u] : (present ? d_before[u] : d_state[u]);
          after = record;
          if (!full) {  // numbers of absent steps are not zero, and may be infinite
            if (Cell::AFTER) after = (V*)memcpy((void*)kept, record, Cell::AFTER * sizeof(V));
            clear_absent(record, Cell::RECORD, present);
            clear_absent(d_record, Cell::D_RECORD, present);
            if (d_x) clear_absent(d_x, Cell::FEATURES, present);
          }
        }
        if (a.d_x) block.write(a.d_x + begin * Cell::FEATURES, d_inputs, a.steps * Cell::FEATURES, count * Cell::FEATURES);
      }
      Cell::add_gradients(weight_sums, saved + low * Cell::RECORD, records, panel, int(high - low), lanes);
    }
    for (int k = 0; k < Cell::STATES; k++)
      if (a.states[4 * k + 3])
        block.write(a.states[4 * k + 3], d_state + Cell::offset(k), Cell::width(k), Cell::width(k));
  }
  Cell::unpack_gradients(weight_sums, weights_of<Cell>(numbers), lanes);
}

template <class Cell>
void run_backward(const int64_t* numbers) {
  without_subnormals([=] {
    backward_of<Cell>(numbers);
    return int64_t(0);
  });
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))
