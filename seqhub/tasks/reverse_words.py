"""Sentences in the reverse order of their words.

Source: Sutskever, Vinyals & Le (2014), "Sequence to Sequence Learning with Neural Networks". They reverse the source of
a translation, because a recurrent encoder-decoder then learns it more easily; here the reversal itself is the task.

    >>> TASK.solve("red moon over river")
    'river over moon red'

A sentence consists of uniform words of a vocabulary of 40. `short` has 2 to 10 words. The test distributions `len11-20`
and `len21-40` have longer sentences: a decoder without attention has to write them from one vector. The target has the
length of the text, but its first word is known only after the last word of the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID

_WORDS = """apple bird blue book bread bridge cloud cold dark deep dog dust fire fish flower gold grass green hand hill
lake leaf light long moon mountain night over rain red river road salt sand sea snow stone tree water wind"""
_TEST_LENGTHS = {"len11-20": (11, 20), "len21-40": (21, 40)}


@dataclass(frozen=True, kw_only=True)
class ReverseWordsConfig(TaskConfig):
    """Range of the number of words."""

    def __post_init__(self) -> None:
        self.require(1 <= self.length[0] <= self.length[1] <= 40, "1 <= shortest <= longest <= 40")


class ReverseWords(Task[ReverseWordsConfig]):
    """Sentences in the reverse order of their words."""

    name = "reverse_words"
    version = 1
    title = "Sentences in the reverse order of their words"
    symbols = tuple(_WORDS.split())
    separator = " "
    description = (
        "A text consists of uniform words of a small vocabulary. The target has the same words in reverse order."
    )
    limits = (
        "The data are synthetic. They test whether a model can store and write a whole sentence, and whether it can do "
        "so for sentences that are longer than those in training. Short sentences occur in all splits."
    )
    source = """@inproceedings{sutskever2014sequence,
  author    = {Sutskever, Ilya and Vinyals, Oriol and Le, Quoc V.},
  title     = {Sequence to Sequence Learning with Neural Networks},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {27},
  year      = {2014}
}"""
    configs = (ReverseWordsConfig(name="short", length=(2, 10)),)

    def schema(self, config: ReverseWordsConfig) -> TaskSchema:
        return TaskSchema(
            vocabulary=self.vocabulary, target="sequence", target_vocabulary=self.vocabulary, max_target=40
        )

    def splits_overlap(self, config: ReverseWordsConfig) -> bool:
        return config.length[0] <= 2  # 1,600 sentences of two words

    def test_distributions(self, config: ReverseWordsConfig) -> Mapping[str, ReverseWordsConfig]:
        return {name: replace(config, name=name, length=length) for name, length in _TEST_LENGTHS.items()}

    def generate(self, config: ReverseWordsConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        ids = random.integers_2d(1, len(self.symbols), config.length[1])
        steps = np.arange(config.length[1])
        padded = steps >= lengths[:, None]
        targets = np.take_along_axis(ids, np.maximum(lengths[:, None] - 1 - steps, 0), axis=1)
        ids[padded], targets[padded] = PAD_ID, NO_LABEL
        return Batch(ids.astype(np.uint16), lengths, targets)

    def solve(self, sequence: str) -> str:
        words = sequence.split(self.separator)
        for position, word in enumerate(words):
            if word not in self.symbols:
                raise InvalidInputError(f"word {word!r} at position {position}: must be a word of {self.name}")
        return self.separator.join(reversed(words))


TASK = ReverseWords()
