// Fuzz test of recurrences, forward and backward: outcomes of invalid problems, and propagation of NaN.
#include "problems.h"

namespace {

constexpr int64_t GATES[] = {1, 1, 3, 4};
constexpr double MAX_WORK = 4e6;  // for one input: layers, directions, steps of all rows, weights of a gate

enum Fault { NONE, SPAN, ID, COLUMN, SAVED, SCRATCH, SIZE, CELL, NAN_IN_A_ROW, EXTREME_WEIGHTS, FAULTS };

struct RandomProblem {
  Bytes& in;
  const Library& library;
  const std::string set;
  Fault fault;
  int64_t sets, width, bad_row = -1;
  bool wide;
  Random random{};
  Buffer ids, columns, spans, saved, scratch, problem;
  Numbers values, h0, c0, states, h_n, c_n, d_states, d_h_n, d_c_n, d_inputs, d_h0, d_c0;
  std::vector<Numbers> parameters, gradients;
  Problem p{};  // the last member, since it ends with a flexible array

  RandomProblem(Bytes& bytes, const Library& lib) : in(bytes), library(lib), set(lib.sets[in.byte() % lib.sets.size()]) {
    p.cell = in.byte() % 4, p.is_double = wide = in.flag();
    p.layers = 1 + in.byte() % 3, p.directions = 1 + in.byte() % 2;
    p.batch = in.size(9, 300), p.steps = in.size(12, 2000), p.features = in.size(6, 70), p.hidden = in.size(9, 70);
    if (in.flag()) p.vocabulary = in.size(6, 70);
    const int64_t kind = in.byte();
    fault = kind < 96 ? NONE : Fault(kind % FAULTS);
    random.state = in.byte();
    const auto work = [&] {
      return double(p.layers * p.directions * p.batch * p.steps) * (p.hidden + 4) * (p.hidden + p.features);
    };
    while (work() > MAX_WORK) {
      int64_t& largest = p.batch > p.steps ? p.batch : p.steps > p.hidden + p.features ? p.steps
                      : p.hidden > p.features ? p.hidden : p.features;
      largest = (largest + 1) / 2;
    }
    sets = p.layers * p.directions, width = p.directions * p.hidden;
  }

  // Set random values for everything that forward reads; return the expected outcome.
  int64_t fill() {
    int64_t expected = DONE;
    const int64_t B = p.batch, T = p.steps, F = p.features;
    bad_row = fault == SPAN || fault == ID || fault == NAN_IN_A_ROW ? in.below(B) : -1;
    const bool spanned = fault == SPAN || in.byte() % 4;
    spans = Buffer(spanned, 2 * B, 8);
    ids = Buffer(p.vocabulary, B * T, 8), values = Numbers(!p.vocabulary, B * T * F, wide);
    for (int64_t row = 0; row < B; row++) {
      int64_t first = 0, length = T;
      if (spanned && !random_span(in, T, fault == SPAN && row == bad_row, first, length)) expected = INVALID_SPAN | row << 8;
      if (spanned) spans.at<int64_t>()[row] = first, spans.at<int64_t>()[B + row] = length;
      if ((expected & 0xFF) == INVALID_SPAN && row == bad_row) continue;
      // Padding remains -1 or NaN and must not be read
      for (int64_t at = row * T + first; at < row * T + first + length; at++) {
        if (p.vocabulary) ids.at<int64_t>()[at] = uint64_t(1e9 * (1 + random())) % p.vocabulary;
        for (int64_t f = 0; !p.vocabulary && f < F; f++) values.put(at * F + f, random());
      }
      const int64_t some = row * T + first + in.byte() % length;
      if (row == bad_row && p.vocabulary && fault == ID) {
        ids.at<int64_t>()[some] = in.one_of(-1, p.vocabulary, INT64_MAX, INT64_MIN, int64_t(1) << 32);
        expected = INVALID_ID | row << 8;
      }
      if (row == bad_row && !p.vocabulary && fault == NAN_IN_A_ROW) values.put(some * F + in.byte() % F, NAN);
    }
    columns = Buffer(p.vocabulary, p.vocabulary, 4);
    for (int64_t id = 0; id < p.vocabulary; id++) columns.at<int32_t>()[id] = int32_t(in.byte() % (F + 1)) - 1;
    if (fault == COLUMN && p.vocabulary) {
      columns.at<int32_t>()[in.below(p.vocabulary)] = int32_t(in.one_of(-2, F, INT32_MAX, INT32_MIN));
      expected = INVALID_PROBLEM;
    }
    const bool lstm = p.cell == LSTM;
    h0 = Numbers(in.flag(), sets * B * p.hidden, wide), c0 = Numbers(lstm && in.flag(), sets * B * p.hidden, wide);
    h0.draw(random, 1), c0.draw(random, 1);
    if (fault == NAN_IN_A_ROW && h0.count) h0.put(bad_row * p.hidden + in.byte() % p.hidden, NAN);
    for (int64_t each = 0; each < sets; each++) {
      const int64_t rows = GATES[p.cell] * p.hidden, before = each < p.directions ? F : width;
      for (int64_t many : {rows * before, rows * p.hidden, rows, rows}) {
        parameters.emplace_back(true, many, wide), gradients.emplace_back(true, many, wide);
        parameters.back().draw(random, 1.0 / (GATES[p.cell] * (p.hidden + before)));  // sums of rows and columns are at most 1
        if (fault == EXTREME_WEIGHTS) parameters.back().put(in.below(many), in.flag() ? NAN : in.flag() ? INFINITY : 1e30);
      }
    }
    states = Numbers(in.flag(), B * T * width, wide), h_n = Numbers(in.flag(), sets * B * p.hidden, wide);
    c_n = Numbers(lstm && in.flag(), sets * B * p.hidden, wide);
    return expected;
  }

  void set_pointers() {
    p.inputs = p.vocabulary ? ids.at() : values.at(), p.columns = columns.at<int32_t>(), p.spans = spans.at<int64_t>();
    p.h0 = h0.at(), p.c0 = c0.at(), p.states = states.at(), p.h_n = h_n.at(), p.c_n = c_n.at();
    p.d_states = d_states.at(), p.d_h_n = d_h_n.at(), p.d_c_n = d_c_n.at();
    p.d_inputs = d_inputs.at(), p.d_h0 = d_h0.at(), p.d_c0 = d_c0.at();
  }

  // Call the library with memory of exactly the size that it requests, or with an invalid size.
  int64_t call(bool back, bool saves, int64_t expected) {
    set_pointers();
    int64_t bytes = 0;
    if (saves) {
      bytes = library.call("saved_bytes", set, &p);
      CHECK(bytes > 0 && bytes % 64 == 0);
      if (!back) saved = Buffer(true, bytes, 1);
    }
    p.saved = saves ? saved.at() : nullptr, p.saved_bytes = bytes;
    p.scratch_bytes = library.call(back ? "backward_scratch" : "forward_scratch", set, &p);
    CHECK(p.scratch_bytes > 0 && p.scratch_bytes % 64 == 0);
    scratch = Buffer(true, p.scratch_bytes, 1), p.scratch = scratch.at();
    Problem given = p;
    if (fault == SAVED && saves) given.saved_bytes += in.one_of(-1, 1, -64, 64, -p.saved_bytes), expected = INVALID_PROBLEM;
    if (fault == SCRATCH) {
      given.scratch_bytes -= in.one_of(1, 64, p.scratch_bytes);
      if (in.flag()) given.scratch = nullptr;
      expected = INVALID_PROBLEM;
    }
    if (fault == CELL) given.cell = in.one_of(-1, 4, INT64_MAX), expected = INVALID_PROBLEM;
    if (fault == SIZE) {
      const int64_t wrong = in.one_of(0, -1, INT64_MIN, TOO_LARGE, INT64_MAX, TOO_LARGE - 1, 1 << 30);
      const bool disallowed = wrong < 1 || wrong >= TOO_LARGE;
      switch (in.byte() % 7) {
        case 0: given.layers = disallowed ? wrong : 0; break;
        case 1: given.directions = wrong; break;
        case 2: given.batch = wrong; break;
        case 3: given.steps = wrong; break;
        case 4: given.features = wrong; break;
        case 5: given.hidden = wrong; break;
        default: given.vocabulary = disallowed && wrong ? wrong : -1;
      }
      expected = INVALID_PROBLEM;
    }
    const size_t pointers = sizeof(void*) * 4 * sets;
    problem = Buffer(true, sizeof given + (back ? 2 : 1) * pointers, 1);
    memcpy(problem.at(), &given, sizeof given);
    void** places = problem.at<Problem>()->parameters;
    for (const Numbers& each : parameters) *places++ = each.at();
    for (const Numbers& each : gradients)
      if (back) *places++ = each.at();
    const int64_t outcome = library.call(back ? "backward" : "forward", set, problem.at());
    CHECK(outcome == expected);
    return outcome;
  }

  // Check that results (groups, B, size) are finite, except for the row with a NaN in its input.
  void check_finite(const Numbers& found, int64_t groups, int64_t size) const {
    for (int64_t group = 0; found.count && group < groups; group++)
      for (int64_t row = 0; row < p.batch; row++)
        if (fault != NAN_IN_A_ROW || row != bad_row) CHECK(found.finite((group * p.batch + row) * size, size));
  }

  static bool untouched(const Numbers& found) {
    for (char byte : found.copy())
      if (byte != char(0xFF)) return false;
    return true;
  }

  int64_t run() {
    const int64_t expected = fill(), per_row = p.steps * width, B = p.batch;
    const bool saves = in.byte() % 4;
    if (const int64_t outcome = call(false, saves, expected)) {
      CHECK(untouched(states) && untouched(h_n) && untouched(c_n));
      return outcome;
    }
    if (fault != EXTREME_WEIGHTS) {
      check_finite(states, 1, per_row);
      check_finite(h_n, sets, p.hidden);
      check_finite(c_n, sets, p.hidden);
    }
    if (!saves) return DONE;
    d_states = Numbers(in.flag(), B * per_row, wide), d_h_n = Numbers(in.flag(), sets * B * p.hidden, wide);
    d_c_n = Numbers(p.cell == LSTM && in.flag(), sets * B * p.hidden, wide);
    for (const Numbers* each : {&d_states, &d_h_n, &d_c_n}) each->draw(random, 1);
    d_inputs = Numbers(!p.vocabulary && in.flag(), B * p.steps * p.features, wide);
    d_h0 = Numbers(in.flag(), sets * B * p.hidden, wide), d_c0 = Numbers(p.cell == LSTM && in.flag(), sets * B * p.hidden, wide);
    call(true, true, DONE);
    if (fault == EXTREME_WEIGHTS) return DONE;
    check_finite(d_inputs, 1, p.steps * p.features);
    check_finite(d_h0, sets, p.hidden);
    check_finite(d_c0, sets, p.hidden);
    for (const Numbers& each : gradients) CHECK(fault == NAN_IN_A_ROW || each.finite());
    return DONE;
  }
};

}  // namespace

int64_t try_recurrence(Bytes& in, const Library& library) { return RandomProblem(in, library).run(); }
