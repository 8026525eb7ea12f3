"""Arrays of one forward pass for figures; `evaluation.introspect` fills them in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Trace(NamedTuple):
    """Inputs, states and outputs of a model on one sequence: T steps, F values at a step, H units, C classes."""

    inputs: Any  # a text, or real values (T, F)
    logits: Floats  # output: (C,), (1,) for a number, (T, C) for classes at each step, (T, ...) reconstruction
    states: dict[str, Floats]
    """"hidden" and, of an LSTM, "cell" of the last layer: (T, H) each; empty if a model has no state at each step"""
    readout: Floats | None
    """(T, C) probabilities or (T, 1) estimates at each step: of its own target, or as if the sequence ended there;
    None if the head does not read single steps"""
    saliency: Floats | None = None
    """(T, F) gradient of the output (the score of the most probable class, or the number) with respect to each value;
    None for texts and other targets"""
    generated: tuple[str, ...] = ()
    """symbols that an encoder-decoder generates greedily, with the end if it is generated"""
    attention: Floats | None = None
    """(S, T) attention of each of these S symbols to the steps of the source; None without attention"""


Watch = Callable[[Any], Trace]
"""Function that runs a model on one sequence: a text, or real values (T, F)."""
