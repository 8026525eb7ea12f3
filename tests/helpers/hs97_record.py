"""A small record of a paper's rows, for tests of its card and figure."""

from typing import Any

from seqhub.records import PaperRecord, environment


def _run(sequences: list[int | None], wrong: list[int], **others: Any) -> dict[str, Any]:
    training = {
        "batch_size": 4,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "beta1": 0.9,
        "beta2": 0.999,
        "schedule": "constant",
        "evaluate_every": 200,
        "max_sequences": 52_560,
    }
    return {
        "seeds": list(range(len(sequences))),
        "sequences": sequences,
        "seen": [52_560 if count is None else count + 40 for count in sequences],
        "test_wrong": wrong,
        "test_rows": 2_560,
        "seconds": [1.5, 0.5, 1.0, 2.0][: len(sequences)],
        "failed": {},
        "parameters": 361,
        "model_config": {"hidden_size": 8, "initialization": "chrono", "chrono_max_steps": 110},
        "training": training,
        "native": True,
        "threads": 2,
        "environment": environment(),
        "command": "seqhub paper hs97",
    } | others


def paper_record() -> PaperRecord:
    """Return two rows: one with an unsolved and a failed seed, and one with a changed network."""
    stopping_rule = {"rule": "st2", "section": "5.3", "tolerance": 0.2, "window": 256, "mean_error": 0.01, "wrong": 0}
    streak = {"rule": "streak", "section": "5.2", "tolerance": 0.2, "window": 10_000, "mean_error": None, "wrong": 0}
    ours = {
        "paper": _run([1_000, None, 800, 1_400], [3, 1_280, 0, 7], failed={"4": "RuntimeError: out of | luck"}),
        "strict": _run([2_000, 3_000], [0, 0]),
    }
    online = {"paper": _run([41_200], [1], parameters=102)}
    few = {"paper": _run([0, 178], [0, 0])}
    written = {"paper": _run([None, None], [1_200, 1_300], parameters=364)}
    changed = {"paper": _run([4_000, 6_000], [0, 0], parameters=368)}
    signal = {"address": "two_sequence/3a-t100-n3", "success": stopping_rule, "weights": 102}
    signal |= {"sequences": 39_850, "wrong": 0.000195, "changes": None}
    lag = {"address": "long_lag/2c-q50-p50", "success": streak, "weights": 364}
    lag |= {"sequences": 30_000, "wrong": None, "changes": "softmax"}
    return PaperRecord(
        rows={
            "3a-t100-n3": signal | {"results": {"lstm": ours, "lstm_hs97": online}},
            "2c-q50-p50": lag | {"results": {"lstm": few, "lstm_hs97": changed, "lstm_hs97_as_written": written}},
        }
    )
