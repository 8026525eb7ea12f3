"""Copying: repeat a string after its end, after a delay, or several times.

Source: Jelassi et al. (2024), "Repeat After Me: Transformers are Better than State Space Models at Copying"; Arjovsky,
Shah & Bengio (2016), "Unitary Evolution Recurrent Neural Networks"; Graves, Wayne & Danihelka (2014), "Neural Turing
Machines". Papers use three tasks of this name, whose configs are

    string  1 to 64 uniform letters, `|`, and a blank for each letter, whose class it is. Jelassi et al. put a symbol
            before the string and let the model read its own answer
    memory  the copying memory problem of Arjovsky et al. with T = 100: ten uniform letters from a to h, T - 1 blanks,
            `|`, and ten blanks, whose classes are the letters. In the paper the blanks before have classes too, and the
            loss of a model without memory is 10 ln 8 / (T + 20); here only the letters are scored
    repeat  the repeat copy task of Graves et al.: 1 to 10 uniform vectors of eight bits, as words, then `x` for each of
            1 to 10 repeats, then blanks for the repeated vectors and for `end`. In the paper the number of repeats is
            one real value; a symbol for each number would leave the numbers beyond training without meaning

    >>> TASK.solve("cab|___"), TASK.solve("ah___|__")
    ([None, None, None, None, 'c', 'a', 'b'], [None, None, None, None, None, None, 'a', 'h'])
    >>> TASK.solve("11000010 x x _ _ _")
    [None, None, None, '11000010', '11000010', 'end']

The chance level is 1/26 for `string` and 1/8 for `memory`. For `repeat` it is the share of `end`, 1/31.25. Few
sequences of `string` and `repeat` are short, so they occur in all splits.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from string import ascii_lowercase
from typing import Literal

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._chomsky import BLANK, SIZES, write_answers
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, IntRange, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

_COPY, _REPEAT, _END = "|", "x", "end"
_LETTERS = {"string": ascii_lowercase, "memory": ascii_lowercase[:8]}
_VECTORS = tuple(f"{number:08b}" for number in range(256))


@dataclass(frozen=True, kw_only=True)
class CopyingConfig(TaskConfig):
    """One of the three tasks, with its sizes."""

    kind: Literal["string", "memory", "repeat"]
    symbols: IntRange  # to copy
    delay: int = 0  # `memory`: number of blanks before the symbol that asks for the copy
    repeats: IntRange = (1, 1)  # `repeat`

    def __post_init__(self) -> None:
        self.require(
            all(1 <= low <= high for low, high in (self.symbols, self.repeats)) and self.delay >= 0,
            "1 <= low <= high in each range and delay >= 0",
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Characters, or words for `repeat`."""
        if self.kind == "repeat":
            return Vocabulary((*_VECTORS, _REPEAT, BLANK), " ", f"copying/{self.kind}")
        return Vocabulary(_LETTERS[self.kind] + _COPY + BLANK, "", f"copying/{self.kind}")


def _string(name: str, symbols: IntRange) -> CopyingConfig:
    return CopyingConfig(name=name, length=(2 * symbols[0] + 1, 2 * symbols[1] + 1), kind="string", symbols=symbols)


def _memory(name: str, delay: int) -> CopyingConfig:
    return CopyingConfig(name=name, length=(delay + 20, delay + 20), kind="memory", symbols=(10, 10), delay=delay - 1)


def _repeat(name: str, symbols: IntRange, repeats: IntRange) -> CopyingConfig:
    length = tuple(n + r + n * r + 1 for n, r in zip(symbols, repeats, strict=True))
    return CopyingConfig(name=name, length=(length[0], length[1]), kind="repeat", symbols=symbols, repeats=repeats)


class Copying(Task[CopyingConfig]):
    """Copies of strings."""

    name = "copying"
    version = 1
    title = "Copy a string: after its end, after a delay, or several times"
    symbols = (*ascii_lowercase, _COPY, BLANK, *_VECTORS)
    separator = " "
    description = (
        "A sequence is a string of uniform symbols and a request to copy it, then blanks, which have the classes of "
        "the copy; other steps have no class. In `string` the request is |, in `memory` it follows after many blanks, "
        "and in `repeat` it is an x for each copy, and the last blank has the class `end`."
    )
    limits = (
        "The data are synthetic. They test whether a model can store a whole string. Short sequences of `string` and "
        "`repeat` occur in all splits."
    )
    source = """@inproceedings{jelassi2024repeat,
  author    = {Jelassi, Samy and Brandfonbrener, David and Kakade, Sham M. and Malach, Eran},
  title     = {Repeat After Me: Transformers are Better than State Space Models at Copying},
  booktitle = {International Conference on Machine Learning},
  year      = {2024}
}
@inproceedings{arjovsky2016unitary,
  author    = {Arjovsky, Martin and Shah, Amar and Bengio, Yoshua},
  title     = {Unitary Evolution Recurrent Neural Networks},
  booktitle = {International Conference on Machine Learning},
  year      = {2016}
}
@article{graves2014neural,
  author  = {Graves, Alex and Wayne, Greg and Danihelka, Ivo},
  title   = {Neural {Turing} Machines},
  journal = {arXiv preprint arXiv:1410.5401},
  year    = {2014}
}"""
    configs = (_string("string", (1, 64)), _memory("memory", 100), _repeat("repeat", (1, 10), (1, 10)))

    def schema(self, config: CopyingConfig) -> TaskSchema:
        labels = (*_VECTORS, _END) if config.kind == "repeat" else tuple(_LETTERS[config.kind])
        return TaskSchema(vocabulary=config.vocabulary, target="step_class", labels=labels)

    def sizes(self, config: CopyingConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: CopyingConfig) -> bool:
        return config.symbols[0] < 3  # few sequences of the shortest length

    def test_distributions(self, config: CopyingConfig) -> Mapping[str, CopyingConfig]:
        tests = {
            "string": [_string(f"symbols{count}", (count, count)) for count in (128, 256, 512)],
            "memory": [_memory(f"delay{delay}", delay) for delay in (200, 300, 500)],
            "repeat": [_repeat("symbols11-20", (11, 20), (1, 10)), _repeat("repeats11-20", (1, 10), (11, 20))],
        }
        return {test.name: test for test in tests[config.kind]}

    def chance(self, config: CopyingConfig) -> float:
        if config.kind != "repeat":
            return 1 / len(_LETTERS[config.kind])
        return 1 / (1 + sum(config.symbols) / 2 * sum(config.repeats) / 2)

    def generate(self, config: CopyingConfig, random: BlockRandom) -> Batch:
        vocabulary, most = config.vocabulary, config.symbols[1]
        symbols = random.integers(*config.symbols)
        repeats = random.integers(*config.repeats)
        # symbol k of a vocabulary that has the symbols to copy first has class k
        strings = random.integers_2d(0, len(vocabulary) - 3, most)
        if config.kind == "repeat":
            blanks = symbols * repeats + 1
            answers = np.take_along_axis(strings, np.arange(most * config.repeats[1] + 1) % symbols[:, None], axis=1)
            answers[np.arange(random.size), blanks - 1] = len(_VECTORS)
            heads = np.full((random.size, most + config.repeats[1]), vocabulary.ids[_REPEAT], np.uint16)
            np.copyto(heads[:, :most], strings + 1, where=np.arange(most) < symbols[:, None], casting="unsafe")
            return write_answers(heads, symbols + repeats, answers, blanks, config.length[1], vocabulary.ids[BLANK])
        heads = np.full((random.size, most + config.delay + 1), ord(BLANK), np.uint8)
        np.copyto(heads[:, :most], strings + ord("a"), where=np.arange(most) < symbols[:, None], casting="unsafe")
        sizes = symbols + config.delay + 1
        heads[np.arange(random.size), sizes - 1] = ord(_COPY)
        return write_answers(heads, sizes, strings, symbols, config.length[1])

    def solve(self, sequence: str) -> list[str | None]:
        found = re.fullmatch(r"([a-z]+)(_*\|)(_+)", sequence)
        if found and len(found[1]) == len(found[3]):
            return [*(None for _ in found[1] + found[2]), *found[1]]
        found = re.fullmatch(r"([01]{8}(?: [01]{8})*)((?: x)+)((?: _)+)", sequence)
        if found:
            vectors, requests, blanks = (part.split() for part in found.groups())
            if len(blanks) == len(vectors) * len(requests) + 1:
                return [*(None for _ in vectors + requests), *vectors * len(requests), _END]
        raise InvalidInputError(
            f"{sequence[:40]!r} is not a valid copying sequence: must be letters, |, and a blank _ for each letter, "
            "with or without blanks before |; or words of eight bits, x for each copy, and a blank for each word of "
            "the copies and for their end"
        )


TASK = Copying()
