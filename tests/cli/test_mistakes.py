"""User errors: one line that names the error, exit code 2, and no change on disk."""

import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import seqhub.models.recurrent
from tests.cli.conftest import SIZES
from tests.cli.test_forms import SHORT
from tests.helpers.cli_calls import (
    Ended,
    assert_user_error,
    call,
    files_of_at_most,
    output_of,
    program,
    tree,
    user_error_faults,
)

HUGE = str(10**30)
RECORDED = ["evaluate", "card", "plot", "push", "verify", "export"]  # commands on the folder of a run
LEVELS = "known: easy, normal, moderate, hard, nightmare"

COMMAND_LINES = [
    ("--nonsense", "No such option: --nonsense"),
    ("--help=x", "'--help' does not take a value"),
    ("tasks ls --jsn", "Possible options: --json"),
    ("tasks ls more", "unexpected extra argument(s) (more)"),
    ("tasks show", "Missing argument ... (see `seqhub tasks show --help`)"),
    ("push run", "Missing option '--repo'"),
    ("push run --repo", "'--repo' requires an argument"),
    ("train --model lstm", "Missing argument"),
    ("train qrsu/easy --cpu=3", "'--cpu' does not take a value"),
    ("train qrsu/easy --json --quiet --bogus", "No such option: --bogus"),
    ("tasks show qrsu", f"no config of qrsu ''; {LEVELS}"),
    ("tasks show qrsu/", f"no config of qrsu ''; {LEVELS}"),
    ("tasks show qrsu//hard", f"no config of qrsu '/hard'; {LEVELS}"),
    ("tasks show qrsu/hard/x", f"no config of qrsu 'hard/x'; {LEVELS}"),
    ("tasks show qrsu/[red]x[/]", "'[red]x[/]'"),
    ("tasks show ../qrsu/hard", "no task '..'; known: "),
    ("tasks show base/hard", "no task 'base'; known: "),
    ("tasks show QRSU/hard", "no task 'QRSU'; known: "),
]
BUILDS = [
    ("nope", "no task 'nope'; known: "),
    ("[/x]", "no task '[/x]'; known: "),
    ("qrsu/hard", "no task 'qrsu/hard'; known: "),
    ("../qrsu", "no task '../qrsu'; known: "),
    ("qrsu --config nope", f"no config of qrsu 'nope'; {LEVELS}"),
    ("qrsu --config easy --config easy", "easy, easy"),
    *((f"qrsu --{split}-size {size}", f"size ... {size}") for split in ("train", "test") for size in (0, -1)),
    *((f"qrsu --train-size {size}", f"given '{size}'") for size in ("x", "1.5", "nan", "1e3")),
    (f"qrsu --test-size {HUGE}", f"size ... {HUGE} ... at most 100,000,000"),
    ("qrsu --seed x", "Invalid value for '--seed'"),
    ("qrsu --out file", "file"),
    ("qrsu --out file/below", "cannot write file/below"),
    ("qrsu --out run", "run"),
    ("qrsu --out data", "data ... qrsu"),
    ("qrsu --out loop", "loop "),
    ("qrsu --out nowhere", "nowhere "),
    ("qrsu --out loop/below", "cannot write loop/below"),
    ("qrsu --out /proc/below", "cannot write /proc/below"),
    (f"qrsu --out {'x' * 300}", "File name too long"),
    ("qrsu --repo bad --out new", "'bad' ... namespace/name"),
    ("qrsu --repo a/b/c --out data --overwrite", "'a/b/c' ... namespace/name"),
]
SETTINGS: list[tuple[str, str]] = [
    *((f"--{name} {value}", f"--{name} {value} ... at least 1")
      for name in ("hidden-size", "num-hidden-layers", "epochs", "max-sequences", "batch-size", "threads",
                   "evaluate-every", "evaluate-size", "checkpoint-every") for value in (0, -5)),
    *((f"--{name} {HUGE}", f"--{name} {HUGE} ... at most")
      for name in ("hidden-size", "num-hidden-layers", "batch-size", "threads", "evaluate-size")),
    *((f"--{name} {value}", f"--{name} {value}: must be ") for value in ("nan", "inf", "-1.0")
      for name in ("learning-rate", "weight-decay", "momentum", "accuracy", "max-grad-norm")),
    *((f"--{name} x", "given 'x'") for name in ("seed", "batch-size", "learning-rate", "chrono-max-steps")),
    *((f"--seed {sign}{HUGE}", "64 bits") for sign in ("", "-")),
    ("--forget-bias nan", "--forget-bias nan ... finite"),
    ("--learning-rate 0", "--learning-rate 0.0 ... above 0"),
    ("--learning-rate 1e-400", "--learning-rate 0.0 ... above 0"),
    ("--momentum 1", "--momentum 1.0 ... below 1"),
    ("--beta1 1", "--beta1 1.0 ... at least 0 ... below 1"),
    ("--beta2 -0.1", "--beta2 -0.1 ... at least 0 ... below 1"),
    ("--error-reference 0", "--error-reference 0.0 ... above 0"),
    ("--error-floor 2", "--error-floor 2.0 ... at least 0 ... at most 1"),
    ("--accuracy 1.5", "--accuracy 1.5 ... above 0 ... at most 1"),
    ("--warmup -1", "--warmup -1 ... at least 0"),
    ("--model lstn", "no model 'lstn'; known: "),
    ("--model cnn", "symbols ... gru, lstm, lstm_hs97, rnn_relu, rnn_tanh"),
    ("--optimizer adem", "no optimizer 'adem'; known: adam, adamw, rmsprop, sgd"),
    ("--schedule poly", "no schedule 'poly'; known: constant, linear, cosine, one_cycle, step, plateau, error"),
    ("--freeze x --freeze y", "--freeze x --freeze y: must be omitted without a base model"),
    ("--schedule step", "decay ... stream"),
    ("--record weights", "no record 'weights'; known: gradients, activations"),
    ("--precision fp16", "no precision 'fp16'; known: no, bf16"),
    ("--stop-at acc", "no criterion 'acc'; known: accuracy, st3, paper, both, none"),
    ("--tracker wandb", "no tracker 'wandb'; known: tensorboard, trackio"),
    ("--recipe foo", "no recipe of qrsu 'foo'; known: solve, tutorial"),
    ("--initialization foo", "'default', 'forget_bias', 'chrono', 'identity'"),
    ("--initialization identity", "'rnn_tanh' ... 'rnn_relu'"),
    ("--model rnn_relu --initialization chrono", "chrono"),
    ("--chrono-max-steps 0", "chrono"),
    ("--hidden-size 60000", "60000 ... memory"),
    *((f"--data {name}", f"{name} ... stream, splits")
      for name in ("no-such-folder", "file", "file/below", "loop", "Stream")),
    ("--data empty", "no dataset.json in empty"),
    ("--data run", "no dataset.json in run, which holds a finished run"),
    ("--output-dir file", "file is a file"),
    ("--output-dir file/below", "file/below: Not a directory"),
    ("--output-dir loop", "loop: "),
    ("--output-dir loop/below", "loop/below: "),
    ("--output-dir /proc/below", "/proc/below: "),
    (f"--output-dir {'x' * 300}", "File name too long"),
    ("--output-dir run", "run ... finished run"),
    ("--output-dir run --resume", "run ... finished run"),
    ("--output-dir data", "data "),
    ("--output-dir data --resume", "data "),
    ("--output-dir bare-family --resume", "bare-family "),
    ("--output-dir stopped", "stopped ... --resume"),
    ("--output-dir stopped --resume --seed 4 --batch-size 8", "16 ... 8"),
]  # fmt: skip
FOLDERS = [
    ("missing", "missing"),
    ("file", "file"),
    ("loop", "loop"),
    ("nowhere", "nowhere"),
    ("file/below", "file/below"),
    ("empty", "empty"),
    ("stopped", "unfinished run ... --resume"),
    ("half-saved", "unfinished run ... --resume"),
]
RUNS = [
    ("evaluate data", "no run.json in data, which holds a dataset"),
    ("plot data", "no run.json in data, which holds a dataset"),
    ("evaluate truncated", "model.safetensors is truncated or was changed"),
    ("plot truncated", "model.safetensors is truncated or was changed"),
    ("evaluate family", "config.json is truncated or was changed"),
    ("evaluate bare-family", "no run.json in bare-family"),
    ("plot no-history", "no-history/history.jsonl"),
    *((f"{command} {folder}", f"{folder}/run.json ... JSON")
      for command in ("evaluate", "plot", "card", "verify") for folder in ("no-json",)),
    *((f"{command} foreign-address", "no task 'no_such_task'; known: ")
      for command in ("evaluate", "plot", "card", "verify")),
    ("evaluate run --num-examples 0", "--num-examples 0 ... 1"),
    ("evaluate run --num-examples -1", "--num-examples -1 ... 1"),
    (f"evaluate run --num-examples {HUGE}", f"--num-examples {HUGE}"),
    ("evaluate run --sibling-examples -1", "--sibling-examples -1 ... 0"),
    ("evaluate run --num-examples x", "given 'x'"),
    ("evaluate run --seed x", "given 'x'"),
    ("plot run --text Z", "'Z' ... position 0 ... XYabcdBE"),
    ("plot run --text BaXbéE", "'é' ... position 4 ... XYabcdBE"),
    ("plot run --text BaXb_E", "'_' ... position 4"),
    ("plot run --text=", "empty"),
    *((f"{command} --repo {repo}", "namespace/name") for command in ("card run", "card data", "push run --dry-run")
      for repo in ("bad", "a/b/c", "../x", "me/x.git", "me/é", "https://huggingface.co/me/x", f"me/{'x' * 97}")),
    ("push run --repo=", "'' ... namespace/name"),
    *((f"push run --repo me/x --endpoint {endpoint}", f"{endpoint} ... https://huggingface.co")
      for endpoint in ("nonsense", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999", "http://[::1")),
    ("verify bad", "bad is neither a folder nor a repository ... namespace/name"),
    ("verify a/b/c", "a/b/c is neither a folder nor a repository"),
    ("verify run/run.json", "run/run.json is a file ... folder ... repository"),
    ("verify run --dataset missing", "no dataset.json in missing"),
    ("verify run --dataset run", "no dataset.json in run, which holds a finished run"),
    ("verify measured-on-few --dataset data", "data ... validation"),
    ("verify measured-on-few --dataset data --isolated", "data ... validation"),
    ("verify data --isolated", "data ... dataset"),
    ("verify data --dataset data", "data ... dataset"),
    ("export data", "data ... dataset"),
    ("export bad", "bad is neither a folder nor a repository ... namespace/name"),
    ("export truncated", "model.safetensors is truncated or was changed"),
    ("export run --format tflite", "'tflite' is not one of 'onnx', 'torch'"),
    ("export run --output empty", "empty is a folder"),
    ("export run --output missing/model.onnx", "missing/model.onnx ... folder missing"),
    ("export run --output file", "file ... --overwrite"),
    ("demo run", "run has "),
    ("demo file", "file is a file; give another folder"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(invalid_inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(invalid_inputs)


def faults_of(lines: list[tuple[str, str]], folder: Path, *before: str) -> str:
    """Return the faults of command lines that begin with the words `before`, one on a line."""
    return "\n".join(user_error_faults(lines, lambda line: call(*before, *line.split(" ")), folder))


def test_command_lines(invalid_inputs: Path) -> None:
    assert not faults_of(COMMAND_LINES, invalid_inputs)


def test_data_build(invalid_inputs: Path) -> None:
    assert not faults_of(BUILDS, invalid_inputs, "data", "build")


def test_train(invalid_inputs: Path) -> None:
    assert not faults_of(SETTINGS, invalid_inputs, "train", "qrsu/easy")


def test_train_on_missing_tasks_and_data(invalid_inputs: Path) -> None:
    missing = [
        ("qrsu", f"no config of qrsu ''; {LEVELS}"),
        ("qrs/hard", "no task 'qrs'; known: "),
        ("qrsu/hardd", f"no config of qrsu 'hardd'; {LEVELS}"),
        ("qrsu/hard --data no-such-folder", "no-such-folder ... stream, splits"),
        ("qrsu/hard --data data", "no config of data 'hard'; known: easy"),
    ]
    assert not faults_of(missing, invalid_inputs, "train")


def test_folders_without_a_run(invalid_inputs: Path) -> None:
    lines = [
        (f"{command} {folder}{' --repo me/x' if command == 'push' else ''}", about)
        for command in RECORDED
        for folder, about in FOLDERS
    ]
    assert not faults_of(lines, invalid_inputs)


def test_commands_on_runs(invalid_inputs: Path) -> None:
    assert not faults_of(RUNS, invalid_inputs)


def test_names_that_are_not_text(invalid_inputs: Path) -> None:
    for arguments in (
        ["tasks", "show", "\udcff"],
        ["card", "\udcff"],
        ["train", "qrsu/easy", "--output-dir", "a\udcff"],
    ):
        assert_user_error(partial(call, *arguments), about="not valid UTF-8", folder=invalid_inputs)
    raw = partial(program, "train", "qrsu/easy", "--output-dir", b"\xff\xfe", folder=invalid_inputs)
    assert_user_error(raw, about="not valid UTF-8", folder=invalid_inputs)


def test_names_with_control_characters_stay_on_one_line(invalid_inputs: Path) -> None:
    for name in ("nul\0byte", "new\nline\x1b[31m"):
        for command in ("card", "evaluate"):
            assert_user_error(partial(call, command, name), about="", folder=invalid_inputs)


# consistency of the fields of a record


TAMPERED: list[tuple[dict[str, Any], str]] = [
    ({"address": 5}, "address"),
    ({"files": ["config.json"]}, "files"),
    ({"files": {"config.json": None}}, "files.config.json"),
    ({"evaluation": None}, "evaluation"),
    ({"evaluation": {"test": {}}}, "evaluation.test.accuracy"),
    ({"evaluation": {"test": 3}}, "evaluation.test"),
    ({"criteria": {"st3": "soon"}}, "criteria.st3"),
    ({"training": None}, "training"),
    ({"timings": []}, "timings"),
    ({"num_parameters": True}, "num_parameters"),
]


def test_the_error_on_a_tampered_record_names_the_field(run: Path) -> None:
    path = run / "run.json"
    record = json.loads(path.read_text())
    for changes, field in TAMPERED:
        path.write_text(json.dumps(record | changes))
        for command in ("evaluate", "card", "plot", "verify"):
            assert_user_error(partial(call, command, run), about=field, folder=run)


def test_a_record_without_probes_or_with_too_many_rows_cannot_be_verified(run: Path) -> None:
    path = run / "run.json"
    record = json.loads(path.read_text())
    endless = {"test": record["evaluation"]["test"] | {"examples": 10**18}}
    for changes, about in (({"probe": {}}, "sequences"), ({"evaluation": endless}, "at most")):
        path.write_text(json.dumps(record | changes))
        assert_user_error(lambda: call("verify", run), about=about, folder=run)


def test_a_tampered_record_of_a_dataset(data: Path) -> None:
    path = data / "dataset.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"configs": {"easy": {}}}))
    for command in ("card", "verify"):
        assert_user_error(partial(call, command, data), about="configs.easy.splits", folder=data)


@pytest.mark.parametrize("damage", ["missing", "truncated", "no card", "an invalid text"])
def test_verify_of_a_damaged_dataset_names_the_difference(data: Path, damage: str) -> None:
    path = data / "easy" / "test-00000-of-00001.parquet"
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "no card":
        (data / "README.md").unlink()
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        texts = ["no qrsu", *table["text"].to_pylist()[1:]]
        pq.write_table(table.set_column(0, table.schema.field("text"), pa.array(texts)), path)
    ended = call("verify", data)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith(f"error: {data} differs from its record in: ")
    assert "easy test" in ended.err
    assert "DIFFERENT" in ended.out
    assert "Traceback" not in ended.out + ended.err


# disks, environments, Hubs


def test_a_full_disk_does_not_change_the_run(run: Path) -> None:
    for command in (["evaluate", "--num-examples", "50", "--sibling-examples", "0"], ["card"], ["plot"]):
        with files_of_at_most(500):
            assert_user_error(partial(call, command[0], run, *command[1:]), about="cannot write", folder=run)


def test_a_full_disk_leaves_no_half_built_dataset(tmp_path: Path) -> None:
    with files_of_at_most(500):
        assert_user_error(
            lambda: call("data", "build", "qrsu", "--out", "new", *SIZES), about="cannot write new", folder=tmp_path
        )
    assert not Path("new").exists()


def test_a_run_can_be_resumed_after_a_full_disk_at_its_end(tmp_path: Path) -> None:
    train = ["train", "qrsu/easy", *SHORT, "--max-sequences", "240", "--output-dir", tmp_path / "run"]
    code = Path(seqhub.models.recurrent.__file__).with_name("modeling_recurrent.py")
    with files_of_at_most(code.stat().st_size - 1):  # enough for a checkpoint
        ended = call(*train)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "checkpoint" in ended.err
    assert not (tmp_path / "run" / "run.json").exists()
    assert json.loads(output_of(*train, "--resume", "--json"))["sequences_seen"] == 240


def test_a_run_that_diverges_is_an_error_and_not_saved(tmp_path: Path) -> None:
    for batch_size in (16, 960):  # between validations, and in the last step
        folder = tmp_path / str(batch_size)
        options = [*SHORT, "--batch-size", batch_size, "--learning-rate", "1e300", "--evaluate-every", "960"]
        ended = call("train", "qrsu/easy", *options, "--output-dir", folder)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert "learning_rate" in ended.err
        assert not (folder / "run.json").exists()


def test_an_incomplete_environment_of_a_launcher_is_an_error(
    invalid_inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = {"LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for variables in (
        {"LOCAL_RANK": "0"},
        {"RANK": "1", "WORLD_SIZE": "1", **master},
        {"RANK": "x", "WORLD_SIZE": "2", **master},
    ):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert_user_error(partial(call, "train", "qrsu/easy"), about="LOCAL_RANK=0", folder=invalid_inputs)


def test_a_rank_without_a_launcher_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert output_of("train", "qrsu/easy", *SHORT, "--output-dir", tmp_path / "run").startswith("qrsu/easy lstm")


def test_push_to_an_unreachable_hub_prints_the_command_to_retry(invalid_inputs: Path) -> None:
    endpoint = "http://127.0.0.1:9"

    def push() -> Ended:
        return program(
            "push", "run", "--repo", "me/x", "--endpoint", endpoint, "--private", folder=invalid_inputs, seconds=30
        )

    later = f"seqhub push run --repo me/x --endpoint {endpoint} --private"
    assert_user_error(push, about=later, folder=invalid_inputs)


def test_push_in_offline_mode_is_an_error(invalid_inputs: Path) -> None:  # tests run in offline mode
    assert_user_error(
        lambda: call("push", "run", "--repo", "me/x"),
        about="offline mode is on (HF_HUB_OFFLINE)",
        folder=invalid_inputs,
    )


def test_verify_of_a_repository_on_an_unreachable_hub(invalid_inputs: Path) -> None:
    assert_user_error(
        lambda: call("verify", "me/x", "--endpoint", "http://127.0.0.1:9"), about="cannot fetch", folder=invalid_inputs
    )


def test_the_demo_deletes_only_files_of_a_demo(made: Any, tmp_path: Path) -> None:
    own = tmp_path / "demo"
    own.mkdir()
    (own / ".seqhub-demo").touch()
    shutil.copytree(made.run, own / "qrsu-hard-lstm")
    (own / "notes.txt").write_text("years of work")
    assert_user_error(lambda: call("demo", own), about="notes.txt", folder=own)
    (own / "notes.txt").unlink()
    (own / ".seqhub-demo").unlink()
    assert_user_error(lambda: call("demo", own), about="qrsu-hard-lstm", folder=own)
    assert tree(own)


@pytest.mark.slow
def test_commands_run_with_any_width_encoding_and_kind_of_terminal(invalid_inputs: Path) -> None:
    for variables in (
        {"COLUMNS": "1"},
        {"COLUMNS": "x"},
        {"PYTHONIOENCODING": "ascii"},
        {"TERM": "dumb"},
        {"LC_ALL": "C"},
    ):
        ended = program("tasks", "show", "qrsu/easy", folder=invalid_inputs, **variables)
        assert (ended.code, ended.err) == (0, ""), variables
    assert os.environ["HF_HUB_OFFLINE"] == "1"
