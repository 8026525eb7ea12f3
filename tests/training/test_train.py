"""Runs in this process: files, restored state of the caller, and invalid settings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seqhub.errors import InvalidConfigError, OutputExistsError, UnknownNameError
from seqhub.records import RunRecord
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.recipes import RECIPES, recipe
from seqhub.training.runtime import own_accelerate_state
from seqhub.training.state import learning_rate
from seqhub.training.train import train
from tests.helpers.training_processes import run

SHORT = {"max_sequences": 640, "stop_at": "none", "evaluate_size": 1024}


def config(folder: Path, task_id: str = "qrsu/easy", **settings: object) -> TrainConfig:
    return TrainConfig(**{"task": task_id, "output_dir": folder, **recipe(task_id), **settings})


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "solved"
    train(config(folder, stop_at="both"))
    return folder


def test_the_recipe_solves_easy_by_both_criteria(solved: Path) -> None:
    record = RunRecord.load(solved)
    assert 0 < record.criteria["accuracy>=0.999"] <= record.criteria["st3"] <= record.sequences_seen
    assert record.criteria["st3"] >= 2000
    assert record.criteria["paper"] == record.criteria["st3"]  # the same rule for the task of section 5.6
    assert record.num_parameters == 612
    assert record.optimizer_steps * 16 == record.sequences_seen
    assert record.data["rows"] == record.sequences_seen


def test_the_folder_has_the_files_for_a_hub_and_no_pickle(solved: Path) -> None:
    names = {path.name for path in solved.iterdir()}
    assert names == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "run.json", "history.jsonl",
        "configuration_recurrent.py", "modeling_base.py", "modeling_recurrent.py",
        "scan.py", "tracing.py",
    }  # fmt: skip


def test_history_has_a_row_for_each_validation(solved: Path) -> None:
    rows = read_history(solved)
    assert [row["sequences"] for row in rows] == [320 * (i + 1) for i in range(len(rows))]
    assert all(0 <= row["accuracy"] <= 1 and row["loss"] > 0 for row in rows)
    assert rows[-1]["sequences"] == RunRecord.load(solved).sequences_seen


def test_weights_are_determined_by_the_seed(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(config(tmp_path / name, seed=seed, **SHORT))
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_the_state_of_the_caller_is_restored(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    train(config(tmp_path / "run", threads=2, **SHORT))
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    assert torch.get_num_threads() == before[2]


@pytest.mark.parametrize("model", ["gru", "rnn_tanh", "rnn_relu"])
def test_other_cells_train(tmp_path: Path, model: str) -> None:
    record = train(TrainConfig(task="qrsu/easy", output_dir=tmp_path / "run", model=model, **SHORT))
    assert record is not None
    assert record.model == model
    assert np.isfinite([row["loss"] for row in read_history(tmp_path / "run")]).all()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_optimizers_and_schedules_change_every_weight(tmp_path: Path, optimizer: str, schedule: str) -> None:
    settings = {"max_sequences": 64, "evaluate_every": 64, "evaluate_size": 64, "stop_at": "none"}
    moved = config(tmp_path / "moved", optimizer=optimizer, schedule=schedule, warmup=16, **settings)
    still = config(tmp_path / "still", **settings | {"learning_rate": 1e-30})
    train(moved)
    train(still)
    after, before = (load_file(tmp_path / name / "model.safetensors") for name in ("moved", "still"))
    assert all((after[name] != before[name]).any() and after[name].isfinite().all() for name in after)


def test_schedule_is_a_function_of_sequences_only(tmp_path: Path) -> None:
    cosine = config(tmp_path, schedule="cosine", learning_rate=1.0, warmup=100)
    rates = [learning_rate(cosine, n, 1100, 0) for n in range(0, 1101, 10)]
    assert rates[0] == 0
    assert max(rates) == rates[10] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_step_decay_equals_that_of_torch_by_batch_and_by_epoch(tmp_path: Path) -> None:
    """`StepLR` has a step after every batch, or after every pass over 100 rows in batches of 16."""
    settings = {"schedule": "step", "data": "splits", "learning_rate": 0.5, "decay": 0.5, "batch_size": 16}
    per_epoch, per_batch = config(tmp_path, **settings), config(tmp_path, **settings, decay_every=3 * 16)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    by_batch = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
    for batch in range(12):
        assert learning_rate(per_batch, batch * 16, 10_000, 100) == pytest.approx(by_batch.get_last_lr()[0])
        optimizer.step()
        by_batch.step()
    rates = [
        learning_rate(per_epoch, epoch * 100 + batch * 16, 10_000, 100) for epoch in range(3) for batch in range(7)
    ]
    assert rates == [0.5] * 7 + [0.25] * 7 + [0.125] * 7


def test_bf16_trains(tmp_path: Path) -> None:
    record = train(config(tmp_path / "run", precision="bf16", **SHORT))
    assert record is not None
    assert all(tensor.dtype == torch.float32 for tensor in load_file(tmp_path / "run" / "model.safetensors").values())


def test_a_process_that_already_trains_with_other_settings_is_an_error(tmp_path: Path) -> None:
    from accelerate import Accelerator

    with own_accelerate_state():
        Accelerator(cpu=True)
        with pytest.raises(InvalidConfigError, match=r"^precision=bf16, cpu=False: this process already .*\)$"):
            train(config(tmp_path / "run", precision="bf16", **SHORT))
    assert not (tmp_path / "run").exists()


def test_runs_on_finite_data_end_after_their_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    from seqhub.data.arrow import rows_table
    from seqhub.data.source import DataSource
    from seqhub.tasks.splits import Split

    few: pa.Table = rows_table(Split("qrsu/easy"), 0, 100)  # not a multiple of the batch size
    monkeypatch.setattr(DataSource, "table", lambda *_: few)
    record = train(config(tmp_path / "run", data="splits", epochs=3, stop_at="none", evaluate_size=64))
    assert record is not None
    assert record.sequences_seen == 300


def test_trackers_write_in_addition_to_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trackers = ("tensorboard", "trackio")
    for tracker in trackers:
        pytest.importorskip(tracker)
    monkeypatch.setenv(
        "TRACKIO_DIR", str(tmp_path / "trackio")
    )  # read when trackio is imported, so a new process is started
    options = ["--max-sequences=640", "--stop-at=none", "--evaluate-size=1024"]
    options += [f"--tracker={tracker}" for tracker in trackers]
    code, _, errors = run(["qrsu/easy", "--output-dir=run", *options], folder=tmp_path)
    assert code == 0, errors
    assert len(read_history(tmp_path / "run")) == 2
    assert list((tmp_path / "run").rglob("events.out.tfevents*"))
    assert list((tmp_path / "trackio").rglob("*.db"))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"task": "qrs/easy"}, UnknownNameError, "no task 'qrs'; known: .*qrsu"),
        ({"task": "qrsu/eazy"}, UnknownNameError, "no config of qrsu 'eazy'; known: easy, normal"),
        ({"model": "lstn"}, UnknownNameError, "no model 'lstn'; known: .*gru, .*lstm"),
        (
            {"model": "cnn"},
            InvalidConfigError,
            "^model='cnn': must be one of gru, lstm, lstm_hs97, rnn_relu",
        ),
        ({"stop_at": "acc"}, UnknownNameError, "no criterion 'acc'; known: accuracy, st3, paper, both, none"),
        (
            {"stop_at": "paper", "task": "square/fixed"},
            InvalidConfigError,
            "stop_at='paper': must be accuracy, st3, both or none for a task whose source has no stopping rule",
        ),
        ({"optimizer": "adem"}, UnknownNameError, "no optimizer 'adem'; known: adam, adamw, rmsprop, sgd"),
        (
            {"schedule": "poly"},
            UnknownNameError,
            "no schedule 'poly'; known: constant, linear, cosine, one_cycle, step, plateau, error",
        ),
        (
            {"schedule": "step"},
            InvalidConfigError,
            "decay_every=0: must be at least 1 with data=stream, which has no end",
        ),
        ({"decay": 0.0}, InvalidConfigError, "decay=0.0: must be above 0"),
        ({"record": ("weights",)}, UnknownNameError, "no record 'weights'; known: gradients, activations"),
        ({"trackers": ("wandb",)}, UnknownNameError, "no tracker 'wandb'; known: tensorboard, trackio"),
        ({"batch_size": 0}, InvalidConfigError, "batch_size=0: must be at least 1"),
        ({"learning_rate": -1.0}, InvalidConfigError, "learning_rate=-1.0: must be above 0"),
        ({"learning_rate": float("nan")}, InvalidConfigError, "learning_rate=nan: must be a finite number"),
        ({"accuracy": 1.5}, InvalidConfigError, "accuracy=1.5: must be above 0 and at most 1"),
    ],
)
def test_invalid_settings_are_rejected_before_files_are_made(
    tmp_path: Path, settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        TrainConfig(**{"task": "qrsu/easy", "output_dir": tmp_path / "run", **settings})
    assert not any(tmp_path.iterdir())


def test_settings_that_the_model_rejects_leave_no_folder(tmp_path: Path) -> None:
    bad = TrainConfig(task="qrsu/easy", output_dir=tmp_path / "run", model="rnn_relu", initialization="chrono")
    with pytest.raises(InvalidConfigError, match="chrono"):
        train(bad)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_options": {"num_steps": 9}}, r"^model locally_connected for windows/k4-n8: .*num_steps=9 real steps"),
        (
            {"model_options": {"num_features": 9}},
            r"^num_features in model_options: is determined by the rows of windows/k4-n8",
        ),
        ({"model": "cnn", "model_options": {"kernel_size": 99}}, r"^model cnn for windows/k4-n8: "),
    ],
)
def test_rows_that_the_model_rejects_are_one_line_and_leave_no_folder(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    bad = TrainConfig(
        **{"task": "windows/k4-n8", "output_dir": tmp_path / "run", "model": "locally_connected", **settings}
    )
    with pytest.raises(InvalidConfigError, match=message) as caught:
        train(bad)
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{}, {"num_steps": 32}])
def test_models_of_whole_rows_get_num_steps_from_the_rows(tmp_path: Path, options: dict[str, int]) -> None:
    settings = {"max_sequences": 64, "evaluate_every": 64, "evaluate_size": 64, "stop_at": "none"}
    fitted = TrainConfig(
        task="windows/k4-n8",
        output_dir=tmp_path / "run",
        model="locally_connected",
        model_options=options,
        **settings,
    )
    train(fitted)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["num_steps"] == 32


def test_folder_of_another_run_is_unchanged(solved: Path) -> None:
    before = {path.name: path.read_bytes() for path in solved.iterdir()}
    for resume in (False, True):
        with pytest.raises(OutputExistsError, match="finished run"):
            train(config(solved), resume=resume)
    assert before == {path.name: path.read_bytes() for path in solved.iterdir()}


def test_folder_with_other_files_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(OutputExistsError, match="not empty"):
        train(config(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_of_all_tasks_are_valid_settings(name: str, tmp_path: Path) -> None:
    from seqhub.models.registry import list_presets
    from seqhub.tasks.registry import get_task, list_tasks
    from seqhub.tasks.splits import Split

    made = 0
    for task in list_tasks():
        for each in get_task(task).configs:
            task_id = f"{task}/{each.name}"
            schema = Split(task_id).schema
            takes = "input_ids" if schema.vocabulary is not None else "input_values"
            others = () if schema.head == "seq2seq" else list_presets(head="seq2seq")
            for model in sorted({*list_presets(takes, head=schema.head)} - {*others}):
                try:
                    settings = recipe(task_id, model, name)
                except UnknownNameError:  # only `solve` exists for every task
                    assert name != "solve"
                    continue
                TrainConfig(**{"task": task_id, "output_dir": tmp_path, "model": model, **settings})
                made += 1
    assert made


def test_record_is_json_without_folders_of_this_machine(solved: Path) -> None:
    text = (solved / "run.json").read_text()
    json.loads(text)
    assert str(solved) not in text
    assert str(Path.home()) not in text
