"""Shared parts of the tasks of MAD (mechanistic architecture design)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from seqhub.tasks.schema import TaskConfig

C = TypeVar("C", bound=TaskConfig)

MAD = """@article{poli2024mechanistic,
  author  = {Poli, Michael and others},
  title   = {Mechanistic Design and Scaling of Hybrid Architectures},
  journal = {arXiv preprint arXiv:2403.17844},
  year    = {2024}
}"""


def other_lengths(config: C, *lengths: int) -> Mapping[str, C]:
    """Return the config with each of these lengths, except its own."""
    return {
        f"len{steps}": replace(config, name=f"len{steps}", length=(steps, steps))
        for steps in lengths
        if (steps, steps) != config.length
    }
