"""The rows of a paper: their numbers, and runs that are neither lost nor repeated."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.experiments.hs97 import table
from seqhub.experiments.hs97.recipes import AS_WRITTEN
from seqhub.experiments.hs97.table import MODELS, ROWS, Row, rows_of, run_rows
from seqhub.native.loader import reason
from seqhub.records import PaperRecord, RunRecord, SweepRecord
from seqhub.sweeps import sweep
from seqhub.tasks.registry import resolve

native = pytest.mark.skipif(reason() is not None, reason="no native library")

TINY = Row(name="6a", task="qrsu/hs97")
PROGRAM = str(Path(sys.executable).with_name("seqhub"))
COMMAND = [PROGRAM, "paper", "hs97", "--seeds", "2", "--threads", "1", "--rows", "4-t100"]


def results(record: PaperRecord, row: str, stop: str, model: str = "lstm") -> dict[str, Any]:
    found: dict[str, Any] = record.rows[row]["results"][model][stop]
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_can_be_run_by_every_model_to_the_count_of_the_paper(row: Row, tmp_path: Path) -> None:
    for model in MODELS:
        for stop in row.stops:
            config = row.config(tmp_path, model, stop)
            assert (config.model, config.stop_at) == (model.removesuffix("_as_written"), "paper")
            assert config.max_sequences >= row.paper_sequences + row.stopping_rule.window
            assert config.data == "stream" or config.epochs * 256 >= config.max_sequences
    assert row.paper_weights > 0
    assert row.paper_wrong is None or 0 <= row.paper_wrong < 0.1


def test_the_rows_cover_all_networks_of_the_paper() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {str(row.task) for row in ROWS} == set(AS_WRITTEN)
    counted = [row for row in ROWS if row.sequences is None]
    assert len({row.task for row in counted}) == len(counted)  # the number in a task file belongs to one row
    for row in counted:
        task, config = resolve(row.task)
        assert row.paper_sequences == task.paper_sequences[config.name]


def test_a_second_rule_on_the_same_config() -> None:
    many, few = rows_of(["5"])
    assert many.task == few.task
    assert (many.stopping_rule.wrong, few.stopping_rule.wrong) == (139, 12)
    assert (many.paper_sequences, few.paper_sequences) == (482_000, 1_273_000)


def test_rows_by_name_and_by_group() -> None:
    assert [row.name for row in rows_of(["3c", "2a"])] == ["2a", "3c-t100-n3", "3c-t100-n1"]
    assert rows_of() == ROWS
    with pytest.raises(UnknownNameError, match=r"no row '7'; known: 1, 2a, 2b, .*, 6a, 6b"):
        rows_of(["6a", "7"])
    with pytest.raises(UnknownNameError, match="no model of the paper's rows 'gru'; known: lstm, lstm_hs97, lstm_"):
        run_rows([TINY], Path("nowhere"), [0], model="gru")


@native
def test_a_row_is_run_to_both_stops_with_the_same_history(tmp_path: Path) -> None:
    record = run_rows([TINY], tmp_path, [3, 4], threads=2)
    first, second = results(record, "6a", "paper"), results(record, "6a", "strict")
    assert first["seeds"] == second["seeds"] == [3, 4]
    for seed, early, late in zip([3, 4], first["sequences"], second["sequences"], strict=True):
        assert early >= 2_000
        assert early + 2_000 <= late
        histories = [
            (tmp_path / "lstm" / "6a" / stop / f"seed-{seed}" / "history.jsonl").read_text().splitlines()
            for stop in ("paper", "strict")
        ]
        losses = [[json.loads(line)["loss"] for line in lines] for lines in histories]
        assert losses[0] == losses[1][: len(losses[0])]
    assert all(0 <= wrong <= 2_560 for wrong in first["test_wrong"])
    recorded = {name: record.rows["6a"][name] for name in ("address", "weights", "sequences", "wrong")}
    assert recorded == {"address": "qrsu/hs97", "weights": 156, "sequences": 31_390, "wrong": 1 / 2560}
    assert PaperRecord.load(tmp_path) == record
    assert str(tmp_path) not in (tmp_path / PaperRecord.FILE_NAME).read_text()


@native
def test_seeds_are_added_without_repeating_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_MIN_LIMIT", 100)
    row = replace(TINY, task="adding/hs97-t100", sequences=100)  # unsolved after 100
    run_rows([row], tmp_path, [0])
    of_first = tmp_path / "lstm" / "6a" / "paper" / "seed-0" / RunRecord.FILE_NAME
    written = of_first.stat().st_mtime_ns
    record = run_rows([row], tmp_path, [0, 1])
    assert of_first.stat().st_mtime_ns == written
    found = results(record, "6a", "paper")
    assert (found["seeds"], found["sequences"]) == ([0, 1], [None, None])
    assert found["seen"] == [row.max_sequences("lstm")] * 2


@pytest.mark.slow
def test_the_record_has_the_modern_lstm_and_the_original_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_MIN_LIMIT", 100)
    row = replace(rows_of(["6a"])[0], sequences=100)
    run_rows([row], tmp_path, [0])
    record = run_rows([row], tmp_path, [0], model="lstm_hs97")
    assert list(record.rows["6a"]["results"]) == ["lstm", "lstm_hs97"]
    assert list(record.rows["6a"]["results"]["lstm_hs97"]) == ["paper"]
    found = results(record, "6a", "paper", "lstm_hs97")
    assert (found["parameters"], found["training"]["batch_size"]) == (156, 1)


def test_a_network_is_run_as_written_only_where_something_was_changed(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidConfigError, match=r"^model lstm_hs97_as_written for 3a-t100-n3, 6a: must include a row with"
    ):
        run_rows(rows_of(["3a-t100-n3", "6a"]), tmp_path, [0], model="lstm_hs97_as_written")
    assert not any(tmp_path.iterdir())
    (row,) = rows_of(["4-t100"])
    written, changed = (row.config(tmp_path, model, "paper") for model in ("lstm_hs97_as_written", "lstm_hs97"))
    assert (written.model_options["logistic_outputs"], written.learning_rate) == (True, 0.5)
    assert (changed.model_options["logistic_outputs"], row.changes) == (False, "a linear output with squared error")


@native
def test_a_seed_that_crashes_is_one_failed_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_native = sweep.train_native

    def fragile(config: Any, *others: Any) -> Any:
        if config.seed == 1:
            raise RuntimeError("out of luck")
        return train_native(config, *others)

    monkeypatch.setattr(sweep, "train_native", fragile)
    found = results(run_rows([TINY], tmp_path, range(3)), "6a", "paper")
    assert found["seeds"] == [0, 2]
    assert found["failed"] == {"1": "RuntimeError: out of luck"}
    log = tmp_path / "lstm" / "6a" / "paper" / "seed-1" / sweep.FAILURE
    assert "in fragile" in log.read_text()
    monkeypatch.undo()
    again = results(run_rows([TINY], tmp_path, range(3)), "6a", "paper")
    assert (again["seeds"], again["failed"]) == ([0, 1, 2], {})
    assert [again["sequences"][at] for at in (0, 2)] == found["sequences"]


@native
def test_the_other_rows_are_run_if_all_seeds_of_a_row_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_native = sweep.train_native

    def fragile(config: Any, *others: Any) -> Any:
        if config.criterion_scale == 1:
            raise RuntimeError("out of luck")
        return train_native(config, *others)

    monkeypatch.setattr(sweep, "train_native", fragile)
    with pytest.raises(
        sweep.AllFailedError, match=r"^6a paper: all 2 seeds failed; seed 0: RuntimeError: out of luck$"
    ):
        run_rows([TINY], tmp_path, range(2))
    assert list(PaperRecord.load(tmp_path).rows["6a"]["results"]["lstm"]) == ["strict"]


@native
def test_a_folder_with_runs_of_other_settings_is_rejected(tmp_path: Path) -> None:
    run_rows([TINY], tmp_path, [0])
    with pytest.raises(InvalidConfigError, match="max_sequences=54000 there and 102000 here"):
        run_rows([replace(TINY, sequences=98_000)], tmp_path, [0])


@pytest.mark.slow
@native
@pytest.mark.timeout(240)
def test_a_stopped_command_continues_without_losing_or_repeating_a_seed(tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    command = [*COMMAND, "--output-dir", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    first = folder / "lstm" / "4-t100" / "paper" / "seed-0" / RunRecord.FILE_NAME
    while not first.exists():
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip().splitlines()[-1] == f"error: stopped; run the same command to continue ({folder})"
    written = first.stat().st_mtime_ns
    assert not (folder / PaperRecord.FILE_NAME).exists()
    subprocess.run([*command, "--quiet"], check=True, timeout=120, stdout=subprocess.PIPE)
    assert first.stat().st_mtime_ns == written
    record = PaperRecord.load(folder)
    whole = run_rows(rows_of(["4-t100"]), tmp_path / "whole", range(2), threads=2)
    for stop in ("paper", "strict"):
        resumed, uninterrupted = results(record, "4-t100", stop), results(whole, "4-t100", stop)
        for name in ("seeds", "sequences", "seen", "test_wrong", "test_rows", "failed", "parameters", "training"):
            assert resumed[name] == uninterrupted[name], name
    assert len(SweepRecord.load(folder / "lstm" / "4-t100" / "strict").runs) == 2


@pytest.mark.slow
def test_errors_on_the_command_line_are_one_line(tmp_path: Path) -> None:
    for arguments, message in (
        (["hs98"], "no paper 'hs98'; known: hs97"),
        (["hs97", "--rows", "3d"], "no row '3d'; known: 1, 2a, 2b"),
        (["hs97", "--seeds", "0"], "--seeds 0: must be at least 1"),
    ):
        command = [PROGRAM, "paper", *arguments, "--output-dir", str(tmp_path / "x")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()
