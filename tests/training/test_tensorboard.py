"""TensorBoard scalars for every target, compared with the rows of the history."""

from pathlib import Path

import pytest

from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.recipes import recipe
from seqhub.training.train import train

pytest.importorskip("tensorboard")

CASES = {
    "class": "qrsu/easy", "number": "chirps/onset", "step_class": "echo/step3",
    "next_symbol": "char_completion/tutorial", "inputs": "ramps/scalar",
}  # fmt: skip


@pytest.mark.parametrize("target", CASES)
def test_scalars_equal_the_rows_of_the_history(tmp_path: Path, target: str) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    task_id = CASES[target]
    assert Split(task_id).schema.target == target
    short = {"max_sequences": 12, "batch_size": 3, "evaluate_every": 6, "evaluate_size": 3, "stop_at": "none"}
    settings = recipe(task_id) | short | {"trackers": ("tensorboard",), "record": ("gradients",)}
    train(TrainConfig(task=task_id, output_dir=tmp_path / "run", **settings))
    rows = read_history(tmp_path / "run")
    assert len(rows) == 2
    (events,) = {path.parent for path in (tmp_path / "run" / "seqhub").glob("events.out.tfevents*")}
    scalars_of_run = EventAccumulator(str(events)).Reload()
    assert set(scalars_of_run.Tags()["scalars"]) == set(rows[0]) - {"sequences"}
    for name in scalars_of_run.Tags()["scalars"]:
        scalars = scalars_of_run.Scalars(name)
        assert [scalar.step for scalar in scalars] == [row["sequences"] for row in rows]
        assert [scalar.value for scalar in scalars] == pytest.approx([row[name] for row in rows], rel=1e-4)
