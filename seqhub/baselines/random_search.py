"""The trivial baseline of 1997: guess all weights of a small network at random until it happens to be right.

Source: Schmidhuber & Hochreiter (1996), "Guessing can outperform many long time lag algorithms", and the paragraph
"Guessing" of Hochreiter & Schmidhuber (1997), section 5.3. What is guessed sooner than learnt tests no learning.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqhub.baselines.random_weights import Networks, Numbers, num_outputs
from seqhub.data.collate import drawn_columns
from seqhub.errors import InvalidInputError
from seqhub.metrics.grammar import illegal_texts
from seqhub.tasks.schema import Batch, StoppingRule
from seqhub.tasks.splits import Split
from seqhub.tasks.stopping import stopping_rule_of

_AT_ONCE = 512  # guesses
_PAIRS = 2048  # of a guess and a row, looked at together: few rows first, and more of them the fewer guesses are left


def random_guessing(task: str, seed: int = 0, trials: int = 10_000) -> int | None:
    """Guesses until a network meets the rule that the source of a task has for a success, that guess included.

    The network never changes, so the rule looks at it once: at as many sequences as it asks for, of the split
    `validation`, where no target is noisy, or at all train and test texts where it is `legal`. Outputs are logistic and
    held against 1 and 0, or against the number; they count at the last step or, where each next symbol is to be said,
    at every one.

    Args:
        task: A config whose task says when it is solved (`Task.success`).
        seed: Of the weights, and of the rows where they are drawn.
        trials: Guesses after which to give up.

    Returns:
        None if no guess was right.

    Raises:
        InvalidInputError: The config has no such rule, or a target of another kind, or `trials` is below 1.

    >>> random_guessing("two_sequence/3c-t100-n1", trials=20) is None
    True
    """
    stopping_rule = stopping_rule_of(task)
    if stopping_rule is None:
        raise InvalidInputError(f"guessing weights for {task}, whose source has no rule for a success")
    if trials < 1:
        raise InvalidInputError(f"{trials} trials for {task}; need 1 or more")
    legal = stopping_rule.rule == "legal"
    splits = [Split(task, "train"), Split(task, "test")] if legal else [Split(task, "validation", seed)]
    schema = splits[0].schema
    if schema.target not in ("class", "number", "next_symbol"):
        raise InvalidInputError(f"guessing weights for {task}; need a class, a number or next symbols as target")
    rows = [
        (split, batch) for split in splits for batch in split.batches(0, split.size if legal else stopping_rule.window)
    ]
    random = np.random.Generator(np.random.Philox(seed % 2**64))
    for first in range(0, trials, _AT_ONCE):
        networks = Networks.draw(random, min(_AT_ONCE, trials - first), schema)
        right = _right(networks, stopping_rule, rows)
        if len(right):
            return first + int(right[0]) + 1
    return None


def _right(networks: Networks, stopping_rule: StoppingRule, rows: Sequence[tuple[Split, Batch]]) -> NDArray[np.intp]:
    """Numbers of the networks that meet a rule; those that are wrong too often are dropped as soon as they are."""
    left = np.arange(len(networks))
    wrong, error = np.zeros(len(left), np.int64), np.zeros(len(left))
    for split, batch in rows:
        start = 0
        while len(left) and start < len(batch):
            piece = batch[start : start + _PAIRS // len(left)]
            start += len(piece)
            if stopping_rule.rule == "legal":
                wrong += _illegal(networks[left], split, piece).sum(axis=0)
            else:
                worst, mean = _errors(networks[left], split, piece)
                wrong += (worst >= stopping_rule.tolerance).sum(axis=0)
                error += mean.sum(axis=0)
            kept = wrong <= stopping_rule.wrong
            left, wrong, error = left[kept], wrong[kept], error[kept]
    return left if stopping_rule.mean_error is None else left[error / stopping_rule.window < stopping_rule.mean_error]


def _errors(networks: Networks, split: Split, batch: Batch) -> tuple[Numbers, Numbers]:
    """Error of the worst output, and mean error of the outputs, (N, G) each."""
    rows, outputs = drawn_columns(batch, split.schema), np.eye(num_outputs(split.schema))
    if split.schema.target != "next_symbol":
        state = deque(networks.states(rows), maxlen=1).pop()
        targets = rows.labels[:, None] if len(outputs) == 1 else outputs[rows.labels]
        error = np.abs(_logistic(networks.logits(state)) - targets[:, :, None])
        return error.max(axis=1), error.mean(axis=1)
    worst, total = np.zeros((2, len(rows), len(networks)))
    for following, state in enumerate(networks.states(rows), start=1):
        going_on = np.flatnonzero(following < rows.lengths)
        if not len(going_on):
            break
        targets = outputs[rows.inputs[going_on, following].astype(np.intp) - 1]
        error = np.abs(_logistic(networks.logits(state[going_on])) - targets[:, :, None])
        worst[going_on] = np.maximum(worst[going_on], error.max(axis=1))
        total[going_on] += error.mean(axis=1)
    return worst, total / (rows.lengths - 1)[:, None]


def _illegal(networks: Networks, split: Split, batch: Batch) -> NDArray[np.bool_]:
    """Whether a text has a step with the wrong symbols above, (N, G)."""
    logits = np.stack([networks.logits(state) for state in networks.states(drawn_columns(batch, split.schema))])
    scores = np.pad(logits.transpose(3, 1, 0, 2), [(0, 0)] * 3 + [(1, 0)], constant_values=-np.inf)  # id 0 is no symbol
    return illegal_texts(split, batch, scores).T


def _logistic(logits: Numbers) -> Numbers:
    answers: Numbers = 0.5 + 0.5 * np.tanh(logits / 2)
    return answers
