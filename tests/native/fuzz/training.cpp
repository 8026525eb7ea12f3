// Fuzz test of training: outcomes of invalid problems, which must not change the state, and propagation of NaN.
#include "problems.h"

namespace {

constexpr int64_t GATES[] = {1, 1, 3, 4}, BLOCKS = 4;
constexpr double MAX_WORK = 2e6;  // as in recurrence.cpp

enum Fault { NONE, SPAN, ID, COLUMN, LABEL, SCRATCH, NAN_IN_A_ROW, EXTREME_WEIGHTS, LOGITS_IN_TRAINING, FAULTS };

struct RandomProblem {
  Bytes& in;
  const Library& library;
  const std::string set;
  TrainProblem f{};
  Fault fault;
  int64_t bad_row = -1;
  bool wide;
  Random random{};
  Buffer ids, columns, lengths, labels, rates, progress, rows, scratch;
  Numbers values, numbers, parameters, firsts, seconds, logits;

  RandomProblem(Bytes& bytes, const Library& lib) : in(bytes), library(lib), set(lib.sets[in.byte() % lib.sets.size()]) {
    f.cell = in.byte() % 5, f.is_double = wide = in.flag(), f.layers = 1 + in.byte() % 3, f.directions = 1 + in.byte() % 2;
    f.sequences = in.size(20, 300), f.steps = in.size(12, 1000), f.features = in.size(6, 70), f.hidden = in.size(9, 70);
    f.batch = in.size(12, 300), f.target = in.byte() % 4, f.logistic = in.flag();
    f.vocabulary = f.target == NEXT_SYMBOL || in.flag() ? in.size(6, 300) : 0;
    f.outputs = f.target == NUMBER ? 1 : in.size(6, 40);
    if (f.target == NEXT_SYMBOL) f.outputs = f.features += f.features == 1;
    f.all_outputs = f.outputs + in.byte() % 2, f.optimizer = in.byte() % 4, f.is_training = in.flag();
    f.first = in.flag() ? 0.9 : 0, f.second = in.flag() ? 0.999 : 0.9, f.weight_decay = in.flag() ? 0.01 : 0;
    f.max_norm = in.flag() ? 0.1 : 0, f.reference = in.flag() ? 0.5 : 0, f.floor = in.flag() ? 0.1 : 0;
    f.tolerance = 0.1, f.id_bytes = f.vocabulary <= 256 && in.flag() ? 1 : 2;
    const int64_t kind = in.byte();
    fault = kind < 96 ? NONE : Fault(kind % FAULTS);
    random.state = in.byte();
    const auto work = [&] {
      return double(f.layers * f.directions * f.sequences * f.steps) * (f.hidden + 4) * (f.hidden + f.features + f.outputs);
    };
    while (work() > MAX_WORK) {
      int64_t& largest = f.sequences > f.steps ? f.sequences : f.steps > f.hidden ? f.steps : f.hidden;
      largest = (largest + 1) / 2;
    }
    f.head_has_bias = in.flag();
    if (f.cell == BLOCKS) {
      f.layers = f.directions = 1, f.block_size = in.size(3, 6), f.hidden = f.block_size * ((f.hidden + 2) / 3);
      f.output_gates = in.flag(), f.logistic_input = in.flag(), f.identity_output = in.flag(), f.recurrent = in.flag();
      f.biased = in.one_of(0, units() - f.hidden, units());
    }
  }
  int64_t units() const { return f.hidden + f.hidden / f.block_size * (1 + f.output_gates); }

  int64_t parameters_of_all() const {
    const int64_t H = f.hidden, D = f.directions, F = f.features;
    if (f.cell == BLOCKS)
      return units() * (F + f.recurrent * units()) + f.biased + f.outputs * (H + !f.recurrent * F + f.head_has_bias);
    int64_t count = f.outputs * (D * H + f.head_has_bias);
    for (int64_t each = 0; each < f.layers * D; each++) count += GATES[f.cell] * H * ((each < D ? F : D * H) + H + 2);
    return count;
  }
  int64_t call(const char* name) const {
    return library.call((f.cell == BLOCKS ? std::string("blocks_") + name : name).c_str(), set, &f);
  }

  int64_t label(int64_t wrong) {
    const int64_t classes = f.outputs == 1 ? 2 : f.outputs;
    return wrong ? in.one_of(-1, -99, classes, INT64_MAX, INT64_MIN, int64_t(1) << 32) : uint64_t(1e9 * (1 + random())) % classes;
  }

  int64_t fill() {
    int64_t expected = DONE;
    const int64_t N = f.sequences, T = f.steps, F = f.features;
    bad_row = in.below(N);
    columns = Buffer(f.vocabulary, f.vocabulary, 4);
    std::vector<int64_t> known, disallowed;
    for (int64_t id = 0; id < f.vocabulary; id++) {
      int32_t& column = columns.at<int32_t>()[id] = id ? int32_t(in.byte() % (F + 2)) - 2 : 0;
      (column == -2 ? disallowed : known).push_back(id);
    }
    disallowed.push_back(f.vocabulary);  // not an id
    ids = Buffer(f.vocabulary, N * T, f.id_bytes), values = Numbers(!f.vocabulary, N * T * F, wide);
    const auto put_id = [&](int64_t at, int64_t id) {
      if (f.id_bytes == 1) ids.at<uint8_t>()[at] = uint8_t(id);
      if (f.id_bytes == 2) ids.at<uint16_t>()[at] = uint16_t(id);
    };
    lengths = Buffer(true, N, 8), rates = Buffer(f.is_training, (N + f.batch - 1) / f.batch, 8);
    labels = Buffer(f.target == CLASS || f.target == STEP_CLASS, f.target == CLASS ? N : N * T, 8);
    numbers = Numbers(f.target == NUMBER, N, wide);
    numbers.draw(random, 1);
    for (int64_t row = 0; row < N; row++) {
      int64_t length = 1 + in.byte() % T;
      const bool bad = row == bad_row;
      for (int64_t at = row * T; at < row * T + length; at++) {  // padding remains invalid and must not be read
        if (f.vocabulary) put_id(at, known[uint64_t(1e9 * (1 + random())) % known.size()]);
        for (int64_t k = 0; !f.vocabulary && k < F; k++) values.put(at * F + k, random());
        if (f.target == STEP_CLASS) labels.at<int64_t>()[at] = random() < 0 ? -100 : label(false);
      }
      if (f.target == CLASS) labels.at<int64_t>()[row] = label(false);
      const int64_t some = row * T + in.byte() % length;
      if (bad && fault == ID && f.vocabulary) {
        const int64_t id = disallowed[in.byte() % disallowed.size()];
        if (id < (f.id_bytes == 1 ? 256 : 65536)) put_id(some, id), expected = INVALID_ID | row << 8;
      }
      if (bad && fault == NAN_IN_A_ROW && !f.vocabulary) values.put(some * F, in.flag() ? NAN : INFINITY);
      if (bad && fault == LABEL && labels.bytes) {
        labels.at<int64_t>()[f.target == CLASS ? row : some] = f.target == CLASS && in.flag() ? -100 : label(true);
        expected = INVALID_LABEL | row << 8;
      }
      if (bad && fault == SPAN) length = in.one_of(0, -1, T + 1, INT64_MAX, INT64_MIN), expected = INVALID_SPAN | row << 8;
      lengths.at<int64_t>()[row] = length;
    }
    if (fault == COLUMN && f.vocabulary) {
      columns.at<int32_t>()[in.below(f.vocabulary)] = int32_t(in.one_of(-3, F, INT32_MAX, INT32_MIN));
      expected = INVALID_PROBLEM;
    }
    const int64_t count = parameters_of_all(), padded = (count + 15) / 16 * 16;
    for (Numbers* each : {&parameters, &firsts, &seconds}) {
      *each = Numbers(true, padded, wide);
      memset(each->at(), 0, each->bytes);
    }
    parameters.draw(random, 1.0 / (4 * (f.directions * f.hidden + f.hidden + F)));
    for (int64_t at = count; at < padded; at++) parameters.put(at, 0);
    if (fault == EXTREME_WEIGHTS) parameters.put(in.below(count), in.flag() ? NAN : in.flag() ? INFINITY : 1e30);
    for (size_t step = 0; step < rates.bytes / 8; step++) rates.at<double>()[step] = 1e-3;
    progress = Buffer(true, 3, 8), rows = Buffer(true, 4 * N, 8);
    for (int n = 0; n < 3; n++) progress.at<double>()[n] = 1;
    f.inputs = f.vocabulary ? ids.at() : values.at(), f.columns = columns.at<int32_t>(), f.lengths = lengths.at<int64_t>();
    f.labels = f.target == NUMBER ? numbers.at() : labels.at(), f.rates = rates.at<double>();
    f.parameters = parameters.at(), f.first_moments = firsts.at(), f.second_moments = seconds.at();
    f.progress = progress.at<double>(), f.rows = rows.at<double>();
    const bool by_step = f.target == STEP_CLASS || f.target == NEXT_SYMBOL, wrong = fault == LOGITS_IN_TRAINING && f.is_training;
    logits = Numbers(wrong || (!f.is_training && in.flag()), N * (by_step ? T : 1) * f.outputs, wide);
    f.logits = logits.at();
    return wrong ? INVALID_PROBLEM : expected;
  }

  std::string state() const { return parameters.copy() + firsts.copy() + seconds.copy() + progress.copy(); }

  // Whether numbers are still those of a new buffer.
  static bool untouched(const Numbers& found, int64_t from, int64_t many) {
    const int64_t size = found.is_double ? 8 : 4;
    for (int64_t at = from * size; at < (from + many) * size; at++)
      if (found.at()[at] != char(0xFF)) return false;
    return true;
  }

  // Outputs of real steps are finite unless an input is not; those of padded steps are untouched.
  void check_logits() const {
    const bool by_step = f.target == STEP_CLASS || f.target == NEXT_SYMBOL;
    for (int64_t row = 0; logits.count && row < f.sequences; row++)
      for (int64_t t = 0; t < (by_step ? f.steps : 1); t++) {
        const int64_t at = (by_step ? row * f.steps + t : row) * f.outputs;
        const bool is_real = !by_step || t < f.lengths[row];
        CHECK(is_real || untouched(logits, at, f.outputs));
        CHECK(!is_real || !(fault == NONE || (fault == NAN_IN_A_ROW && row != bad_row)) || logits.finite(at, f.outputs));
      }
  }

  int64_t run() {
    int64_t expected = fill();
    f.scratch_bytes = call("train_scratch");
    if (f.logits && f.is_training) {
      CHECK(f.scratch_bytes == INVALID_PROBLEM);
      f.scratch_bytes = 64;
    }
    CHECK(f.scratch_bytes > 0 && f.scratch_bytes % 64 == 0);
    scratch = Buffer(true, f.scratch_bytes, 1), f.scratch = scratch.at();
    if (fault == SCRATCH) {
      f.scratch_bytes -= in.one_of(1, 64, f.scratch_bytes);
      if (in.flag()) f.scratch = nullptr;
      expected = INVALID_PROBLEM;
    }
    const std::string old = state(), old_rows = rows.copy();
    const int64_t outcome = call("train");
    CHECK(outcome == expected);
    if (outcome || !f.is_training) CHECK(state() == old);
    if (outcome) {
      CHECK(rows.copy() == old_rows && untouched(logits, 0, logits.count));
      return outcome;
    }
    check_logits();
    if (fault == EXTREME_WEIGHTS || (f.cell == RNN_RELU && f.is_training)) return DONE;  // may overflow
    // Metrics before an optimizer step are per row; after a step with a NaN, all metrics are NaN
    const int64_t good = fault == NAN_IN_A_ROW && f.is_training ? (bad_row / f.batch + 1) * f.batch : f.sequences;
    for (int64_t row = 0; row < good && row < f.sequences; row++)
      for (int n = 0; n < 4; n++)
        if (fault != NAN_IN_A_ROW || row != bad_row) CHECK(isfinite(f.rows[4 * row + n]));
    if (fault != NAN_IN_A_ROW) CHECK(parameters.finite() && firsts.finite() && seconds.finite());
    return DONE;
  }
};

}  // namespace

int64_t try_training(Bytes& in, const Library& library) { return RandomProblem(in, library).run(); }
