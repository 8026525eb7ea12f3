"""Benchmarks: grids, cells and their hashes, stages, interruptions, merged folders, pages and figures."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.errors import CorruptFileError, InvalidConfigError, OutputExistsError, UnknownNameError
from seqhub.experiments.bench.cell import CELLS, RUN, Cell, key_of, read_cell, read_cells
from seqhub.experiments.bench.engines import Engine, Processes, Submitit
from seqhub.experiments.bench.execute import run_cell
from seqhub.experiments.bench.grid import (
    RECIPE,
    TUNING_SEED,
    Grid,
    mean_length,
    probe_cell,
    read_grid,
    require_same_grid,
    train_config,
    validation_rows,
)
from seqhub.experiments.bench.page import render
from seqhub.experiments.bench.run import BenchProgress, bench, estimate
from seqhub.experiments.bench.summary import bench_record, compared_distributions, groups
from seqhub.metrics.classification import reaches
from seqhub.native.loader import reason
from seqhub.records import BenchRecord, RunRecord
from seqhub.records.bench import CellRecord
from seqhub.tasks.ref import TaskRef
from tests.helpers.cli_calls import call, finish, program, start

native = pytest.mark.skipif(reason() is not None, reason="no native library")

TINY: dict[str, Any] = {
    "models": ["lstm", "gru"],
    "tasks": ["parity/every", "qrsu/easy"],
    "budget": 4_000,
    "seeds": 2,
    "learning_rates": [0.003, 0.01],
    "rows": 32,
}


class Here(Engine):
    """Runs the cells in this process, one after the other."""

    def __init__(self) -> None:
        self.ran: list[Cell] = []

    @property
    def jobs(self) -> int:
        return 1

    def run(self, cells: Any, bench: Path, on_finish: Any) -> None:
        for cell in cells:
            run_cell(cell, bench)
            self.ran.append(cell)
            on_finish(cell)


def a_grid(**changes: Any) -> Grid:
    return Grid.of(TINY | changes)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished benchmark of two tasks, two models and two seeds."""
    folder = tmp_path_factory.mktemp("bench") / "tiny"
    bench(a_grid(), folder, Here())
    return folder


def results(record: BenchRecord) -> list[Any]:
    """Return what does not depend on the machine and its speed."""
    return [
        (cell["settings"], cell["status"], {name: each for name, each in cell["result"].items() if "ms_" not in name})
        for cell in record.cells
        if cell["settings"]["stage"] != "probe"
    ]


@native
def test_all_stages_run_and_the_record_has_every_cell(tiny: Path) -> None:
    record = BenchRecord.load(tiny)
    stages = [cell["settings"]["stage"] for cell in record.cells]
    assert {stage: stages.count(stage) for stage in sorted(set(stages))} == {
        "lengths": 2 * 2 * 4,  # models, seeds, test distributions of parity/every
        "probe": 2 * 2,
        "seeds": 2 * 2 * 2,
        "tune": 2 * 2 * 2,
    }
    assert [(row["task"], row["model"]) for row in record.rows] == [
        (task, model) for task in TINY["tasks"] for model in TINY["models"]
    ]
    for row in record.rows:
        assert row["seeds"] == [0, 1]
        assert row["exceptions"] == {}
        names = list(TaskRef.parse(row["task"]).test_distributions)
        assert sorted(row["distributions"]) == sorted(["test", *names])
        assert row["state_floats"] == ([16, 16] if row["model"] == "lstm" else [8, 8])


@native
def test_scores_are_scaled_medians_of_the_runs(tiny: Path) -> None:
    record = BenchRecord.load(tiny)
    row = record.rows[0]
    for name, summary in row["distributions"].items():
        stage, at = ("seeds", None) if name == "test" else ("lengths", name)
        found = [
            cell["result"]
            for cell in record.cells
            if (cell["settings"]["stage"], cell["settings"]["distribution"]) == (stage, at)
            and (cell["settings"]["task"], cell["settings"]["model"]) == (row["task"], row["model"])
        ]
        assert len(found) == summary["seeds"] == 2
        for each in found:
            assert each["score"] == max(0.0, (each["accuracy"] - 0.5) / 0.5)
        assert summary["score"]["median"] == sum(each["score"] for each in found) / 2
        assert summary["solved"] == sum(each["accuracy"] >= 0.99 for each in found)


@native
def test_every_run_has_the_budget_in_tokens_and_ends_its_schedule_there(tiny: Path) -> None:
    for folder in (tiny / CELLS).iterdir():
        record = CellRecord.load(folder)
        if record.settings["stage"] != "seeds":
            continue
        run = RunRecord.load(folder / RUN)
        task = TaskRef.parse(record.settings["task"])
        rows = run.data["rows"]
        assert run.sequences_seen == rows == record.result["sequences"]
        assert abs(record.result["tokens"] - TINY["budget"]) < 1.5 * 32 * mean_length(task)
        assert run.training["max_sequences"] == rows  # not solved, so it ended at the end of its schedule
        assert {name: run.training[name] for name in ("schedule", "optimizer", "weight_decay", "batch_size")} == {
            name: RECIPE[name] for name in ("schedule", "optimizer", "weight_decay", "batch_size")
        }
        assert run.training["warmup"] == round(0.05 * rows)
        assert run.environment["native"] is True


@native
def test_the_learning_rate_is_the_best_of_the_tuning_seed_on_validation_rows(tiny: Path) -> None:
    record = BenchRecord.load(tiny)
    for row in record.rows:
        tuned = {
            cell["settings"]["learning_rate"]: (
                cell["result"]["accuracy"],
                -cell["result"]["tokens"],
                -cell["result"]["loss"],
            )
            for cell in record.cells
            if cell["settings"]["stage"] == "tune"
            and (cell["settings"]["task"], cell["settings"]["model"]) == (row["task"], row["model"])
        }
        assert set(tuned) == {0.003, 0.01}
        assert row["learning_rate"] == max(tuned, key=tuned.__getitem__)
    seeds = {(cell["settings"]["stage"], cell["settings"]["seed"]) for cell in record.cells}
    assert seeds == {("probe", None), ("tune", TUNING_SEED), ("seeds", 0), ("seeds", 1), ("lengths", 0), ("lengths", 1)}


@native
def test_finished_cells_are_never_run_again(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder)
    engine = Here()
    record = bench(a_grid(), folder, engine, resume=True)
    assert engine.ran == []
    assert results(record) == results(BenchRecord.load(tiny))
    more = bench(a_grid(seeds=3), folder, engine, resume=True)
    assert {cell.seed for cell in engine.ran} == {2}
    assert [cell.stage for cell in engine.ran] == ["seeds"] * 4 + ["lengths"] * 8
    assert all(row["seeds"] == [0, 1, 2] for row in more.rows)


@native
def test_folders_of_two_machines_are_merged_by_copying(tiny: Path, tmp_path: Path) -> None:
    cells = sorted((tiny / CELLS).iterdir())
    for number, cell in enumerate(cells):
        shutil.copytree(cell, tmp_path / str(number % 2) / CELLS / cell.name)
    for part in ("0", "1"):
        shutil.copytree(tmp_path / part / CELLS, tmp_path / "all" / CELLS, dirs_exist_ok=True)
    engine = Here()
    record = bench(a_grid(), tmp_path / "all", engine)
    assert engine.ran == []
    assert results(record) == results(BenchRecord.load(tiny))


@native
def test_the_page_and_both_figures_are_written(tiny: Path) -> None:
    assert sorted(path.name for path in tiny.iterdir()) == [
        "README.md", "bench.json", "bench.png", "bench.svg", "cells", "grid.json", "lengths.png", "lengths.svg"
    ]  # fmt: skip
    page = (tiny / "README.md").read_text()
    assert page == render(BenchRecord.load(tiny))
    for text in ("`parity/every`", "`len512`", "0/2", "![Heat map of models and tasks](bench.png)", "Own size"):
        assert text in page
    assert (tiny / "bench.svg").read_text().startswith("<?xml")


@native
def test_figures_have_the_same_bytes_every_time(tiny: Path, tmp_path: Path) -> None:
    from seqhub.experiments.bench.page import write_page

    write_page(BenchRecord.load(tiny), tmp_path)
    for name in ("bench.png", "bench.svg", "lengths.png", "lengths.svg", "README.md", "bench.json"):
        assert (tmp_path / name).read_bytes() == (tiny / name).read_bytes(), name


def test_the_cells_of_a_grid_are_counted_before_it_is_run(tmp_path: Path) -> None:
    found = estimate(a_grid(models=["gru"], tasks=["parity/every"], seeds=5), tmp_path / "none", Here())
    assert found.cells == {"probe": 1, "tune": 2, "seeds": 5, "lengths": 20}
    assert found.finished == {"probe": 1, "tune": 0, "seeds": 0, "lengths": 0}
    assert found.hours > 0
    assert not list(tmp_path.iterdir())


@native
def test_finished_cells_count_in_an_estimate(tiny: Path) -> None:
    found = estimate(a_grid(), tiny, Here())
    assert found.finished == found.cells == {"probe": 4, "tune": 8, "seeds": 8, "lengths": 16}
    assert found.hours == 0


def test_ids_with_lists_are_not_divided() -> None:
    llama = 'transformers:lfm2?layer_types=["conv","full_attention"]'
    grid = Grid.of({"models": f"lstm,{llama}", "tasks": "qrsu/easy"})
    assert grid.models == ("lstm", llama)


def test_tasks_with_budgets_of_their_own_are_in_one_table() -> None:
    grid = Grid.of({"models": "lstm,gru", "tasks": "parity/every,qrsu/easy", "budgets": {"qrsu/easy": "30k"}})
    assert [grid.budget_of(TaskRef.parse(task)) for task in grid.tasks] == [5_000_000, 30_000]
    rows = bench_record([], grid.as_json()).rows
    assert {row["task"]: row["budget"] for row in rows} == {"parity/every": 5_000_000, "qrsu/easy": 30_000}
    ((group, members),) = groups(rows).items()
    assert str(group) == "own size of each model, 5,000,000 training tokens (qrsu/easy: 30,000)"
    assert members == rows
    other = rows[0] | {"budget": 7, "model": "rnn_tanh"}
    assert len(groups([*rows, other])) == 3
    with pytest.raises(UnknownNameError, match="task with a budget"):
        Grid.of({"models": "lstm", "tasks": "qrsu/easy", "budgets": {"parity/every": 3}})
    with pytest.raises(InvalidConfigError, match=r"budgets=3: must be a table \[budgets\]"):
        Grid.of({"models": "lstm", "tasks": "qrsu/easy", "budgets": 3})


@native
def test_max_hours_omits_whole_tasks_from_the_end(tiny: Path) -> None:
    grid = a_grid(budget=10**12)  # with the speeds that the probes in the folder measured
    both = estimate(grid, tiny, Here())
    assert (both.omitted, both.finished["tune"]) == ((), 0)
    some = estimate(grid, tiny, Here(), 0.999 * both.hours)
    assert [(str(unit.task), unit.model) for unit in some.omitted] == [("qrsu/easy", "lstm"), ("qrsu/easy", "gru")]
    assert 0 < some.hours < both.hours
    assert some.cells == {"probe": 4, "tune": 4, "seeds": 4, "lengths": 16}
    with pytest.raises(InvalidConfigError, match=r"max_hours=1e-09: must be at least .* \(parity/every\)"):
        estimate(grid, tiny, Here(), 1e-9)


FAILS = f"{Path(__file__).parents[2] / 'models' / 'modules.py'}:Fails"


@native
def test_failed_models_keep_their_reason_and_the_others_run(tmp_path: Path) -> None:
    """A model that cannot be built fails in its probe; one that diverges at all rates fails in tuning."""
    grid = a_grid(
        models=["lstm", FAILS, "rnn_relu"],
        tasks=["qrsu/easy"],
        recipes={"rnn_relu": {"optimizer": "sgd", "learning_rate_factor": 1e37, "max_grad_norm": 0.0}},
    )
    record = bench(grid, tmp_path / "all", Here())
    rows = {row["model"]: row for row in record.rows}
    assert rows["lstm"]["seeds"] == [0, 1]
    assert "RuntimeError" in rows[FAILS]["failed"]["probe"]
    assert "loss is" in rows["rnn_relu"]["failed"]["tune"]
    assert rows["rnn_relu"]["exceptions"] == {"optimizer": "sgd", "learning_rate_factor": 1e37, "max_grad_norm": 0.0}
    page = render(record)
    assert "RuntimeError" in page
    assert "loss is" in page
    engine = Here()
    bench(grid, tmp_path / "all", engine, resume=True)
    assert [cell.model for cell in engine.ran] == [FAILS]  # divergence is a result


@native
def test_a_run_that_diverges_has_score_0(tiny: Path) -> None:
    records = [CellRecord.load(path) for path in (tiny / CELLS).iterdir()]
    run = next(r for r in records if r.settings["stage"] == "seeds" and r.settings["task"] == "qrsu/easy")
    run.status, run.reason, run.result = "diverged", "loss is nan", {}
    row = next(
        row for row in bench_record(records, {}).rows
        if (row["task"], row["model"]) == ("qrsu/easy", run.settings["model"])
    )  # fmt: skip
    assert row["diverged"] == {str(run.settings["seed"]): "loss is nan"}
    assert row["distributions"]["test"]["seeds"] == 2
    assert row["distributions"]["test"]["score"]["least"] == 0.0


@native
def test_models_and_tasks_that_were_not_run_have_empty_rows(tiny: Path) -> None:
    records = list(read_cells(tiny).values())
    grid = a_grid(tasks=[*TINY["tasks"], "parity/last"], models=[*TINY["models"], "rnn_tanh"])
    rows = bench_record(records, grid.as_json()).rows
    assert [(row["task"], row["model"]) for row in rows] == [(str(unit.task), unit.model) for unit in grid.units()]
    empty = [(row["task"], row["model"]) for row in rows if not row["distributions"]]
    last = [("parity/last", model) for model in grid.models]
    assert empty == [("parity/every", "rnn_tanh"), ("qrsu/easy", "rnn_tanh"), *last]


@native
def test_models_are_compared_on_the_longest_distribution_that_all_have(tiny: Path) -> None:
    (rows,) = groups(BenchRecord.load(tiny).rows).values()
    assert compared_distributions(rows) == {"parity/every": "len512", "qrsu/easy": "test"}
    del rows[0]["distributions"]["len512"]
    assert compared_distributions(rows)["parity/every"] == "len41-500"


@native
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_benchmark_loses_only_the_cells_in_flight(tmp_path: Path) -> None:
    options = ["--models", "lstm,gru", "--tasks", "parity/every", "--budget", "1M", "--seeds", "2", "--rows", "32"]
    command = ["bench", *options, "--learning-rates", "0.003,0.01", "--jobs", "1", "--out", "all", "--quiet"]
    process = start(*command, folder=tmp_path)
    until = time.monotonic() + 120
    while not len(finished := list((tmp_path / "all").glob("cells/*/cell.json"))) >= 3:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    finish(process)
    times = {path: path.stat().st_mtime_ns for path in finished}

    again = program(*command, "--resume", folder=tmp_path, seconds=150)
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in times} == times
    record = BenchRecord.load(tmp_path / "all")
    assert [row["seeds"] for row in record.rows] == [[0, 1], [0, 1]]


@native
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_worker_is_started_again(tmp_path: Path) -> None:
    import psutil

    killed: list[int] = []

    def callback(now: BenchProgress) -> None:
        if now.stage == "seeds" and not killed:
            child = psutil.Process().children()[-1]
            child.kill()
            killed.append(child.pid)

    grid = a_grid(models=["gru"], tasks=["parity/every"])
    record = bench(grid, tmp_path / "all", Processes(1), callback=callback)
    assert killed
    assert record.rows[0]["seeds"] == [0, 1]
    assert record.rows[0]["failed"] == {}


@native
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ctrl_c_keeps_finished_cells_and_says_how_to_continue(tmp_path: Path) -> None:
    command = ["bench", "--models", "gru", "--tasks", "parity/every", "--budget", "500M", "--jobs", "1"]
    process = start(*command, folder=tmp_path)
    until = time.monotonic() + 120
    while not list((tmp_path / "bench").glob("cells/*/cell.json")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, _, errors = finish(process, 100)
    assert code == 130, errors
    assert "finished cells are kept; to continue, run the same command with --resume (bench)" in errors
    assert "Traceback" not in errors
    assert len(read_cells(tmp_path / "bench")) == 1


@native
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_jobs_of_submitit_share_the_cells(tiny: Path, tmp_path: Path) -> None:
    record = bench(a_grid(), tmp_path / "all", Submitit(2, cluster="local"))
    assert results(record) == results(BenchRecord.load(tiny))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_model_without_native_training_continues_from_its_checkpoint(tmp_path: Path) -> None:
    """A model that averages over the steps trains by `train`; its checkpoint gives the same result."""
    from seqhub.sweeps.pool import StoppedError, Worker

    grid = a_grid(models=["lstm?pooling=mean"], tasks=["qrsu/easy"], budget=200_000, learning_rates=[0.003], seeds=1)
    whole = bench(grid, tmp_path / "whole", Here())
    run = next(cell for cell in whole.cells if cell["settings"]["stage"] == "seeds")
    cell = Cell(**run["settings"])
    worker, begun = Worker(), cell.folder(tmp_path / "part") / RUN / "history.jsonl"
    with pytest.raises(StoppedError):
        worker.run(run_cell, cell, tmp_path / "part", stopped=lambda: begun.exists() and begun.stat().st_size > 0)
    worker.close()
    assert (begun.parent / "checkpoint.safetensors").exists()
    run_cell(cell, tmp_path / "part")
    record = read_cell(tmp_path / "part", cell)
    assert record is not None
    assert record.result == run["result"]


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "stage": st.sampled_from(["tune", "seeds"]),
    "task": st.sampled_from(["parity/every", "qrsu/easy"]),
    "model": st.sampled_from(["lstm", "gru"]),
    "params": st.none() | st.integers(1, 10**6),
    "budget": st.integers(1, 10**9),
    "learning_rate": st.sampled_from([1e-3, 3e-3, 1e-2]),
    "seed": st.integers(0, 100),
    "rows": st.integers(1, 1000),
    "distribution": st.none() | st.sampled_from(["len128", "len256"]),
}
cells = st.builds(Cell, data=st.just("0" * 64), code=st.none(), recipe=st.just(RECIPE), **VALUES)


@given(cells, cells)
def test_keys_are_equal_for_equal_settings_only(one: Cell, two: Cell) -> None:
    assert (one.key == two.key) == (one == two)
    assert one.key == replace(one).key
    values = json.loads(json.dumps(one.settings()))
    assert key_of(dict(reversed(values.items()))) == one.key
    assert len(one.key) == 64


@given(cells, st.data())
def test_every_setting_changes_the_key(cell: Cell, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(VALUES[name].filter(lambda value: value != getattr(cell, name)))
    assert replace(cell, **{name: value}).key != cell.key
    assert {each.name for each in fields(Cell)} == cell.settings().keys()


def test_a_cell_trains_as_many_whole_batches_as_the_budget_has_tokens_for() -> None:
    grid = a_grid(budget=1_000_000)
    unit = next(unit for unit in grid.units() if unit.task.name == "parity")
    cell = replace(
        probe_cell(grid, unit),
        stage="seeds",
        sized_model="lstm",
        budget=grid.budget,
        learning_rate=0.01,
        seed=0,
        rows=1,
    )
    config = train_config(cell, Path("folder"))
    tokens = config.max_sequences * mean_length(unit.task)
    assert config.max_sequences % 32 == 0
    assert grid.budget - 32 * mean_length(unit.task) < tokens <= grid.budget
    assert config.warmup == round(0.05 * config.max_sequences)
    assert reaches(config.accuracy, 512, 512)


@native
def test_cells_of_another_version_or_with_changed_settings_are_errors(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    shutil.copytree(tiny, folder)
    path = next((folder / CELLS).glob("*/cell.json"))
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"settings": content["settings"] | {"seed": 77}}))
    with pytest.raises(CorruptFileError, match=r"cell\.json: its settings do not have the SHA-256 that names its"):
        bench(a_grid(), folder, Here(), resume=True)
    old = content["settings"] | {"version": 0}
    path.parent.rename(path.parent.with_name(key_of(old)))
    path = path.parent.with_name(key_of(old)) / "cell.json"
    path.write_text(json.dumps(content | {"settings": old}))
    with pytest.raises(CorruptFileError, match=r"is a cell of version 0; this seqhub has version 1"):
        bench(a_grid(), folder, Here(), resume=True)


def test_budgets_of_added_tasks_are_free(tmp_path: Path) -> None:
    before = a_grid(budgets={TINY["tasks"][0]: 3_000})
    tasks = [*TINY["tasks"], "dyck/k2-m4"]
    require_same_grid(tmp_path, before.as_json(), a_grid(tasks=tasks, budgets=before.budgets | {"dyck/k2-m4": 9_000}))
    with pytest.raises(OutputExistsError, match="has another grid: budgets"):
        require_same_grid(tmp_path, before.as_json(), a_grid(tasks=tasks, budgets={"dyck/k2-m4": 9_000}))


@native
def test_folders_with_other_content_are_unchanged(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match="contains a benchmark; --resume continues it"):
        bench(a_grid(), tiny, Here())
    with pytest.raises(OutputExistsError, match=r"has another grid: budget 4000 there and 5000 here; give another"):
        bench(a_grid(budget=5_000), tiny, Here(), resume=True)
    with pytest.raises(OutputExistsError, match=r"has another grid: models lstm,gru there and lstm here"):
        bench(a_grid(models=["lstm"]), tiny, Here(), resume=True)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="is not empty"):
        bench(a_grid(), tmp_path, Here(), resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ["lstn"]}, "no model 'lstn'; did you mean lstm"),
        ({"tasks": ["party/every"]}, "no task 'party'; did you mean parity"),
        ({"tasks": ["parity/evry"]}, "no config of parity 'evry'; did you mean every"),
        ({"models": []}, r"models=\[\]: must be at least one"),
        ({"models": ["lstm", "lstm"]}, "models: lstm is given several times"),
        ({"models": 3.5}, "models=3.5: must be a list of texts"),
        ({"params": "50x"}, "params='50x': must be a whole number, as in 50000, 50k or 2.5M"),
        ({"params": "0"}, "params=0: must be 1 to"),
        ({"seeds": 0}, "seeds=0: must be 1 to 1,000"),
        ({"budget": 100}, r"budget=100: must be at least .* tokens, one batch of 32 sequences \(parity/every\)"),
        ({"learning_rates": "0.1,x"}, "learning_rates='x': must be numbers"),
        ({"learning_rates": [0.0]}, "learning_rates=0.0: must be above 0"),
        (
            {"recipes": {"lstm": {"batchsize": 1}}},
            "no setting in the recipe of lstm 'batchsize'; did you mean batch_size",
        ),
        ({"recipes": {"lstn": {}}}, "no model with a recipe 'lstn'; did you mean lstm"),
        ({"recipes": 3}, "recipes=3: must be tables"),
    ],
)
def test_mistakes_in_a_grid_are_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidConfigError, UnknownNameError), match=message) as error:
        bench(a_grid(**changes), tmp_path / "none", Here())
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_grid_file_has_the_options_of_the_command(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(
        'models = ["lstm"]\ntasks = "parity/every,qrsu/easy"\nbudget = "2M"\n[recipes.lstm]\nbatch_size = 32\n'
    )
    grid = Grid.of(read_grid(path, ("models", "tasks", "budget", "recipes")))
    assert (grid.models, grid.tasks, grid.budget) == (("lstm",), ("parity/every", "qrsu/easy"), 2_000_000)
    assert grid.recipe("lstm")["batch_size"] == 32
    path.write_text("modles = 3\n")
    with pytest.raises(UnknownNameError, match=r"no option in .*grid.toml 'modles'; did you mean models\?"):
        read_grid(path, ("models", "tasks"))
    path.write_text("models = [\n")
    with pytest.raises(InvalidConfigError, match=r"grid.toml is not valid TOML"):
        read_grid(path, ("models",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--tasks parity/every", "error: no models given: --models, or models in the file of the grid"),
        ("--models lstm --tasks parity/every --engine rai", "error: no engine 'rai'; known: processes, submitit, ray"),
        ("--models lstm --tasks parity/every --jobs 0", "error: --jobs 0: must be 1 to 10,000"),
        ("--models lstm --tasks parity/every --max-hours -1", "error: --max-hours -1.0: must be a number above 0"),
        ("--models lstm --tasks parity/every --ray-address x:1", "--ray-address with --engine processes"),
        ("--models lstm --tasks parity/every --job-option a=1", "--job-option with --engine processes"),
        ("grid.toml", "error: grid.toml: No such file or directory"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = call("bench", *options.split())
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_engine_without_its_library_is_one_line(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from pathlib import Path\n"
        "from seqhub.experiments.bench.engines import Ray\n"
        "from seqhub.errors import InvalidConfigError\n"
        "try:\n    Ray().__enter__()\nexcept InvalidConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "engine ray is not installed; pip install 'seqhub[ray]'"


@pytest.mark.parametrize(
    ("task", "budget", "rows"),
    [("parity/every", 5_000_000, 512), ("flip_flop/ffl80", 1_280_000, 100), ("mqar/small", 1_000, 64)],
)
def test_a_validation_has_at_most_the_steps_between_two_of_them(task: str, budget: int, rows: int) -> None:
    """Regression: 512 validation rows of 512 steps took several times as long as the training."""
    assert validation_rows(budget, TaskRef.parse(task)) == rows
