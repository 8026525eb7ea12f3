"""Checks of a model preset: everything that training, saving and the Hub rely on."""

from seqhub.models.registry import build_config, list_presets
from seqhub.testing.check import Check


def presets_of(family: str) -> list[str]:
    """Return the presets of a family."""
    return [preset for preset in list_presets() if build_config(preset).model_type == f"seqhub_{family}"]


def checks(preset: str) -> list[Check]:
    """Return the checks of one preset."""
    return []
