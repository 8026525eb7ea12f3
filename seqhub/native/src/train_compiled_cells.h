// Training of models of compiled cells, as train.h does for other cells. The kernels of the cells are functions of other
// libraries that run a layer over all steps of some sequences.
//
// The sequences of a batch are sorted by length, so that those that run together have similar lengths.
#pragma once
#include "compiled_cells.h"
#include "readout.h"

namespace {

constexpr int64_t SEQUENCES = 32;  // that run together: whole vectors, and activations that mostly stay in the cache

template <class S>
struct CompiledTrainer {
  static constexpr int L = LANES<S>;

  const TrainProblem& f;
  const CompiledModel& model;
  const int64_t T, width, rows, output;  // width of the first layer's input, sequences that run together, last output
  const bool by_step;
  const Readout<S> readout;
  const int64_t size;                    // padded number of all parameters

  CompiledTrainer(const TrainProblem& fit, const CompiledModel& given)
      : f(fit), model(given), T(f.steps), width(model.layer[0].features),
        rows(f.batch < f.sequences ? smaller(f.batch, SEQUENCES) : smaller(f.sequences, SEQUENCES)),
        output(model.layer[model.layers - 1].output), by_step(is_by_step(f)), readout(f, 1, output),
        size(round_up(int64_t(uint64_t(model.head_at) + readout.size()), PARAMETER_PADDING)) {}

  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
  const CompiledLayer& layer(int64_t n) const { return model.layer[n]; }
  int64_t embedding_size() const { return model.embedded ? f.features * width : 0; }
  bool has_input_gradient() const { return f.is_training && model.embedded; }

  struct Memory {
    int64_t *order, *counts, *lengths;  // rows of a batch by length; lengths of the sequences that run
    S *inputs, *d_inputs;               // [sequence][step][feature]
    S **outputs, **d_outputs;           // of each layer, [sequence][step][unit]
    char** saved;                       // activations of each layer
    char* scratch;
    S* last;                            // last states
    int64_t* arguments;
    int32_t* columns;                   // [step]
    double (*sums)[5];                  // [sequence]
    S *gradient, *own_gradient;         // of all parameters, and of those before the head for the sequences that run
    typename Readout<S>::Memory head;
    bool* disallowed;
  };

  void allocate(Arena& arena, Memory& m) const {
    m.order = arena.allocate<int64_t>(smaller(f.batch, f.sequences));
    m.counts = arena.allocate<int64_t>(T + 1);
    m.lengths = arena.allocate<int64_t>(rows);
    m.inputs = arena.allocate<S>(rows, T, width);
    if (has_input_gradient()) m.d_inputs = arena.allocate<S>(rows, T, width);
    m.outputs = arena.allocate<S*>(model.layers);
    m.d_outputs = arena.allocate<S*>(model.layers);
    m.saved = arena.allocate<char*>(model.layers);
    int64_t scratch = 0, last = 0, arguments = 0;
    for (int64_t n = 0; n < model.layers; n++) {
      const CompiledLayer& own = layer(n);
      S* outputs = arena.allocate<S>(rows, T, own.output);
      S* d_outputs = f.is_training ? arena.allocate<S>(rows, T, own.output) : nullptr;
      char* saved = f.is_training ? arena.allocate<char>(own.saved_bytes(rows, T)) : nullptr;
      if (arena.base) m.outputs[n] = outputs, m.d_outputs[n] = d_outputs, m.saved[n] = saved;
      int64_t units = 0;
      for (int64_t k = 0; k < own.states; k++) units += own.widths[k];
      scratch = larger(scratch, larger(own.forward_scratch, own.backward_scratch));
      last = larger(last, units);
      arguments = larger(arguments, 10 + 4 * own.states + 2 * own.weights);
    }
    m.scratch = arena.allocate<char>(scratch);
    m.last = arena.allocate<S>(rows, last);
    m.arguments = arena.allocate<int64_t>(arguments);
    if (f.vocabulary) m.columns = arena.allocate<int32_t>(T);
    m.sums = arena.allocate<double[5]>(rows);
    m.gradient = arena.allocate<S>(size);
    m.own_gradient = arena.allocate<S>(model.head_at);
    readout.allocate(arena, m.head, L, true);
    m.disallowed = arena.allocate<bool>(f.vocabulary + 1);
  }

  int64_t scratch_bytes() const {
    Memory m{};
    Arena arena;
    allocate(arena, m);
    return arena.too_large ? -1 : arena.used;
  }

  // ---- a layer

  // Set the arguments of a kernel, in the order of `Arguments` in cell.h.
  void set_arguments(const Memory& m, const CompiledLayer& own, int64_t count, int64_t steps, const S* inputs, S* outputs,
                     char* saved, const S* d_outputs, S* d_inputs) const {
    int64_t* to = m.arguments;
    for (int64_t number : {count, steps}) *to++ = number;
    for (const void* address : {(const void*)inputs, (const void*)outputs, (const void*)saved, (const void*)m.scratch,
                                (const void*)m.lengths, (const void*)nullptr, (const void*)d_outputs,
                                (const void*)d_inputs})
      *to++ = int64_t(address);
    S* last = m.last;
    for (int64_t k = 0; k < own.states; k++, to += 4) {
      to[0] = to[2] = to[3] = 0;
      to[1] = int64_t(last);
      last += count * own.widths[k];
    }
    for (int64_t n = 0; n < own.weights; n++, to++) {
      const int64_t offset = own.offsets[n];
      to[0] = offset < 0 ? int64_t(own.constants[n]) : int64_t((const S*)f.parameters + offset);
      to[own.weights] = offset < 0 ? 0 : int64_t(m.own_gradient + offset);
    }
  }

  // ---- some sequences

  // Read the inputs of the sequences, `steps` steps of each.
  void read(const Memory& m, const int64_t* order, int64_t first, int64_t count, int64_t steps) const {
    const S *table = (const S*)f.parameters, *values = (const S*)f.inputs;
    for (int64_t q = 0; q < count; q++) {
      const int64_t from = (first + order[q]) * T;
      S* to = m.inputs + q * steps * width;
      if (!model.embedded)
        memcpy(to, values + from * width, sizeof(S) * m.lengths[q] * width);
      else
        for (int64_t t = 0; t < m.lengths[q]; t++)
          memcpy(to + t * width, table + id_at(f, from + t) * width, sizeof(S) * width);
    }
  }

  void run_readout(const Memory& m, const int64_t* order, int64_t first, int64_t count, int64_t steps, S scale) const {
    S *outputs = m.outputs[model.layers - 1], *d_outputs = m.d_outputs[model.layers - 1];
    memset(m.sums, 0, sizeof(double[5]) * count);
    int64_t used = 0;
    for (int64_t q = 0; q < count; q++) {
      const int64_t row = first + order[q], length = m.lengths[q];
      for (int64_t t = 0; f.vocabulary && t < length; t++) {
        const int32_t column = f.columns[id_at(f, row * T + t)];
        m.columns[t] = column < 0 ? int32_t(f.features) : column;
      }
      if (f.is_training) memset(d_outputs + q * steps * output, 0, sizeof(S) * length * output);
      for (int64_t t = by_step ? 0 : length - 1; t < length; t++) {
        const int64_t at = (q * steps + t) * output;
        Item<S> item{};
        item.h[0] = outputs + at, item.d_h[0] = d_outputs + at;
        item.sequence = int(q), item.row = row, item.step = t;
        if (!readout.read_target(row, m.columns, t, item) && !f.logits) continue;
        m.head.items[used++] = item;
        if (used == readout.max_items()) readout(m.head, used, scale, m.sums), used = 0;
      }
    }
    if (used) readout(m.head, used, scale, m.sums);
    for (int64_t q = 0; q < count; q++) write_row(f, first + order[q], m.sums[q]);
  }

  void add_gradients(const Memory& m, const int64_t* order, int64_t first, int64_t count, int64_t steps) const {
    for (int64_t n = embedding_size(); n < model.head_at - model.unread; n++) m.gradient[n] += m.own_gradient[n];
    for (int64_t q = 0; model.embedded && q < count; q++)
      for (int64_t t = 0; t < m.lengths[q]; t++) {
        const S* from = m.d_inputs + (q * steps + t) * width;
        S* to = m.gradient + id_at(f, (first + order[q]) * T + t) * width;
        for (int64_t n = 0; n < width; n++) to[n] += from[n];
      }
  }

  void run(const Memory& m, const int64_t* order, int64_t first, int64_t count, S scale) const {
    for (int64_t q = 0; q < count; q++) m.lengths[q] = f.lengths[first + order[q]];
    const int64_t steps = m.lengths[0];  // the longest is the first
    read(m, order, first, count, steps);
    for (int64_t n = 0; n < model.layers; n++) {
      set_arguments(m, layer(n), count, steps, n ? m.outputs[n - 1] : m.inputs, m.outputs[n], m.saved[n], nullptr, nullptr);
      layer(n).forward(m.arguments);
    }
    run_readout(m, order, first, count, steps, scale);
    if (!f.is_training) return;
    for (int64_t n = model.layers - 1; n >= 0; n--) {
      set_arguments(m, layer(n), count, steps, n ? m.outputs[n - 1] : m.inputs, nullptr, m.saved[n], m.d_outputs[n],
                    n ? m.d_outputs[n - 1] : m.d_inputs);
      layer(n).backward(m.arguments);
    }
    add_gradients(m, order, first, count, steps);
  }

  // ---- a batch

  // Sort the rows of a batch by length, the longest first.
  void sort(const Memory& m, int64_t first, int64_t count) const {
    memset(m.counts, 0, sizeof(int64_t) * (T + 1));
    for (int64_t q = 0; q < count; q++) m.counts[T - f.lengths[first + q]]++;
    for (int64_t n = 0, sum = 0; n <= T; n++) {
      const int64_t own = m.counts[n];
      m.counts[n] = sum;
      sum += own;
    }
    for (int64_t q = 0; q < count; q++) m.order[m.counts[T - f.lengths[first + q]]++] = q;
  }

  int64_t operator()() const {
    if (!is_large_enough(f.scratch, f.scratch_bytes, scratch_bytes())) return INVALID_PROBLEM;
    Memory m{};
    Arena arena;
    arena.base = (char*)f.scratch;
    allocate(arena, m);
    if (const int64_t outcome = check_rows(f, m.disallowed)) return outcome;
    memset(m.gradient, 0, sizeof(S) * size);
    readout.zero(m.head);
    train_batches(f, m.gradient, size, [&](int64_t first, int64_t count) {
      const BatchScale share = batch_scale(f, first, count);
      sort(m, first, count);
      readout.pack((const S*)f.parameters + model.head_at, m.head);
      memset(m.gradient, 0, sizeof(S) * model.head_at);
      for (int64_t row = 0; row < count; row += rows)
        run(m, m.order + row, first, smaller(rows, count - row), S(share.scale));
      if (f.is_training && share.updates) readout.unpack(m.head, m.gradient + model.head_at);
      return f.is_training && share.updates;
    });
    return DONE;
  }
};

template <class Use>
int64_t with_compiled_trainer(const TrainProblem& f, const CompiledModel& model, Use use) {
  for (int64_t size : {f.sequences, f.batch, f.steps, f.features, f.outputs, f.all_outputs, model.layers})
    if (size < 1 || size >= MAX_SIZE) return INVALID_PROBLEM;
  if (f.vocabulary < 0 || f.vocabulary >= MAX_SIZE || (f.logits && f.is_training)) return INVALID_PROBLEM;
  return f.is_double ? use(CompiledTrainer<double>(f, model)) : use(CompiledTrainer<float>(f, model));
}

}  // namespace
