"""Random search baseline: draw all weights of a small network at random until it solves the task.

Source: Schmidhuber & Hochreiter (1996), "Guessing can outperform many long time lag algorithms", and the paragraph
"Guessing" of Hochreiter & Schmidhuber (1997), section 5.3. A task that random search solves sooner than training is not
a test of a learning algorithm.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqhub.baselines.random_weights import Networks, Numbers, num_outputs
from seqhub.data.collate import collate_batch
from seqhub.errors import InvalidInputError
from seqhub.metrics.grammar import illegal_texts
from seqhub.tasks.schema import Batch, StoppingRule
from seqhub.tasks.splits import Split
from seqhub.tasks.stopping import stopping_rule_of

_NETWORKS_PER_BATCH = 512
# (network, row) pairs evaluated together: few rows at first, and more of them as networks are eliminated
_PAIRS_PER_STEP = 2048


def random_guessing(task: str, seed: int = 0, trials: int = 10_000) -> int | None:
    """Return the number of guesses until a network meets the stopping rule of a task's source, including that guess.

    The weights of a network do not change, so the rule is evaluated once: on as many sequences as its window has, from
    the split `validation`, whose targets have no noise, or on all train and test texts for the rule `legal`. Outputs
    are logistic and are compared with 1 and 0, or with the number. They count at the last step or, for next symbols, at
    every step.

    Args:
        task: Task id of a config with a stopping rule (`Task.stopping_rule`).
        seed: Seed of the weights, and of generated rows.
        trials: Largest number of guesses.

    Returns:
        The number of guesses, from 1; None if no network met the rule.

    Raises:
        InvalidInputError: The config has no stopping rule, the target is not supported, or `trials` is below 1.

    >>> random_guessing("two_sequence/3c-t100-n1", trials=20) is None
    True
    """
    stopping_rule = stopping_rule_of(task)
    if stopping_rule is None:
        raise InvalidInputError(f"{task} has no stopping rule; random guessing needs a task whose source has one")
    if trials < 1:
        raise InvalidInputError(f"trials={trials}: must be at least 1 ({task})")
    legal = stopping_rule.rule == "legal"
    splits = [Split(task, "train"), Split(task, "test")] if legal else [Split(task, "validation", seed)]
    schema = splits[0].schema
    if schema.target not in ("class", "number", "next_symbol"):
        raise InvalidInputError(f"target {schema.target} of {task}; random guessing needs class, number or next_symbol")
    rows = [
        (split, batch) for split in splits for batch in split.batches(0, split.size if legal else stopping_rule.window)
    ]
    random = np.random.Generator(np.random.Philox(seed % 2**64))
    for first in range(0, trials, _NETWORKS_PER_BATCH):
        networks = Networks.sample(random, min(_NETWORKS_PER_BATCH, trials - first), schema)
        solved = _solved(networks, stopping_rule, rows)
        if len(solved):
            return first + int(solved[0]) + 1
    return None


def _solved(networks: Networks, stopping_rule: StoppingRule, rows: Sequence[tuple[Split, Batch]]) -> NDArray[np.intp]:
    """Return the indices of the networks that meet a rule; a network is dropped once it has too many errors."""
    left = np.arange(len(networks))
    wrong, error = np.zeros(len(left), np.int64), np.zeros(len(left))
    for split, batch in rows:
        start = 0
        while len(left) and start < len(batch):
            piece = batch[start : start + _PAIRS_PER_STEP // len(left)]
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
    """Return the largest error and the mean error of the outputs, (N, G) each."""
    rows, outputs = collate_batch(batch, split.schema), np.eye(num_outputs(split.schema))
    if split.schema.target != "next_symbol":
        state = deque(networks.states(rows), maxlen=1).pop()
        targets = rows.labels[:, None] if len(outputs) == 1 else outputs[rows.labels]
        error = np.abs(_logistic(networks.logits(state)) - targets[:, :, None])
        return error.max(axis=1), error.mean(axis=1)
    worst, total = np.zeros((2, len(rows), len(networks)))
    for following, state in enumerate(networks.states(rows), start=1):
        active = np.flatnonzero(following < rows.lengths)
        if not len(active):
            break
        targets = outputs[rows.inputs[active, following].astype(np.intp) - 1]
        error = np.abs(_logistic(networks.logits(state[active])) - targets[:, :, None])
        worst[active] = np.maximum(worst[active], error.max(axis=1))
        total[active] += error.mean(axis=1)
    return worst, total / (rows.lengths - 1)[:, None]


def _illegal(networks: Networks, split: Split, batch: Batch) -> NDArray[np.bool_]:
    """Return a mask (N, G) of texts with a step at which a forbidden symbol scores as high as a legal one."""
    logits = np.stack([networks.logits(state) for state in networks.states(collate_batch(batch, split.schema))])
    scores = np.pad(logits.transpose(3, 1, 0, 2), [(0, 0)] * 3 + [(1, 0)], constant_values=-np.inf)  # id 0 is padding
    return illegal_texts(batch, split.task.legal_steps(split.config, batch, None), scores).T


def _logistic(logits: Numbers) -> Numbers:
    outputs: Numbers = 0.5 + 0.5 * np.tanh(logits / 2)
    return outputs
