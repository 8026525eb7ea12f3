"""Embedded Reber grammar: strings, their distribution, and possible next symbols."""

import re
from collections import Counter

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.metrics.grammar import count_illegal
from seqhub.tasks.embedded_reber import GRAMMAR, LONGEST, TASK, EmbeddedReberConfig
from seqhub.tasks.schema import Batch, StoppingRule
from seqhub.tasks.splits import SPLITS, Split
from seqhub.training.stopping import Legal
from tests.helpers.task_cases import assert_follows

INNER = r"B(?:TS*X(?:X(?P<loop>T*VPX)*(?:T*VV|T*VPS)|S)|P(?:T*VPX)*(?:T*VV|T*VPS))E"  # the same grammar
HS97, ENDLESS = TASK.configs


def test_strings_match_the_regular_expression_of_the_grammar():
    whole = re.compile(rf"B(?P<outer>[TP]){INNER}(?P=outer)E")
    texts = [text for split in SPLITS for text in Split("embedded_reber/hs97", split).blocks(0, 1).texts()]
    texts += Split("embedded_reber/endless").blocks(0, 8).texts()
    assert all(whole.fullmatch(text) for text in texts)
    assert min(map(len, texts)) == 9
    assert max(map(len, texts)) < LONGEST


def test_every_branch_is_taken_half_of_the_time():
    taken: Counter[tuple[int, str]] = Counter()
    for text in Split("embedded_reber/endless", seed=5).blocks(0, 8).texts():
        state = 0
        for symbol in text[2:-2]:
            taken[state, symbol] += 1
            state = dict(GRAMMAR[state])[symbol]
        taken[-1, text[1]] += 1
    for state, symbols in {**{s: [symbol for symbol, _ in b] for s, b in GRAMMAR.items()}, -1: "TP"}.items():
        if len(symbols) == 2:
            assert_follows(np.array([taken[state, symbol] for symbol in symbols]))


def test_fixed_strings_are_256_for_each_split_all_distinct():
    texts = [text for split in SPLITS for text in Split("embedded_reber/hs97", split).blocks(0, 1).texts()]
    assert len(texts) == len(set(texts)) == 3 * 256
    assert TASK.stopping_rule(HS97) == StoppingRule(rule="legal", section="5.1")
    assert TASK.stopping_rule(ENDLESS) is None


def test_legal_next_symbols_of_a_string():
    legal = [set(symbols) for symbols in TASK.legal_next_symbols("BPBPTVPXVVEPE")]
    assert legal == [set(symbols) for symbols in ("TP", "B", "TP", "TV", "TV", "PV", "XS", "TV", "PV", "E", "P", "E")]


def test_next_symbols_are_legal():
    for text in Split("embedded_reber/endless", "test").blocks(0, 1).texts():
        legal = TASK.legal_next_symbols(text)
        assert len(legal) == len(text) - 1
        assert all(symbol in symbols for symbol, symbols in zip(text[1:], legal, strict=True))


@pytest.mark.parametrize(
    "text", ["", "B", "BTE", "BTBTXSE", "BTBTXSEPE", "BTBTXSETX", "BXBTXSEXE", "BTBTXSSETE", "BTBEETE", "BTBTSTE"]
)
def test_strings_outside_the_grammar_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid embedded_reber sequence"):
        TASK.solve(text)


def test_other_lengths_are_errors():
    with pytest.raises(InvalidConfigError, match="config 'mine' needs length 9 to 80 and fixed_rows >= 0"):
        EmbeddedReberConfig(name="mine", length=(9, 40))


class PerfectModel:
    """Model with the highest scores for legal next symbols, except for one step of one text."""

    def __init__(self, wrong_text: str = "", wrong_score: float = 0.0) -> None:
        self.wrong_text, self.wrong_score = wrong_text, wrong_score

    def errors(self, rows: Batch) -> np.ndarray:
        raise AssertionError("the grammar check uses only scores")

    def scores(self, rows: Batch) -> np.ndarray:
        width = int(rows.lengths.max())
        scores = np.zeros((len(rows), width, 1 + len(TASK.symbols)))
        for row, text in enumerate(rows.texts()):
            for step, symbols in enumerate(TASK.legal_next_symbols(text)):
                scores[row, step, TASK.encode(symbols)] = np.linspace(0.5, 0.9, len(symbols))
            if text == self.wrong_text:
                scores[row, -2 + len(text) - 1, TASK.encode({"T": "P", "P": "T"}[text[1]])] = self.wrong_score
        return scores


def test_criterion_needs_every_step_of_every_string():
    train, test = (Split("embedded_reber/hs97", split) for split in ("train", "test"))
    text = test[200].inputs
    rule = Legal(train, test)
    models = [PerfectModel(text, score) for score in (0.95, 0.5, float("nan"))]
    for check, model in enumerate(models, start=1):
        rule.check(100 * check, model)
        assert rule.met_at is None
        assert (count_illegal(train, 256, model), count_illegal(test, 256, model), count_illegal(test, 200, model)) == (
            0,
            1,
            0,
        )
    copy = Legal(train, test)
    copy.load_state_dict(rule.state_dict())
    copy.check(400, PerfectModel(text, 0.49))
    copy.check(500, PerfectModel(text, 0.95))
    assert copy.met_at == 400
