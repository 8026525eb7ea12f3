"""Stopping rules of the sources of tasks."""

from dataclasses import replace

from seqhub.errors import InvalidConfigError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import StoppingRule


def stopping_rule_of(
    task: str | TaskRef, criterion_scale: int = 1, allowed_wrong: int | None = None
) -> StoppingRule | None:
    """Return the stopping rule of the source of a task; None if it has none, or if the user supplies the rows.

    Args:
        task: Task and config, as in `qrsu/hard`.
        criterion_scale: Factor of the number of sequences that the rule covers, at least 1.
        allowed_wrong: Number of those sequences that may be wrong, instead of the share that the source allows.

    Raises:
        InvalidConfigError: The rule does not take these values.
    """
    ref = TaskRef.parse(task)
    stopping_rule = None if ref.is_custom else ref.definition.stopping_rule(ref.config)
    if stopping_rule is None and (criterion_scale, allowed_wrong) != (1, None):
        raise InvalidConfigError(
            f"criterion_scale and allowed_wrong need a task whose source has a stopping rule, not {ref}"
        )
    if stopping_rule is not None and criterion_scale != 1:
        if stopping_rule.rule == "legal":
            raise InvalidConfigError(
                f"criterion_scale={criterion_scale}: must be 1 for {ref}, whose rule covers all texts"
            )
        stopping_rule = stopping_rule.scaled(criterion_scale)
    if stopping_rule is not None and allowed_wrong is not None:
        most = stopping_rule.window
        if stopping_rule.rule not in ("st2", "st3") or not 0 <= allowed_wrong <= most:
            allowed = (
                f"0 to {most:,}" if stopping_rule.rule in ("st2", "st3") else f"None for the rule {stopping_rule.rule}"
            )
            raise InvalidConfigError(f"allowed_wrong={allowed_wrong}: must be {allowed} ({ref})")
        stopping_rule = replace(stopping_rule, wrong=allowed_wrong)
    return stopping_rule
