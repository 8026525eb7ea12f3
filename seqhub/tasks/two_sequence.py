"""Two-sequence problem: classify the signal at the start of a sequence, before noise on the same channel.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), section 5.3, after Bengio,
Simard & Frasconi (1994), "Learning Long-Term Dependencies with Gradient Descent is Difficult". A step is one number.
The first N are +1 for the class `plus`, which the paper numbers 1, and -1 for `minus`, its class 2; the others, up to a
length of T to T + T/10, are normal noise of variance 0.2. Config names have the experiment of the paper, T and N:

    3a  the target is the class; `minus` is 0 and `plus` is 1, like the targets of the paper
    3b  like 3a, with the same noise added to the first N numbers
    3c  like 3a, but the target is a number, 0.2 for `plus` and 0.8 for `minus`. In training it has normal noise of
        variance 0.1, so the model has to learn the mean; the targets of `validation` and `test` are the means, as in
        the error measure of the paper

    >>> TASK.solve([[1.0], [1.0], [1.0], [-0.3]]), TASK.solve_batch([[[-1.0], [0.2]]], TASK.configs[-1])
    ('plus', [0.8])

A prediction for 3c is right within 0.1. The chance level of 3a and 3b is 1/2. In 3b with N = 1 the noise changes the
sign of 1.3 % of the signals, which cannot be detected. The constant baseline of 3c predicts 0.5, with a mean squared
error of 0.09. The paper reports that random weight guessing solves 3a and 3b faster than training does, but not 3c.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks._sources import LONG_SHORT_TERM_MEMORY
from seqhub.tasks.base import Task, longer
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, ConstantBaseline, StoppingRule, TaskConfig, TaskSchema

NOISE = 0.2**0.5  # standard deviation of the numbers after the signal, and of the signal in 3b
TARGET_NOISE = 0.1**0.5  # standard deviation of the targets of 3c
TARGETS = (0.8, 0.2)  # of 3c, for `minus` and `plus`
TOLERANCE = 0.1  # of 3c


@dataclass(frozen=True, kw_only=True)
class TwoSequenceConfig(TaskConfig):
    """Length of the signal, and its noise."""

    signal: int  # number of steps of the signal, N
    noisy_signal: bool = False
    noisy_target: bool = False

    def __post_init__(self) -> None:
        self.require(1 <= self.signal <= self.length[0] <= self.length[1], "1 <= signal <= shortest <= longest")
        self.require(not (self.noisy_signal and self.noisy_target), "noise on the signal or on the target, not on both")


class TwoSequence(Task[TwoSequenceConfig]):
    """Classification of a sign at the start, before noise."""

    name = "two_sequence"
    version = 1
    title = "Two-sequence problem: a sign at the start, before noise on the same channel"
    description = (
        "The first one or three numbers of a sequence are all +1 or all -1, in the configs 3b with normal noise of "
        "variance 0.2. The other numbers are normal noise of the same variance. The label is the sign. In the configs "
        "3c it is a number, 0.2 for + and 0.8 for -, with normal noise of variance 0.1 in the split train."
    )
    source = LONG_SHORT_TERM_MEMORY
    classes = ("minus", "plus")
    configs = (
        TwoSequenceConfig(name="3a-t100-n3", length=(100, 110), signal=3),
        TwoSequenceConfig(name="3a-t100-n1", length=(100, 110), signal=1),
        TwoSequenceConfig(name="3a-t1000-n3", length=(1000, 1100), signal=3),
        TwoSequenceConfig(name="3b-t100-n3", length=(100, 110), signal=3, noisy_signal=True),
        TwoSequenceConfig(name="3b-t100-n1", length=(100, 110), signal=1, noisy_signal=True),
        TwoSequenceConfig(name="3b-t1000-n1", length=(1000, 1100), signal=1, noisy_signal=True),
        TwoSequenceConfig(name="3c-t100-n3", length=(100, 110), signal=3, noisy_target=True),
        TwoSequenceConfig(name="3c-t100-n1", length=(100, 110), signal=1, noisy_target=True),
    )
    paper_sequences: ClassVar = {  # Tables 4 to 6, by the second stopping rule
        "3a-t100-n3": 39_850,
        "3a-t100-n1": 64_330,
        "3a-t1000-n3": 452_460,
        "3b-t100-n3": 43_250,
        "3b-t100-n1": 78_430,
        "3b-t1000-n1": 485_080,
        "3c-t100-n3": 269_650,
        "3c-t100-n1": 565_640,
    }
    paper_wrong: ClassVar = {
        "3a-t100-n3": 0.000195,
        "3a-t100-n1": 0.000117,
        "3a-t1000-n3": 0.000078,
        "3b-t100-n3": 0.00828,
        "3b-t100-n1": 0.01500,
        "3b-t1000-n1": 0.01207,
        "3c-t100-n3": 0.00558,
        "3c-t100-n1": 0.00441,
    }
    paper_setting = (
        "a network of 102 weights without forget gates was trained online, one sequence at a time, by gradient descent"
    )

    def schema(self, config: TwoSequenceConfig) -> TaskSchema:
        if config.noisy_target:
            return TaskSchema(step_shape=(1,), target="number", tolerance=TOLERANCE)
        return TaskSchema(step_shape=(1,), labels=self.classes)

    def sizes(self, config: TwoSequenceConfig) -> dict[str, int]:
        shortest = config.length[0]
        return {"train": 10**6 // shortest, "validation": 250_000 // shortest, "test": 250_000 // shortest}

    def stopping_rule(self, config: TwoSequenceConfig) -> StoppingRule:
        if config.noisy_target:
            return StoppingRule(rule="st2", section="5.3", tolerance=TOLERANCE, window=256, mean_error=0.015)
        wrong, mean_error = (5, 0.04) if config.noisy_signal else (0, 0.01)
        return StoppingRule(rule="st2", section="5.3", tolerance=0.2, window=256, mean_error=mean_error, wrong=wrong)

    def constant_baseline(self, config: TwoSequenceConfig) -> ConstantBaseline | None:
        low, high = sorted(TARGETS)
        return ConstantBaseline((low + high) / 2, ((high - low) / 2) ** 2, 0.0) if config.noisy_target else None

    def has_exact_targets(self, config: TwoSequenceConfig, split: str) -> bool:
        return not config.noisy_signal and not (config.noisy_target and split == "train")

    def test_distributions(self, config: TwoSequenceConfig) -> Mapping[str, TwoSequenceConfig]:
        return longer(config, 2)

    def generate(self, config: TwoSequenceConfig, random: BlockRandom) -> Batch:
        shortest, longest = config.length
        lengths = random.integers(shortest, longest)
        plus = random.integers(0, 1)
        numbers = random.normal(longest)
        numbers *= np.float32(NOISE)
        numbers[:, shortest:][np.arange(shortest, longest) >= lengths[:, None]] = 0
        signal = numbers[:, : config.signal]
        signal *= config.noisy_signal
        signal += (2 * plus - 1)[:, None].astype(np.float32)
        return Batch(numbers[:, :, None], lengths, _number(plus, random) if config.noisy_target else plus)

    def solve(self, sequence: Any, signal: int = 1) -> str:
        """Return the target as `Task.solve` does, from the first `signal` numbers; with noise, the likelier class."""
        numbers = np.asarray(sequence, dtype=np.float64)
        if numbers.ndim != 2 or numbers.shape[1] != 1 or len(numbers) < signal or not np.isfinite(numbers).all():
            raise InvalidInputError(
                f"numbers of shape {numbers.shape}: must be finite and (steps, 1) with {signal} or more steps"
            )
        return self.classes[int(numbers[:signal].sum() > 0)]

    def solve_batch(self, sequences: Sequence[Any], config: TwoSequenceConfig | None = None) -> list[Any]:
        solved = [self.solve(sequence, config.signal if config else 1) for sequence in sequences]
        if config is None or not config.noisy_target:
            return solved
        return [TARGETS[self.classes.index(name)] for name in solved]


def _number(plus: NDArray[np.int64], random: BlockRandom) -> NDArray[np.float32]:
    """Return the targets of 3c, (N,) float32, with noise in training only."""
    means = np.array(TARGETS, dtype=np.float32)[plus]
    return means + random.normal(1)[:, 0] * np.float32(TARGET_NOISE) if random.split == "train" else means


TASK = TwoSequence()
