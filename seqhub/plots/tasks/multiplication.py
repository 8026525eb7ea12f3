"""Figures of `multiplication`: those of `adding`."""

from seqhub.plots.tasks.adding import figures

__all__ = ["figures"]
