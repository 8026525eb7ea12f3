// Fuzz test of mask spans, compared with a simple reference.
#include "problems.h"

int64_t try_spans(Bytes& in, const Library& library) {
  const int64_t bytes = in.one_of(1, 4, 8), rows = in.below(9), steps = in.below(20);
  Buffer mask(true, rows * steps, bytes), out(true, 2 * rows, 8);
  std::vector<int64_t> expected(2 * rows + 1);
  bool padded = false, neither = false;
  const auto put = [&](int64_t at, int64_t value) {
    if (bytes == 1) mask.at<int8_t>()[at] = int8_t(value);
    if (bytes == 4) mask.at<int32_t>()[at] = int32_t(value);
    if (bytes == 8) mask.at<int64_t>()[at] = value;
  };
  for (int64_t row = 0; row < rows; row++) {
    int64_t first = 0, length = 0;
    if (steps) random_span(in, steps, false, first, length);
    const int64_t real = in.one_of(1, 1, 1, -1, 64), none = in.byte() == 255, gap = in.byte() == 255 ? steps / 2 : -1;
    int64_t ones = 0, low = steps, high = -1;
    for (int64_t t = 0; t < steps; t++) {
      const bool is_real = t >= first && t < first + length && t != gap && !none;
      put(row * steps + t, is_real ? real : 0);
      if (is_real) ones++, low = t < low ? t : low, high = t;
    }
    neither |= !ones || high - low + 1 != ones;
    padded |= ones < steps;
    expected[row] = low, expected[rows + row] = ones;
  }
  using Spans = int64_t (*)(const void*, int64_t, int64_t, int64_t, int64_t*);
  const int64_t found = ((Spans)library.find("mask_spans"))(mask.at(), bytes, rows, steps, out.at<int64_t>());
  CHECK(found == (neither ? NOT_CONTIGUOUS : padded ? CONTIGUOUS : ALL_REAL));
  if (!neither) CHECK(!memcmp(out.at(), expected.data(), out.bytes));
  return DONE;
}
