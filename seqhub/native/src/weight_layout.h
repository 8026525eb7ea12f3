// Conversion of weights to the layout that Scan reads, and of gradients to PyTorch's layout, with (gate, unit) rows.
#pragma once
#include "scan.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace {

// Bump allocator for the memory of one call. It runs twice: without `base` to compute the size, then to assign addresses.
// All arrays are aligned to cache lines; under the address sanitizer, poisoned memory follows each of them.
#if defined(__SANITIZE_ADDRESS__)
constexpr int64_t GAP = 64;
#else
constexpr int64_t GAP = 0;
#endif

struct Arena {
  char* base = nullptr;
  int64_t used = 0;
  bool too_large = false;

  template <class T>
  T* allocate(int64_t a, int64_t b = 1, int64_t c = 1, int64_t d = 1) {
    return (T*)take(sizeof(T), a, b, c, d);
  }

 private:
  NOINLINE char* take(int64_t bytes, int64_t a, int64_t b, int64_t c, int64_t d) {  // not inlined, as it has many callers
    for (int64_t factor : {a, b, c, d}) too_large |= __builtin_mul_overflow(bytes, factor, &bytes);
    too_large |= __builtin_add_overflow(bytes, 63, &bytes);
    char* at = base ? base + used : nullptr;
#if defined(__SANITIZE_ADDRESS__)
    if (base) {
      ASAN_UNPOISON_MEMORY_REGION(at, bytes - 63);
      ASAN_POISON_MEMORY_REGION(at + (bytes & ~int64_t(63)), GAP);
    }
#endif
    too_large |= __builtin_add_overflow(used, (bytes & ~int64_t(63)) + GAP, &used);
    return at;
  }
};

// Return whether memory is not null and large enough; never if the size needed overflowed (-1).
inline bool is_large_enough(const void* memory, int64_t bytes, int64_t needed) {
  return memory && needed >= 0 && bytes >= needed;
}

INLINE int64_t round_up(int64_t n, int64_t multiple) { return (uint64_t(n) + multiple - 1) / multiple * multiple; }

// Parts of the input of a layer, one for each direction of the layer below, and their widths.
struct Parts {
  int count;         // 0: ids
  int64_t real[2];   // columns of weight_ih for each part
  int64_t padded[2];
  int64_t columns;   // all columns of weight_ih
};

// Copy a matrix to its transpose. The order of the copies keeps parts of eight rows in the cache, also if the strides are
// powers of two.
template <class S>
void transpose(const S* from, int64_t stride, int64_t rows, int64_t columns, S* to, int64_t to_stride) {
  constexpr int64_t N = 8;
  for (int64_t row = 0; row < rows; row += N)
    for (int64_t column = 0; column < columns; column += N) {
      const S* source = from + row * stride + column;
      S* target = to + column * to_stride + row;
      const int64_t height = rows - row < N ? rows - row : N, width = columns - column < N ? columns - column : N;
      for (int64_t j = 0; j < width; j++, target += to_stride)
        if (height == N)
#pragma GCC unroll 8
          for (int64_t n = 0; n < N; n++) target[n] = source[n * stride + j];
        else
          for (int64_t n = 0; n < height; n++) target[n] = source[n * stride + j];
    }
}

template <class S>
struct Packing {
  static constexpr int64_t COLUMNS = 16;  // that are copied together, so that they stay in the cache

  const CellSizes& cell;

  // back: for the backward pass; below: also for the gradients of the inputs
  void allocate(Arena& arena, int64_t hidden, int64_t units, const Parts& parts, bool back, bool below, Weights<S>& w) const {
    w.hidden = hidden;
    w.units = units;
    w.parts = parts.count;
    w.recurrent = arena.allocate<S>(units, units, cell.gates);
    w.bias = arena.allocate<S>(units, cell.rows);
    for (int p = 0; p < parts.count; p++) w.input[p] = arena.allocate<S>(units, parts.padded[p], cell.gates);
    if (!parts.count) {
      w.ids = parts.columns + 1;
      w.table = arena.allocate<S>(round_up(w.ids, LANES<S>), units, cell.rows);
    }
    if (!back) return;
    w.recurrent_back = arena.allocate<S>(units, units, cell.gates);
    for (int p = 0; below && p < parts.count; p++) w.input_back[p] = arena.allocate<S>(units, parts.padded[p], cell.gates);
  }

  void allocate(Arena& arena, int64_t units, const Parts& parts, Gradients<S>& g) const {
    g.recurrent = arena.allocate<S>(units, units, cell.gates);
    g.bias = arena.allocate<S>(units, cell.rows);
    for (int p = 0; p < parts.count; p++) g.input[p] = arena.allocate<S>(units, parts.padded[p], cell.gates);
    if (!parts.count) g.table = arena.allocate<S>(round_up(parts.columns + 1, TILE_J), units, cell.gates);
  }

  // The padding must be zero and is not written.
  void pack(const S* const* parameters, int64_t hidden, const Parts& parts, Weights<S>& w) const {
    const S *weight_ih = parameters[0], *weight_hh = parameters[1], *bias_ih = parameters[2], *bias_hh = parameters[3];
    memset(w.bias, 0, sizeof(S) * w.units * cell.rows);
    for (int gate = 0; gate < cell.gates; gate++)
      for (int64_t unit = 0; unit < hidden; unit++) {
        w.bias[unit * cell.rows + cell.recurrent[gate]] += bias_hh[gate * hidden + unit];
        w.bias[unit * cell.rows + cell.input[gate]] += bias_ih[gate * hidden + unit];
      }
    const int64_t columns = parts.columns;
    pack_forward({weight_hh, hidden, hidden, hidden}, w.units, w.recurrent);
    if (w.recurrent_back) pack_back({weight_hh, hidden, hidden, hidden}, w.units, w.units, w.recurrent_back);
    const S* weights = weight_ih;
    for (int p = 0; p < parts.count; weights += parts.real[p], p++) {
      pack_forward({weights, columns, hidden, parts.real[p]}, parts.padded[p], w.input[p]);
      if (w.input_back[p]) pack_back({weights, columns, hidden, parts.real[p]}, w.units, parts.padded[p], w.input_back[p]);
    }
    if (parts.count) return;
    const bool permuted = PERMUTED_TABLES && w.ids <= PERMUTED_TABLES * LANES<S>;
    const int64_t width = round_up(w.ids, LANES<S>);
    for (int64_t unit = 0; unit < hidden; unit++)
      for (int gate = 0; gate < cell.gates; gate++) {
        const int64_t row = unit * cell.rows + cell.input[gate];
        for (int64_t id = 0; id < w.ids; id++)
          w.table[permuted ? row * width + id : id * w.units * cell.rows + row] =
              w.bias[row] + (id < columns ? weight_ih[(gate * hidden + unit) * columns + id] : S(0));
      }
  }

  // Weights in PyTorch's layout: (gate, unit) rows of `width` columns.
  struct Matrix {
    const S* data;
    int64_t stride, hidden, width;
    const S* row(int gate, int64_t unit) const { return data + (gate * hidden + unit) * stride; }
  };

  // [tile of units][column][unit of tile][gate]
  void pack_forward(const Matrix& from, int64_t padded, S* packed) const {
    const int64_t tile = cell.units_per_tile, sums = tile * cell.gates;
    for (int64_t first = 0; first < from.hidden; first += tile, packed += padded * sums)
      for (int64_t column = 0; column < from.width; column += COLUMNS) {
        const int64_t end = column + COLUMNS < from.width ? column + COLUMNS : from.width;
        for (int64_t unit = first; unit < first + tile && unit < from.hidden; unit++)
          for (int gate = 0; gate < cell.gates; gate++) {
            const S* row = from.row(gate, unit);
            S* to = packed + (unit - first) * cell.gates + gate;
            for (int64_t j = column; j < end; j++) to[j * sums] = row[j];
          }
      }
  }

  // [tile of columns][unit][gate][column of tile]
  void pack_back(const Matrix& from, int64_t units, int64_t padded, S* packed) const {
    const int64_t tile = back_tile(padded);
    for (int64_t column = 0; column < from.width; column += COLUMNS) {
      const int64_t end = column + COLUMNS < from.width ? column + COLUMNS : from.width;
      for (int64_t unit = 0; unit < from.hidden; unit++)
        for (int gate = 0; gate < cell.gates; gate++) {
          const S* row = from.row(gate, unit);
          S* to = packed + (unit * cell.gates + gate) * tile;
          for (int64_t first = column; first < end; first += tile) {
            const int64_t count = end - first < tile ? end - first : tile;
            for (int64_t j = 0; j < count; j++) to[first * units * cell.gates + j] = row[first + j];
          }
        }
    }
  }

  S tile_place(const S* packed, int64_t units, int64_t j, int64_t unit, int gate) const {
    const int64_t k = unit * cell.gates + gate;
    return packed[(j / TILE_J * (units * cell.gates / TILE_K) + k / TILE_K) * TILE + k % TILE_K * TILE_J + j % TILE_J];
  }

  void unpack(const Gradients<S>& g, int64_t units, int64_t hidden, const Parts& parts, S* const* out) const {
    S *weight_ih = out[0], *weight_hh = out[1], *bias_ih = out[2], *bias_hh = out[3];
    const int64_t ids = parts.columns + 1;
    auto of_id = [&](int64_t id, int64_t unit, int gate) {
      return ids <= MAX_MASKED_IDS ? tile_place(g.table, units, id, unit, gate)
                                    : g.table[id * units * cell.gates + unit * cell.gates + gate];
    };
    for (int gate = 0; gate < cell.gates; gate++)
      for (int64_t unit = 0; unit < hidden; unit++) {
        const int64_t row = gate * hidden + unit;
        S of_row[MAX_ROWS];
        for (int r = 0; r < cell.rows; r++) of_row[r] = g.bias[unit * cell.rows + r];
        if (!parts.count) {
          S* weights = weight_ih + row * parts.columns;
          for (int64_t id = 0; id < parts.columns; id++) weights[id] = of_id(id, unit, gate);
          for (int other = 0; other < cell.gates; other++) {
            S& sum = of_row[cell.input[other]] = S(0);
            for (int64_t id = 0; id < ids; id++) sum += of_id(id, unit, other);
          }
        }
        bias_ih[row] = of_row[cell.input[gate]];
        bias_hh[row] = of_row[cell.recurrent[gate]];
      }
    unpack_tiles(g.recurrent, units, hidden, hidden, weight_hh, hidden);
    S* weights = weight_ih;
    for (int p = 0; p < parts.count; weights += parts.real[p], p++)
      unpack_tiles(g.input[p], units, hidden, parts.real[p], weights, parts.columns);
  }

  // Copy tiles, as in Gradients, to `width` columns of a matrix in PyTorch's layout.
  void unpack_tiles(const S* packed, int64_t units, int64_t hidden, int64_t width, S* to, int64_t stride) const {
    const int64_t of_tile = units * cell.gates * TILE_J;  // of all gates
    for (int64_t column = 0; column < width; column += COLUMNS) {
      const int64_t end = column + COLUMNS < width ? column + COLUMNS : width;
      for (int64_t unit = 0; unit < hidden; unit++)
        for (int gate = 0; gate < cell.gates; gate++) {
          S* row = to + (gate * hidden + unit) * stride;
          const S* from = packed + (unit * cell.gates + gate) * TILE_J;  // tiles of gates are adjacent
          for (int64_t first = column; first < end; first += TILE_J) {
            const S* tile = from + first / TILE_J * of_tile;
            if (end - first >= TILE_J)
#pragma GCC unroll 4
              for (int j = 0; j < TILE_J; j++) row[first + j] = tile[j];
            else
              for (int64_t j = first; j < end; j++) row[j] = tile[j - first];
          }
        }
    }
  }
};

}  // namespace
