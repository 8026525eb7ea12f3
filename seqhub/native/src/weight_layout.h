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

template <class S>
struct Packing {
  const CellSizes& cell;

  void allocate(Arena& arena, int64_t hidden, int64_t units, const Parts& parts, bool back, Weights<S>& w) const {
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
    for (int p = 0; p < parts.count; p++) w.input_back[p] = arena.allocate<S>(units, parts.padded[p], cell.gates);
  }

  void allocate(Arena& arena, int64_t units, const Parts& parts, Gradients<S>& g) const {
    g.recurrent = arena.allocate<S>(units, units, cell.gates);
    g.bias = arena.allocate<S>(units, cell.rows);
    for (int p = 0; p < parts.count; p++) g.input[p] = arena.allocate<S>(units, parts.padded[p], cell.gates);
    if (!parts.count) g.table = arena.allocate<S>(round_up(parts.columns + 1, TILE_J), units, cell.gates);
  }

  // The padding must have been set to zero.
  void pack(const S* const* parameters, int64_t hidden, const Parts& parts, bool back, Weights<S>& w) const {
    const S *weight_ih = parameters[0], *weight_hh = parameters[1], *bias_ih = parameters[2], *bias_hh = parameters[3];
    const bool permuted = PERMUTED_TABLES && w.ids <= PERMUTED_TABLES * LANES<S>;
    const int64_t width = round_up(w.ids, LANES<S>);
    for (int gate = 0; gate < cell.gates; gate++)
      for (int64_t unit = 0; unit < hidden; unit++) {
        const int64_t row = gate * hidden + unit;
        w.bias[unit * cell.rows + cell.recurrent[gate]] += bias_hh[row];
        w.bias[unit * cell.rows + cell.input[gate]] += bias_ih[row];
        for (int64_t j = 0; j < hidden; j++) {
          forward_place(w.recurrent, w.units, j, unit, gate) = weight_hh[row * hidden + j];
          if (back) back_place(w.recurrent_back, w.units, w.units, j, unit, gate) = weight_hh[row * hidden + j];
        }
        const S* weights = weight_ih + row * parts.columns;
        for (int p = 0; p < parts.count; weights += parts.real[p], p++)
          for (int64_t j = 0; j < parts.real[p]; j++) {
            forward_place(w.input[p], parts.padded[p], j, unit, gate) = weights[j];
            if (back) back_place(w.input_back[p], w.units, parts.padded[p], j, unit, gate) = weights[j];
          }
      }
    if (parts.count) return;
    for (int64_t unit = 0; unit < hidden; unit++)
      for (int gate = 0; gate < cell.gates; gate++) {
        const int64_t row = unit * cell.rows + cell.input[gate];
        for (int64_t id = 0; id < w.ids; id++)
          w.table[permuted ? row * width + id : id * w.units * cell.rows + row] =
              w.bias[row] + (id < parts.columns ? weight_ih[(gate * hidden + unit) * parts.columns + id] : S(0));
      }
  }

  S& forward_place(S* packed, int64_t width, int64_t j, int64_t unit, int gate) const {
    const int tile = cell.units_per_tile;
    return packed[((unit / tile * width + j) * tile + unit % tile) * cell.gates + gate];
  }
  S& back_place(S* packed, int64_t units, int64_t width, int64_t j, int64_t unit, int gate) const {
    const int tile = back_tile(width);
    return packed[(j / tile * units * cell.gates + unit * cell.gates + gate) * tile + j % tile];
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
        for (int64_t j = 0; j < hidden; j++) weight_hh[row * hidden + j] = tile_place(g.recurrent, units, j, unit, gate);
        S* weights = weight_ih + row * parts.columns;
        for (int p = 0; p < parts.count; weights += parts.real[p], p++)
          for (int64_t j = 0; j < parts.real[p]; j++) weights[j] = tile_place(g.input[p], units, j, unit, gate);
        if (!parts.count) {
          for (int64_t id = 0; id < parts.columns; id++) weights[id] = of_id(id, unit, gate);
          for (int other = 0; other < cell.gates; other++) {
            S& sum = of_row[cell.input[other]] = S(0);
            for (int64_t id = 0; id < ids; id++) sum += of_id(id, unit, other);
          }
        }
        bias_ih[row] = of_row[cell.input[gate]];
        bias_hh[row] = of_row[cell.recurrent[gate]];
      }
  }
};

}  // namespace
