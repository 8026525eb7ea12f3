// Products of wide real-valued inputs and their weights for small batches, on the weights as PyTorch stores them. Packing
// them, and unpacking their gradients, would take longer than a few steps of few sequences.
//
// The products of all steps are computed before the recurrence, and their gradients after it. Vector lanes are columns of
// the weights. Rows are (gate, unit), and sums have the layout [row][unit] of SmallBatchScan.
#pragma once
#include "weight_layout.h"

namespace {

constexpr int64_t WIDE_INPUTS = 32;  // columns from which on; at least those of a vector

template <class S>
struct WideInputs {
  using V = Vec<S>;
  static constexpr int L = LANES<S>, R = 4, N = WIDE ? 4 : 2;  // rows, and items or vectors of columns, of a tile
  static constexpr int64_t ITEMS = 64;                         // that are processed together, so that they fit the cache

  struct Item {  // a step of a sequence
    const S* x;
    S* sums;  // or their gradients
  };

  const CellSizes& cell;
  const int64_t hidden, lanes, columns;
  IVec<S> overlap;  // lanes of the last vector of columns that the one before has, too

  WideInputs(const CellSizes& of_cell, int64_t hidden_, int64_t lanes_, int64_t columns_)
      : cell(of_cell), hidden(hidden_), lanes(lanes_), columns(columns_) {
    for (int lane = 0; lane < L; lane++) overlap[lane] = lane < round_up(columns, L) - columns ? -1 : 0;
  }

  INLINE V last(const S* x) const { return overlap ? V{} : load<S>(x + columns - L); }

  template <int HEIGHT, int WIDTH>
  INLINE void tile(const S* weights, const Item* items, int64_t sum) const {
    constexpr int COUNT = HEIGHT * WIDTH, PADDED = (COUNT + L - 1) / L * L;
    V sums_of[PADDED] = {}, x[WIDTH];
    auto add = [&](int64_t j) {
#pragma GCC unroll 4
      for (int r = 0; r < HEIGHT; r++) {
        const V w = load<S>(weights + r * columns + j);
#pragma GCC unroll 4
        for (int n = 0; n < WIDTH; n++) sums_of[r * WIDTH + n] += w * x[n];
      }
    };
    for (int64_t j = 0; j + L <= columns; j += L) {
#pragma GCC unroll 4
      for (int n = 0; n < WIDTH; n++) x[n] = load<S>(items[n].x + j);
      add(j);
    }
    if (columns % L) {
#pragma GCC unroll 4
      for (int n = 0; n < WIDTH; n++) x[n] = last(items[n].x);
      add(columns - L);
    }
    S totals[PADDED];
    for (int n = 0; n < PADDED; n += L) store<S>(totals + n, sums<S>(sums_of + n));
    for (int r = 0; r < HEIGHT; r++)
      for (int n = 0; n < WIDTH; n++) items[n].sums[sum + r] += totals[r * WIDTH + n];
  }
  template <int HEIGHT>
  NOINLINE void rows(const S* weights, const Item* items, int64_t count, int64_t sum) const {
    int64_t n = 0;
    for (; n + N <= count; n += N) tile<HEIGHT, N>(weights, items + n, sum);
    for (; n < count; n++) tile<HEIGHT, 1>(weights, items + n, sum);
  }

  // Call use(constant number of rows, first unit) for all units in groups.
  template <class Use>
  INLINE void each_row(Use use) const {
    int64_t unit = 0;
    for (; unit + R <= hidden; unit += R) use(std::integral_constant<int, R>(), unit);
    for (; unit < hidden; unit++) use(std::integral_constant<int, 1>(), unit);
  }

  // Set the sums of each item to the bias, (rows, lanes), and add the products with the weights.
  void forward(const S* weights, const S* bias, const Item* items, int64_t count) const {
    for (int64_t n = 0; n < count; n++) memcpy(items[n].sums, bias, sizeof(S) * cell.rows * lanes);
    for (int64_t first = 0; first < count; first += ITEMS) {
      const int64_t some = count - first < ITEMS ? count - first : ITEMS;
      for (int gate = 0; gate < cell.gates; gate++)
        each_row([&](auto height, int64_t unit) {
          rows<height>(weights + (gate * hidden + unit) * columns, items + first, some, cell.input[gate] * lanes + unit);
        });
    }
  }

  template <int HEIGHT, int WIDTH, bool LAST>
  INLINE void gradient_tile(const Item* items, int64_t count, int64_t sum, int64_t j, bool adds, S* gradient) const {
    V sums_of[HEIGHT * WIDTH] = {};
    for (int64_t n = 0; n < count; n++) {
      V x[WIDTH];
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; v++) x[v] = LAST ? last(items[n].x) : load<S>(items[n].x + j + v * L);
#pragma GCC unroll 4
      for (int r = 0; r < HEIGHT; r++)
#pragma GCC unroll 4
        for (int v = 0; v < WIDTH; v++) sums_of[r * WIDTH + v] += items[n].sums[sum + r] * x[v];
    }
#pragma GCC unroll 4
    for (int r = 0; r < HEIGHT; r++)
#pragma GCC unroll 4
      for (int v = 0; v < WIDTH; v++) {
        S* to = gradient + r * columns + j + v * L;
        V kept{};
        if (adds)
          kept = load<S>(to);
        else if (LAST)
          kept = overlap ? load<S>(to) : kept;
        store<S>(to, kept + sums_of[r * WIDTH + v]);
      }
  }
  template <int HEIGHT>
  NOINLINE void gradient_rows(const Item* items, int64_t count, int64_t sum, bool adds, S* gradient) const {
    int64_t j = 0;
    for (; j + N * L <= columns; j += N * L) gradient_tile<HEIGHT, N, false>(items, count, sum, j, adds, gradient);
    for (; j + L <= columns; j += L) gradient_tile<HEIGHT, 1, false>(items, count, sum, j, adds, gradient);
    if (j < columns) gradient_tile<HEIGHT, 1, true>(items, count, sum, columns - L, adds, gradient);
  }

  // Set the gradient of the weights, or add to it.
  void backward(const Item* items, int64_t count, bool adds, S* gradient) const {
    for (int64_t first = 0; first < count; first += ITEMS, adds = true) {
      const int64_t some = count - first < ITEMS ? count - first : ITEMS;
      for (int gate = 0; gate < cell.gates; gate++)
        each_row([&](auto height, int64_t unit) {
          gradient_rows<height>(items + first, some, cell.input[gate] * lanes + unit, adds,
                                gradient + (gate * hidden + unit) * columns);
        });
    }
  }
};

}  // namespace
