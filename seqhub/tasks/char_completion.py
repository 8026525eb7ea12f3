"""Character completion of three phrases from an introductory tutorial on recurrent networks.

Source: Loye (2019), "A Beginner's Guide on Recurrent Neural Networks with PyTorch", FloydHub blog. Three phrases are
padded on the right with spaces to the length of the longest, 15 characters. A network reads the first 14 characters and
learns to predict the next one at each step. Then it completes phrases: `good` should become `good i am fine `.

    >>> TASK.complete("good")
    'good i am fine '

`tutorial` has the phrases of the source, so the spaces at their ends are symbols to be learnt like any other. The order
of the symbols is fixed here, space first and then the letters in alphabetical order. The source takes it from a set of
strings, with an order that changes from process to process, so its weights are not reproducible.

The task tests memorisation, so all three splits have the same three rows. Two of the phrases start with `h`, so one of
the 42 characters cannot be predicted: the best accuracy is 41/42. `char_completion/custom` takes any text.
"""

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.schema import Batch, TaskConfig, TaskSchema

PHRASES = ("hey how are you", "good i am fine ", "have a nice day")


class CharCompletion(Task[TaskConfig]):
    """Next characters of three phrases."""

    name = "char_completion"
    version = 1
    title = "Character completion of three phrases"
    symbols = " acdefghimnoruvwy"
    custom_format = "lines"
    description = (
        "A sequence is a phrase, padded with spaces on the right. The target at each character is the next character."
    )
    limits = (
        "Three phrases to be memorised: the task shows that a network can memorise, and nothing about language. "
        "Training, validation and test rows are the same."
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
        """Return the phrase that begins with `start`.

        Raises:
            InvalidInputError: No phrase or several phrases begin with it.
        """
        found = [phrase for phrase in PHRASES if start and phrase.startswith(start)]
        if len(found) != 1:
            raise InvalidInputError(f"start={start!r}: must be the beginning of one phrase, not {len(found)}")
        return found[0]

    def solve(self, sequence: str) -> None:
        """Check that the text is one of the phrases; the targets are its characters."""
        if sequence not in PHRASES:
            raise InvalidInputError(f"{sequence!r} is not a phrase of {self.name}: {', '.join(map(repr, PHRASES))}")


TASK = CharCompletion()
