"""What pictures of a model at work are made of. Arrays only: `evaluation.introspect` fills them in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Trace(NamedTuple):
    """One sequence as a model saw it. T steps, F values at a step, H units, C classes."""

    inputs: Any  # a text, or real values (T, F)
    logits: Floats  # what the model gave: (C,), (1,) for a number, (T, C) for a class a step, (T, ...) reconstructed
    states: dict[str, Floats]
    """"hidden" and, of an LSTM, "cell" of the last layer: (T, H) each; empty where a model has no state at each step"""
    readout: Floats | None
    """(T, C) probabilities or (T, 1) estimates at each step: of its own target, or as if the sequence ended there;
    None where the head reads no single step"""
    saliency: Floats | None = None
    """(T, F) gradient of the answer, the score of the likeliest class or the number, with respect to each value; None
    of texts and of other targets"""


Watch = Callable[[Any], Trace]
"""Runs the model of a run over one sequence: a text, or real values (T, F)."""
