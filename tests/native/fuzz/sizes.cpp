// Sizes beyond any memory: they are counted right, or refused, before anything is read.
#include "problems.h"

namespace {

int64_t extreme(Bytes& in) {
  const int64_t base = in.one_of(1, 2, 1 << 10, 1 << 16, 1 << 20, 1 << 28, 1 << 30, TOO_LONG - 1, TOO_LONG, INT64_MAX, 0, -1);
  return in.byte() % 8 ? base : base - 1;
}
// Whoever has so many weights has named them all, so there are never very many layers.
int64_t some_layers(Bytes& in) { return in.one_of(1, 2, 64, 4096, 0, -1, TOO_LONG, INT64_MAX); }
bool counts(int64_t size) { return size >= 1 && size < TOO_LONG; }

// What a count of bytes must be: refused as the sizes are, or not less than what it holds, or -1.
void hold(int64_t found, bool valid, double least) {
  if (!valid) MUST(found == INVALID_PROBLEM);
  if (valid) MUST(found == -1 ? true : found % 64 == 0 && found >= least * (1 - 1e-9));
  if (valid && least > 1e19) MUST(found == -1);
}

}  // namespace

int64_t try_sizes(Bytes& in, const Library& library) {
  const std::string set = library.sets[in.byte() % library.sets.size()];
  const int64_t cell = in.byte() % 5, is_double = in.flag(), layers = some_layers(in), directions = in.one_of(1, 1, 2, 2, 0, 3);
  const int64_t batch = extreme(in), steps = extreme(in), features = extreme(in), hidden = extreme(in);
  const int64_t vocabulary = in.flag() ? extreme(in) : 0;
  bool valid = cell < 4 && (directions == 1 || directions == 2) && vocabulary >= 0 && vocabulary < TOO_LONG;
  for (int64_t size : {layers, batch, steps, features, hidden}) valid &= counts(size);
  const double number = is_double ? 8 : 4, weights = double(hidden) * (double(hidden) + (vocabulary ? 1 : 0)) * number;

  Problem p{};
  p.cell = cell, p.is_double = is_double, p.layers = layers, p.directions = directions, p.batch = batch, p.steps = steps;
  p.features = features, p.hidden = hidden, p.vocabulary = vocabulary;
  char there;  // is never read or written
  if (in.flag()) p.saved = &there;
  if (in.flag()) p.d_states = &there;
  if (in.flag()) p.d_inputs = &there;
  hold(library.call("saved_bytes", set, &p), valid, double(layers) * directions * batch * (double(steps) + 1) * hidden * number);
  hold(library.call("forward_scratch", set, &p), valid, weights + 8 * double(batch));
  hold(library.call("backward_scratch", set, &p), valid, 2 * weights + 8 * double(batch));
  for (const char* name : {"forward", "backward"}) {  // no memory is enough of what cannot be counted, nor is a byte
    p.scratch = in.flag() ? &there : nullptr, p.scratch_bytes = p.scratch ? in.one_of(1, 0, -1, INT64_MIN) : 0;
    p.saved_bytes = in.one_of(-1, 0, 1);
    MUST(library.call(name, set, &p) == INVALID_PROBLEM);
  }

  TrainProblem f{};
  f.cell = cell, f.is_double = is_double, f.layers = layers, f.directions = directions, f.features = features;
  f.hidden = hidden, f.vocabulary = vocabulary, f.batch = batch, f.steps = steps, f.sequences = extreme(in);
  f.target = in.byte() % 4, f.outputs = extreme(in), f.all_outputs = extreme(in), f.logistic = in.flag();
  for (int64_t size : {f.sequences, f.outputs, f.all_outputs}) valid &= counts(size);
  f.id_bytes = 1, f.is_training = in.flag();
  const double fitted = weights + double(hidden) * f.outputs * number;
  hold(library.call("train_scratch", set, &f), valid, fitted);
  f.scratch = p.scratch, f.scratch_bytes = p.scratch_bytes;
  MUST(library.call("train", set, &f) == INVALID_PROBLEM);
  f.block_size = in.one_of(1, 1, 1, 2, 0, -1, 3, hidden), f.output_gates = in.flag(), f.recurrent = 1;
  bool blocks = vocabulary >= 0 && vocabulary < TOO_LONG && f.block_size > 0 && hidden % f.block_size == 0;
  for (int64_t size : {f.sequences, batch, steps, features, hidden, f.outputs, f.all_outputs}) blocks &= counts(size);
  hold(library.call("blocks_train_scratch", set, &f), blocks, fitted);
  MUST(library.call("blocks_train", set, &f) == INVALID_PROBLEM);
  return DONE;
}
