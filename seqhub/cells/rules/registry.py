"""Registry of the rules of the translation into a graph, by the name of an ATen operation without `_` at the end."""

from collections.abc import Callable

from seqhub.cells.lowering import Rule

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Add the decorated function as the rule of operations."""

    def add(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return add
