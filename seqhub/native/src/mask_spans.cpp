// Conversion of a mask of real steps to the first real step and the number of real steps of each row.
#include "problem.h"

namespace {

template <class M>
int64_t find_spans(const M* mask, int64_t rows, int64_t steps, int64_t* out) {
  bool padded = false;
  for (int64_t row = 0; row < rows; row++, mask += steps) {
    int64_t first = 0, end = steps;
    while (first < steps && !mask[first]) first++;
    if (first == steps) return NOT_CONTIGUOUS;
    while (!mask[end - 1]) end--;
    bool gap = false;
    for (int64_t t = first; t < end; t++) gap |= !mask[t];
    if (gap) return NOT_CONTIGUOUS;
    padded |= end - first < steps;
    out[row] = first;
    out[rows + row] = end - first;
  }
  return padded ? CONTIGUOUS : ALL_REAL;
}

}  // namespace

// mask: (rows, steps) integers of `bytes` bytes, nonzero at real steps; out: (2, rows). Returns a `MaskKind`.
extern "C" EXPORTED int64_t seqhub_mask_spans(const void* mask, int64_t bytes, int64_t rows, int64_t steps, int64_t* out) {
  switch (bytes) {
    case 1:
      return find_spans((const int8_t*)mask, rows, steps, out);
    case 4:
      return find_spans((const int32_t*)mask, rows, steps, out);
    default:
      return find_spans((const int64_t*)mask, rows, steps, out);
  }
}
