"""Completing a text character by character: the three phrases of a first course on recurrent networks.

Source: Loye (2019), "A Beginner's Guide on Recurrent Neural Networks with PyTorch", FloydHub blog. Three phrases are
padded on the right with spaces to the longest, 15 characters; a network reads the first 14 and learns, at each, the one
that follows. Then it completes: from `good` on it is to write `good i am fine `.

    >>> TASK.complete("good")
    'good i am fine '

`tutorial` has the phrases as the course had them, so the spaces at their ends are symbols to be learnt like any other.
The order of the symbols is fixed here, space first and then the alphabet; the course took it from a set of strings,
whose order changes from process to process, and with it every weight.

It is a memory test, so all three splits hold the same three rows. Two of the phrases start with `h`, so one of the 42
characters cannot be known: 41/42 is the best accuracy there is. `char_completion/custom` takes any
text.
"""

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.schema import Batch, TaskConfig, TaskSchema

PHRASES = ("hey how are you", "good i am fine ", "have a nice day")


class CharCompletion(Task[TaskConfig]):
    """The next character of three phrases."""

    name = "char_completion"
    version = 1
    title = "Character completion of three phrases"
    symbols = " acdefghimnoruvwy"
    custom_format = "lines"
    description = (
        "A sequence is a phrase, padded with spaces on the right. What is to be learnt at each character is the next."
    )
    limits = (
        "Three phrases, to be known by heart: it shows that a network can, and nothing about language. Training, "
        "validation and test rows are the same."
    )
    source = """@misc{loye2019beginner,
  author       = {Loye, Gabriel},
  title        = {A Beginner's Guide on Recurrent Neural Networks with {PyTorch}},
  howpublished = {FloydHub blog},
  year         = {2019}
}"""
    configs = (TaskConfig(name="tutorial", length=(15, 15)),)

    def schema(self, config: TaskConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="next_symbol")

    def rows(self, config: TaskConfig, split: str) -> Batch:
        characters = np.array([list(phrase.encode()) for phrase in PHRASES], dtype=np.uint8)
        count, width = characters.shape
        return Batch(characters, np.full(count, width), np.empty((count, 0), np.int64))

    def splits_overlap(self, config: TaskConfig) -> bool:
        return True

    def complete(self, start: str) -> str:
        """The phrase that starts so.

        Raises:
            InvalidInputError: None does, or several do.
        """
        found = [phrase for phrase in PHRASES if start and phrase.startswith(start)]
        if len(found) != 1:
            raise InvalidInputError(f"{len(found)} phrases of {self.name} start with {start!r}; need one")
        return found[0]

    def solve(self, sequence: str) -> None:
        """Nothing beside the text itself, of which every character is the target of the one before."""
        if sequence not in PHRASES:
            raise InvalidInputError(f"{sequence!r} is no phrase of {self.name}: {', '.join(map(repr, PHRASES))}")


TASK = CharCompletion()
