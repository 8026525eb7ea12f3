"""Repeated associative recall (MQRAR): the N-th last value of a key that is assigned several times.

Source: Yang et al. (2025), "PaTH Attention: Position Encoding via Accumulating Householder Transformations",
multi-query repeated associative recall with N-back. As in `mqar`, a sequence starts with pairs of a key and a value,
and each key is queried once after them; but keys are assigned repeatedly, and the class of a query is the N-th last
value of its key. With N = 1, in `last`, this is the last value:

    >>> TASK.solve("k1 v5 k2 v0 k1 v3 k2 v7 k2 _ k1 _")
    [None, None, None, None, None, None, None, None, 'v7', None, 'v3', None]
    >>> TASK.solve("k1 v5 k2 v0 k1 v3 k2 v7 k2 _ k1 _", back=2)
    [None, None, None, None, None, None, None, None, 'v0', None, 'v5', None]

The paper has 32 pairs in 768 steps and N = 1 to 4, but no public code. Here eight keys are assigned four times each, in
random order, so every query has an answer for each N; values are independent. Training sequences have 256 steps; those
of 512 and 768 steps are test distributions. The places of the queries are sampled as in `mqar`, other steps are blank.
The vocabulary has a blank, 63 keys and 64 values, so the chance level is 1/64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._mad import other_lengths
from seqhub.tasks._sampling import query_offsets, sample_distinct
from seqhub.tasks.base import Task
from seqhub.tasks.mqar import BLANK, values, words
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema

_VOCAB_SIZE = 128


@dataclass(frozen=True, kw_only=True)
class MqarRepeatedConfig(TaskConfig):
    """Sequences of one length."""

    back: int  # 1: the last value of a key, 2: the one before it, ...
    keys: int = 8  # different keys of a sequence
    times: int = 4  # assignments of each key

    def __post_init__(self) -> None:
        steps = self.length[0]
        self.require(
            steps == self.length[1]
            and steps % 2 == 0
            and 1 <= self.back <= self.times
            and 1 <= self.keys < _VOCAB_SIZE // 2
            and steps >= 2 * self.keys * (self.times + 1),
            f"one even length of at least 2 * keys * (times + 1), back <= times and keys below {_VOCAB_SIZE // 2}",
        )


class MqarRepeated(Task[MqarRepeatedConfig]):
    """Recall of the values of keys that are assigned repeatedly."""

    name = "mqar_repeated"
    version = 1
    title = "Multi-query recall with repeated assignments: the N-th last value of each key"
    symbols = words(_VOCAB_SIZE)
    separator = " "
    labels = values(_VOCAB_SIZE)
    description = (
        "A sequence starts with 32 pairs of a key and a value, four of each of eight keys; later each key is queried "
        "once. The class at the step of a query is the N-th last value of its key: the last one in the config last. "
        "Other steps have no class and are ignored."
    )
    limits = "The data are synthetic. They test recall of values that are overwritten within a sequence."
    source = """@article{yang2025path,
  author  = {Yang, Songlin and others},
  title   = {{PaTH} Attention: Position Encoding via Accumulating Householder Transformations},
  journal = {arXiv preprint arXiv:2505.16381},
  year    = {2025}
}"""
    configs = (
        MqarRepeatedConfig(name="last", length=(256, 256), back=1),
        *(MqarRepeatedConfig(name=f"back{back}", length=(256, 256), back=back) for back in (2, 3, 4)),
    )

    def schema(self, config: MqarRepeatedConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: MqarRepeatedConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: MqarRepeatedConfig) -> Mapping[str, MqarRepeatedConfig]:
        return other_lengths(config, 512, 768)

    def generate(self, config: MqarRepeatedConfig, random: BlockRandom) -> Batch:
        keys, times, steps, half = config.keys, config.times, config.length[0], _VOCAB_SIZE // 2
        pairs, rows = keys * times, np.arange(random.size)[:, None]
        names = 1 + sample_distinct(random, half - 1, keys)
        order = sample_distinct(random, pairs, pairs)
        owners = order % keys  # index of the key of each pair
        assigned = random.integers_2d(0, half - 1, pairs)
        # pairs sorted by key, then by place: (N, keys, times)
        grouped = np.argsort(owners, axis=1, kind="stable").reshape(-1, keys, times)
        answers = assigned[rows, grouped[:, :, -config.back]]
        space = steps // 2 - pairs
        queries = 2 * (pairs + query_offsets(random, np.full(random.size, space), space)[:, :keys])
        tokens = np.zeros((random.size, steps), np.int64)
        tokens[:, 0 : 2 * pairs : 2] = names[rows, owners]
        tokens[:, 1 : 2 * pairs : 2] = half + assigned
        tokens[rows, queries] = names
        labels = np.full(tokens.shape, NO_LABEL, np.int64)
        labels[rows, queries] = answers
        return Batch((tokens + 1).astype(np.uint16), np.full(random.size, steps), labels)

    def solve(self, sequence: str, back: int = 1) -> list[str | None]:
        symbols = sequence.split(" ")
        values_of: dict[str, list[str]] = {}
        targets = list[str | None]()
        for symbol, after in zip(symbols, [*symbols[1:], BLANK], strict=True):
            is_key = symbol[:1] == "k"
            if is_key and after[:1] == "v":
                values_of.setdefault(symbol, []).append(after)
            queried = is_key and after[:1] != "v"
            if symbol not in self.vocabulary.ids or (queried and len(values_of.get(symbol, [])) < back):
                form = f"pairs of a key and a value, then keys with at least {back} values, among blanks"
                raise InvalidInputError(f"{sequence[:60]!r} is not a valid mqar_repeated sequence: must be {form}")
            targets.append(values_of[symbol][-back] if queried else None)
        return targets

    def solve_batch(self, sequences: Sequence[Any], config: MqarRepeatedConfig | None = None) -> list[Any]:
        back = 1 if config is None else config.back
        return [self.solve(sequence, back) for sequence in sequences]


TASK = MqarRepeated()
