"""Rules of the translation of a recorded step into a graph: one for each ATen operation."""

from seqhub.cells.rules import activations, movement, normalisation, pointwise, products, reductions  # noqa: F401
from seqhub.cells.rules.registry import RULES

__all__ = ["RULES"]
