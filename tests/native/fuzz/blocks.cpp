// Fuzz test of memory cell blocks, forward and backward. The caller allocates the memory (seqhub/native/memory_blocks.py).
#include "problems.h"

namespace {

enum Fault { NONE, SPAN, ID, COLUMN, NAN_IN_A_ROW, EXTREME_WEIGHTS, FAULTS };

struct RandomProblem {
  Bytes& in;
  const Library& library;
  const std::string set;
  BlocksProblem p{};
  Fault fault;
  int64_t units, bad_row = -1;
  bool wide;
  Random random{};
  Buffer ids, columns, spans, scratch;
  Numbers values, h0, m0, weight_ih, weight_hh, bias, saved, states, h_n, m_n;
  Numbers d_states, d_h_n, d_m_n, d_inputs, d_m0, d_weight_ih, d_weight_hh, d_bias;

  RandomProblem(Bytes& bytes, const Library& lib) : in(bytes), library(lib), set(lib.sets[in.byte() % lib.sets.size()]) {
    p.is_double = wide = in.flag(), p.batch = in.size(5, 40), p.steps = in.size(12, 300), p.features = in.size(6, 40);
    p.block_size = in.size(3, 20), p.cells = p.block_size * in.size(5, 12), p.output_gates = in.flag();
    p.logistic_input = in.flag(), p.identity_output = in.flag();
    if (in.flag()) p.vocabulary = in.size(6, 70);
    const int64_t blocks = p.cells / p.block_size;
    units = p.cells + blocks * (1 + p.output_gates);
    if (in.flag()) p.biased = in.one_of(units, 1, blocks);
    const int64_t kind = in.byte();
    fault = kind < 96 ? NONE : Fault(kind % FAULTS);
    random.state = in.byte();
    while (double(p.batch * p.steps) * units * (units + p.features) > 2e6) {
      int64_t& largest = p.batch > p.steps ? p.batch : p.steps;
      if (largest == 1) break;
      largest = (largest + 1) / 2;
    }
  }

  int64_t fill() {
    int64_t expected = DONE;
    const int64_t B = p.batch, T = p.steps, F = p.features;
    bad_row = in.below(B);
    const bool spanned = fault == SPAN || in.byte() % 4;
    spans = Buffer(spanned, 2 * B, 8), ids = Buffer(p.vocabulary, B * T, 8), values = Numbers(!p.vocabulary, B * T * F, wide);
    for (int64_t row = 0; row < B; row++) {
      int64_t first = 0, length = T;
      const bool bad = row == bad_row;
      if (spanned && !random_span(in, T, fault == SPAN && bad, first, length)) expected = INVALID_SPAN | row << 8;
      if (spanned) spans.at<int64_t>()[row] = first, spans.at<int64_t>()[B + row] = length;
      if (bad && fault == SPAN) continue;
      for (int64_t at = row * T + first; at < row * T + first + length; at++) {
        if (p.vocabulary) ids.at<int64_t>()[at] = uint64_t(1e9 * (1 + random())) % p.vocabulary;
        for (int64_t f = 0; !p.vocabulary && f < F; f++) values.put(at * F + f, random());
      }
      const int64_t some = row * T + first + in.byte() % length;
      if (bad && p.vocabulary && fault == ID) {
        ids.at<int64_t>()[some] = in.one_of(-1, p.vocabulary, INT64_MAX, INT64_MIN);
        expected = INVALID_ID | row << 8;
      }
      if (bad && !p.vocabulary && fault == NAN_IN_A_ROW) values.put(some * F, NAN);
    }
    columns = Buffer(p.vocabulary, p.vocabulary, 4);
    for (int64_t id = 0; id < p.vocabulary; id++) columns.at<int32_t>()[id] = int32_t(in.byte() % (F + 1)) - 1;
    if (fault == COLUMN && p.vocabulary) {
      columns.at<int32_t>()[in.below(p.vocabulary)] = int32_t(in.one_of(-2, F, INT32_MAX, INT32_MIN));
      expected = INVALID_PROBLEM;
    }
    const bool starts = in.flag();
    h0 = Numbers(starts, B * p.cells, wide), m0 = Numbers(starts, B * units, wide);
    weight_ih = Numbers(true, units * F, wide), weight_hh = Numbers(in.flag(), units * units, wide);
    bias = Numbers(p.biased, p.biased, wide);
    for (const Numbers* each : {&h0, &m0, &weight_ih, &weight_hh, &bias}) each->draw(random, 1);
    if (fault == EXTREME_WEIGHTS) weight_ih.put(in.below(units * F), in.flag() ? NAN : in.flag() ? INFINITY : 1e30);
    const int64_t padded = (p.cells + BLOCK_PADDING - 1) / BLOCK_PADDING * BLOCK_PADDING;
    saved = Numbers(true, B * (T + 1) * BLOCK_KEPT * padded, wide);
    const int64_t sums = (2 + p.output_gates) * padded * (F + units + 1);
    scratch = Buffer(true, (2 * sums + 8 * padded) * (wide ? 8 : 4) + 8 * units, 1);
    states = Numbers(in.flag(), B * T * p.cells, wide), h_n = Numbers(in.flag(), B * p.cells, wide);
    m_n = Numbers(in.flag(), B * units, wide);
    return expected;
  }

  void set_pointers() {
    p.inputs = p.vocabulary ? ids.at() : values.at(), p.columns = columns.at<int32_t>(), p.spans = spans.at<int64_t>();
    p.h0 = h0.at(), p.m0 = m0.at(), p.weight_ih = weight_ih.at(), p.weight_hh = weight_hh.at(), p.bias = bias.at();
    p.saved = saved.at(), p.scratch = scratch.at(), p.states = states.at(), p.h_n = h_n.at(), p.m_n = m_n.at();
    p.d_states = d_states.at(), p.d_h_n = d_h_n.at(), p.d_m_n = d_m_n.at(), p.d_inputs = d_inputs.at(), p.d_m0 = d_m0.at();
    p.d_weight_ih = d_weight_ih.at(), p.d_weight_hh = d_weight_hh.at(), p.d_bias = d_bias.at();
  }

  void check_finite(const Numbers& found, int64_t size) const {
    for (int64_t row = 0; row < p.batch; row++)
      if (fault != NAN_IN_A_ROW || row != bad_row) CHECK(found.finite(row * size, size));
  }

  int64_t run() {
    const int64_t expected = fill(), B = p.batch;
    set_pointers();
    const int64_t outcome = library.call("blocks_forward", set, &p);
    CHECK(outcome == expected);
    if (outcome) return outcome;
    if (fault != EXTREME_WEIGHTS) check_finite(states, p.steps * p.cells), check_finite(h_n, p.cells), check_finite(m_n, units);
    d_states = Numbers(in.flag(), B * p.steps * p.cells, wide), d_h_n = Numbers(in.flag(), B * p.cells, wide);
    d_m_n = Numbers(in.flag(), B * units, wide);
    for (const Numbers* each : {&d_states, &d_h_n, &d_m_n}) each->draw(random, 1);
    d_inputs = Numbers(!p.vocabulary && in.flag(), B * p.steps * p.features, wide);
    d_m0 = Numbers(m0.count && in.flag(), B * units, wide), d_weight_ih = Numbers(true, weight_ih.count, wide);
    d_weight_hh = Numbers(weight_hh.count, weight_hh.count, wide), d_bias = Numbers(bias.count, bias.count, wide);
    memset(scratch.at(), 0xFF, scratch.bytes);
    set_pointers();
    CHECK(library.call("blocks_backward", set, &p) == DONE);
    if (fault == EXTREME_WEIGHTS) return DONE;
    check_finite(d_inputs, p.steps * p.features), check_finite(d_m0, units);
    if (fault != NAN_IN_A_ROW) CHECK(d_weight_ih.finite() && d_weight_hh.finite() && d_bias.finite());
    return DONE;
  }
};

}  // namespace

int64_t try_blocks(Bytes& in, const Library& library) { return RandomProblem(in, library).run(); }
