"""Exact match of an encoder-decoder by the number of steps of the source, from its record."""

from collections.abc import Mapping
from typing import Any

from seqhub.metrics.intervals import wilson_interval
from seqhub.plots.exact_match_by_length import ExactMatch
from seqhub.records import RunRecord

LEAST_ROWS = 10  # sequences of a length; lengths with fewer are omitted


def exact_match_by_length(record: RunRecord) -> dict[int, ExactMatch]:
    """Return number of steps -> exact match, over the test split and the test distributions of a run.

    Empty if the target is not a sequence, or before the evaluation.
    """
    counts: dict[int, list[int]] = {}
    test: Mapping[str, Any] = record.evaluation.get("test", {})
    shortest, longest = test.get("length", (0, 0))
    for split, metrics in record.evaluation.items():
        if split == "test" or "@" in split:
            by_length: Mapping[str, Any] = metrics.get("by_length", {})
            for length, found in by_length.items():
                before = counts.setdefault(int(length), [0, 0])
                counts[int(length)] = [before[0] + found["correct"], before[1] + found["total"]]
    return {
        length: ExactMatch(right / total, *wilson_interval(right, total), shortest <= length <= longest)
        for length, (right, total) in sorted(counts.items())
        if total >= LEAST_ROWS
    }
