"""Measurements of a new model: its sizes, and the results of its tests."""

from typing import NotRequired, TypedDict


class Sizes(TypedDict):
    """Sizes of a model, for comparisons at equal size."""

    parameters: int
    embedding: int  # parameters of the embedding of symbols
    head: int  # parameters of the readout
    state: NotRequired[list[int]]  # numbers in the state of one sequence after 1 and after 256 steps


class Conformance(TypedDict, total=False):
    """Results of the tests of a model; a number is the largest difference, in standard deviations of the outputs."""

    causal: float
    right_padding: float
    left_padding: float
    batch: float
    cached: float | None  # None: the model carries no state
    chunked: float | None
    saved: float
    finite_gradients: bool
    passed: list[str]
    failed: list[str]
