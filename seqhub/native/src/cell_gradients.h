// Gradients of weight matrices of generated cells: sums over steps and sequences of products of a gradient of a result and
// an operand. Included by cell.h.
#pragma once

constexpr int FEW = L / 4;  // with at most that many sequences, results or columns are in lanes, not sequences
constexpr int TILE_ROWS = 4;                              // of a tile
constexpr int TILE_COLUMNS = VECTOR_BYTES == 64 ? 4 : 2;  // as many as there are registers for
constexpr int PANEL_ROWS = VECTOR_BYTES == 64 ? 8 : 4;
constexpr int PANEL_VECTORS = 3;          // at most
constexpr int SLACK = L > 8 ? L : 8;  // vectors after an array that sums may read

namespace {

// For many sequences, sums are in tiles of TILE_ROWS x TILE_COLUMNS, in which each number has a vector with one sum for each
// sequence. For few sequences, sums are in rows of whole vectors of columns, and operands are transposed into panels: vectors
// with columns of one sequence at one step.
INLINE constexpr int whole_vectors(int size) { return (size + L - 1) / L * L; }

INLINE constexpr int sums_size(int rows, int columns) {
  const int tiles = (rows + TILE_ROWS - 1) / TILE_ROWS * ((columns + TILE_COLUMNS - 1) / TILE_COLUMNS);
  const int of_many = tiles * TILE_ROWS * TILE_COLUMNS, of_few = rows * whole_vectors(columns);
  return of_many > of_few ? of_many : of_few;
}

// Transposes `count` units of each step into N vectors for each of the first `lanes` sequences.
template <int RECORD, int N>
NOINLINE void make_panel(V* panel, const V* operands, int steps, int count, int lanes) {
  for (int t = 0; t < steps; t++, operands += RECORD, panel += lanes * N)
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) {
      V tile[L];
      for (int u = 0; u < L; u++) tile[u] = n * L + u < count ? operands[n * L + u] : V{};
      transpose_lanes<S>(tile);
      for (int lane = 0; lane < lanes; lane++) panel[lane * N + n] = tile[lane];
    }
}

template <int GRADIENT, int N>
NOINLINE void add_panel(S* results, int columns, const V* gradients, const V* panel, int steps, int rows, int lanes) {
  for (int row = 0; row < rows; row += PANEL_ROWS) {
    V sum[PANEL_ROWS * N] = {};
    const V* operand = panel;
    const S* gradient = (const S*)(gradients + row);
    for (int t = 0; t < steps; t++, gradient += GRADIENT * L)
      for (int lane = 0; lane < lanes; lane++, operand += N) {
#pragma GCC unroll 8
        for (int i = 0; i < PANEL_ROWS; i++) {
          const V own = splat<S>(gradient[i * L + lane]);
#pragma GCC unroll 4
          for (int n = 0; n < N; n++) sum[i * N + n] += own * operand[n];
        }
      }
#pragma GCC unroll 8
    for (int i = 0; i < PANEL_ROWS; i++)
      if (row + i < rows)
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) {
          S* to = results + (row + i) * columns + n * L;
          store<S>(to, load(to) + sum[i * N + n]);
        }
  }
}

template <int RECORD, int GRADIENT, int N>
INLINE void add_columns(S* results, const V* gradients, const V* operands, V* panel, int steps, int rows, int first,
                        int columns, int lanes) {
  make_panel<RECORD, N>(panel, operands + first, steps, columns - first, lanes);
  add_panel<GRADIENT, N>(results + first, whole_vectors(columns), gradients, panel, steps, rows, lanes);
}

template <int RECORD, int GRADIENT>
NOINLINE void add_tiles(S* tiles, const V* gradients, const V* operands, int steps, int rows, int columns) {
  constexpr int SIZE = TILE_ROWS * TILE_COLUMNS;
  for (int row = 0; row < rows; row += TILE_ROWS)
    for (int column = 0; column < columns; column += TILE_COLUMNS, tiles += SIZE) {
      V sum[SIZE] = {};
      const V *gradient = gradients + row, *operand = operands + column;
      for (int t = 0; t < steps; t++, gradient += GRADIENT, operand += RECORD) {
#pragma GCC unroll 4
        for (int i = 0; i < TILE_ROWS; i++)
#pragma GCC unroll 4
          for (int k = 0; k < TILE_COLUMNS; k++) sum[i * TILE_COLUMNS + k] += gradient[i] * operand[k];
      }
      static_assert(SIZE % L == 0 || L > SIZE, "tiles are whole vectors");
      if constexpr (SIZE >= L) {
#pragma GCC unroll 8
        for (int part = 0; part < SIZE; part += L) store<S>(tiles + part, load(tiles + part) + sums<S>(sum + part));
      } else {
        V padded[L] = {};
        for (int i = 0; i < SIZE; i++) padded[i] = sum[i];
        const V all_sums = sums<S>(padded);
        for (int i = 0; i < SIZE; i++) tiles[i] += all_sums[i];
      }
    }
}

// Adds the products of each gradient and each operand unit of the first `lanes` sequences. If these are many, the gradients
// of others are zero. Tiles at the edge may read up to SLACK units beyond the arrays; these numbers are not used. `panel` has
// room for PANEL_VECTORS * L vectors for each step.
template <int RECORD, int GRADIENT, int COLUMNS>
INLINE void add_products(S* results, const V* gradients, const V* operands, V* panel, int steps, int rows, int lanes) {
  if (lanes > FEW) return add_tiles<RECORD, GRADIENT>(results, gradients, operands, steps, rows, COLUMNS);
  // as few groups of vectors as possible, of almost equal sizes
  constexpr int VECTORS = (COLUMNS + L - 1) / L, GROUPS = (VECTORS + PANEL_VECTORS - 1) / PANEL_VECTORS;
  constexpr int SMALL = VECTORS / GROUPS, LARGE = VECTORS % GROUPS;
  int first = 0;
  for (int group = 0; group < LARGE; group++, first += (SMALL + 1) * L)
    add_columns<RECORD, GRADIENT, SMALL + 1>(results, gradients, operands, panel, steps, rows, first, COLUMNS, lanes);
  for (int group = LARGE; group < GROUPS; group++, first += SMALL * L)
    add_columns<RECORD, GRADIENT, SMALL>(results, gradients, operands, panel, steps, rows, first, COLUMNS, lanes);
}

template <int GRADIENT>
NOINLINE void add_rows(S* results, const V* gradients, int steps, int rows, int lanes) {
  Mask real = {};
  for (int lane = 0; lane < lanes; lane++) real[lane] = -1;
  for (int row = 0; row < rows; row += L) {
    V sum[L] = {};
    for (int t = 0; t < steps; t++)
#pragma GCC unroll 16
      for (int i = 0; i < L; i++) sum[i] += gradients[t * GRADIENT + row + i];
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) sum[i] = real ? sum[i] : V{};
    const V total = sums<S>(sum);
    if (row + L <= rows) store<S>(results + row, load(results + row) + total);
    else
      for (int i = 0; row + i < rows; i++) results[row + i] += total[i];
  }
}

NOINLINE void clear(S* gradient, int64_t size) {
  if (gradient) memset(gradient, 0, size * sizeof(S));
}
// Adds rows [row, row + rows) of the sums of a matrix of `columns` columns, times a number, to a gradient; none if `to` is null.
NOINLINE void unpack(S* to, const S* results, int columns, int row, int rows, int64_t row_stride, int64_t column_stride,
                     S scale, int lanes) {
  const int across = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS, width = whole_vectors(columns);
  for (int i = row; to && i < row + rows; i++, to += row_stride)
    for (int k = 0; k < columns; k++) {
      const int tile = (i / TILE_ROWS * across + k / TILE_COLUMNS) * TILE_ROWS + i % TILE_ROWS;
      to[k * column_stride] += scale * results[lanes > FEW ? tile * TILE_COLUMNS + k % TILE_COLUMNS : i * width + k];
    }
}
NOINLINE void unpack_row(S* to, const S* from, int size, int64_t stride) {
  for (int i = 0; to && i < size; i++) to[i * stride] += from[i];
}

}  // namespace
