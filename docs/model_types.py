"""Conformance of the model types of transformers: `python -m docs.model_types` measures all of them (a minute or two).

The page docs/model_types.md is rendered from the results.
"""

import json
import time
from pathlib import Path
from typing import Any

from seqhub.cli.errors import script
from seqhub.io import write_atomically
from seqhub.models.transformers_types import TYPES
from seqhub.records import environment

NUMBERS = Path(__file__).parent / "model_types.json"
STATES = ("cached", "chunked")
TESTS = ("causal", "right_padding", "left_padding", "batch", *STATES, "saved", "finite_gradients")


def reason(name: str, test: str) -> str:
    """Return why a type fails a test of the carried state; empty if no reason is known.

    >>> reason("mamba", "chunked")
    'a state is dropped before segments of more than one step'
    >>> reason("mamba2", "chunked")
    ''
    """
    kind = TYPES[name]
    if test in STATES and kind.state_output is None:
        return "the output of the model has no state"
    if test == "chunked" and kind.max_segment == 1:
        return "a state is dropped before segments of more than one step"
    if test == "cached" and kind.min_segment > 1:
        return "single steps of several sequences have the wrong shape"
    return ""


def measure() -> None:
    """Test every type at its default size, and write the results."""
    import torch

    from seqhub.models.conformance import check_conformance
    from seqhub.models.registry import build_config, build_model
    from seqhub.models.sizing import measure_sizes

    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for name in sorted(TYPES):
        torch.manual_seed(0)
        model = build_model(build_config(f"transformers:{name}", vocab_size=9, num_labels=4), "token")
        started = time.perf_counter()
        found = check_conformance(model)
        seconds = round(time.perf_counter() - started, 2)
        results[name] = {"conformance": found, "sizes": measure_sizes(model), "seconds": seconds}
    numbers = {"environment": environment(), "types": results}
    write_atomically(NUMBERS, json.dumps(numbers, indent=1) + "\n")


def table() -> str:
    """Return the table of all types and the list of exceptions, from the results."""
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    heads = " | ".join(test.replace("_", " ") for test in TESTS)
    lines = [
        f"| type | kind | parameters | state after 1 and 256 steps | {heads} | seconds |",
        "| --- | --- | ---: | ---: |" + " --- |" * len(TESTS) + " ---: |",
    ]
    exceptions = []
    for name, found in numbers["types"].items():
        tested, sizes = found["conformance"], found["sizes"]
        state = " and ".join(f"{value:,}" for value in sizes.get("state", ())) or "–"
        cells = []
        for test in TESTS:
            cells.append("yes" if test in tested["passed"] else "**no**" if test in tested["failed"] else "–")
            if test not in tested["passed"] and (why := reason(name, test)):
                value = tested[test]
                size = "" if value is None else f" (difference {value:g} standard deviations)"
                exceptions.append(f"- `{name}`, {test.replace('_', ' ')}: {why}{size}.")
        lines.append(
            f"| `{name}` | {TYPES[name].kind} | {sizes['parameters']:,} | {state} | {' | '.join(cells)} "
            f"| {found['seconds']:g} |"
        )
    versions = numbers["environment"]["versions"]
    lines += ["", *exceptions, "", f"Measured with transformers {versions['transformers']}, on one thread."]
    return "\n".join(lines)


if __name__ == "__main__":
    script(measure)
