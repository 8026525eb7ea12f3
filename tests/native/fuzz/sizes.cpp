// Fuzz test of sizes that exceed the memory: sizes of buffers are correct, or reported as overflow or invalid problem.
#include "problems.h"

namespace {

int64_t extreme(Bytes& in) {
  const int64_t base = in.one_of(1, 2, 1 << 10, 1 << 16, 1 << 20, 1 << 28, 1 << 30, TOO_LARGE - 1, TOO_LARGE, INT64_MAX, 0, -1);
  return in.byte() % 8 ? base : base - 1;
}
// Few layers, since each of them has pointers to its weights.
int64_t random_layers(Bytes& in) { return in.one_of(1, 2, 64, 4096, 0, -1, TOO_LARGE, INT64_MAX); }
bool is_valid_size(int64_t size) { return size >= 1 && size < TOO_LARGE; }

// Check a number of bytes: an invalid problem, at least `least`, or -1 for overflow.
void check_size(int64_t found, bool valid, double least) {
  if (!valid) CHECK(found == INVALID_PROBLEM);
  if (valid) CHECK(found == -1 ? true : found % 64 == 0 && found >= least * (1 - 1e-9));
  if (valid && least > 1e19) CHECK(found == -1);
}

}  // namespace

int64_t try_sizes(Bytes& in, const Library& library) {
  const std::string set = library.sets[in.byte() % library.sets.size()];
  const int64_t cell = in.byte() % 5, is_double = in.flag(), layers = random_layers(in), directions = in.one_of(1, 1, 2, 2, 0, 3);
  const int64_t batch = extreme(in), steps = extreme(in), features = extreme(in), hidden = extreme(in);
  const int64_t vocabulary = in.flag() ? extreme(in) : 0;
  bool valid = cell < 4 && (directions == 1 || directions == 2) && vocabulary >= 0 && vocabulary < TOO_LARGE;
  for (int64_t size : {layers, batch, steps, features, hidden}) valid &= is_valid_size(size);
  const double number = is_double ? 8 : 4, weights = double(hidden) * (double(hidden) + (vocabulary ? 1 : 0)) * number;

  Problem p{};
  p.cell = cell, p.is_double = is_double, p.layers = layers, p.directions = directions, p.batch = batch, p.steps = steps;
  p.features = features, p.hidden = hidden, p.vocabulary = vocabulary;
  char there;  // not read or written
  if (in.flag()) p.saved = &there;
  if (in.flag()) p.d_states = &there;
  if (in.flag()) p.d_inputs = &there;
  check_size(library.call("saved_bytes", set, &p), valid, double(layers) * directions * batch * (double(steps) + 1) * hidden * number);
  check_size(library.call("forward_scratch", set, &p), valid, weights + 8 * double(batch));
  check_size(library.call("backward_scratch", set, &p), valid, 2 * weights + 8 * double(batch));
  for (const char* name : {"forward", "backward"}) {  // must fail: one byte, or any size after overflow
    p.scratch = in.flag() ? &there : nullptr, p.scratch_bytes = p.scratch ? in.one_of(1, 0, -1, INT64_MIN) : 0;
    p.saved_bytes = in.one_of(-1, 0, 1);
    CHECK(library.call(name, set, &p) == INVALID_PROBLEM);
  }

  TrainProblem f{};
  f.cell = cell, f.is_double = is_double, f.layers = layers, f.directions = directions, f.features = features;
  f.hidden = hidden, f.vocabulary = vocabulary, f.batch = batch, f.steps = steps, f.sequences = extreme(in);
  f.target = in.byte() % 4, f.outputs = extreme(in), f.all_outputs = extreme(in), f.logistic = in.flag();
  for (int64_t size : {f.sequences, f.outputs, f.all_outputs}) valid &= is_valid_size(size);
  f.id_bytes = 1, f.is_training = in.flag();
  const double fitted = weights + double(hidden) * f.outputs * number;
  check_size(library.call("train_scratch", set, &f), valid, fitted);
  f.scratch = p.scratch, f.scratch_bytes = p.scratch_bytes;
  CHECK(library.call("train", set, &f) == INVALID_PROBLEM);
  f.block_size = in.one_of(1, 1, 1, 2, 0, -1, 3, hidden), f.output_gates = in.flag(), f.recurrent = 1;
  bool blocks = vocabulary >= 0 && vocabulary < TOO_LARGE && f.block_size > 0 && hidden % f.block_size == 0;
  for (int64_t size : {f.sequences, batch, steps, features, hidden, f.outputs, f.all_outputs}) blocks &= is_valid_size(size);
  check_size(library.call("blocks_train_scratch", set, &f), blocks, fitted);
  CHECK(library.call("blocks_train", set, &f) == INVALID_PROBLEM);
  return DONE;
}
