"""Whatever a careless or hostile user types: one line that names it, exit code 2, and nothing on disk is touched."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import seqhub.models.recurrent
from tests.cli.conftest import SIZES
from tests.cli.test_forms import SHORT
from tests.helpers.cli_calls import Ended, call, files_of_at_most, program, refused, tree, well

HUGE = str(10**30)
RECORDED = ["evaluate", "card", "plot", "push", "verify", "export"]  # commands on the folder of a run
LEVELS = "known: easy, normal, moderate, hard, nightmare"

COMMAND_LINES = [
    ("--nonsense", "No such option: --nonsense"),
    ("--help=x", "'--help' does not take a value"),
    ("tasks ls --jsn", "Possible options: --json"),
    ("tasks ls more", "unexpected extra argument(s) (more)"),
    ("tasks show", "Missing argument 'task' (see `seqhub tasks show --help`)"),
    ("push run", "Missing option '--repo'"),
    ("push run --repo", "'--repo' requires an argument"),
    ("train --model lstm", "Missing argument 'task'"),
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
    ("qrsu --config easy --config easy", "configs easy, easy of qrsu; give one or more, each once"),
    *((f"qrsu --{split}-size {size}", f"{split}_size {size} ") for split in ("train", "test") for size in (0, -1)),
    *((f"qrsu --train-size {size}", f"given '{size}'") for size in ("x", "1.5", "nan", "1e3")),
    (f"qrsu --test-size {HUGE}", f"test_size {HUGE} for qrsu; a split has at most 100,000,000 rows"),
    ("qrsu --seed x", "Invalid value for '--seed'"),
    ("qrsu --out file", "file holds something that is no data set"),
    ("qrsu --out file/below", "cannot write file/below"),
    ("qrsu --out run", "run holds something that is no data set"),
    ("qrsu --out data", "data holds a data set of qrsu; overwrite it, or give another folder"),
    ("qrsu --out loop", "loop is a link to nothing"),
    ("qrsu --out nowhere", "nowhere is a link to nothing"),
    ("qrsu --out loop/below", "cannot write loop/below"),
    ("qrsu --out /proc/below", "cannot write /proc/below"),
    (f"qrsu --out {'x' * 300}", "File name too long"),
    ("qrsu --repo bad --out new", "repository 'bad'; need namespace/name"),
    ("qrsu --repo a/b/c --out data --overwrite", "repository 'a/b/c'; need namespace/name"),
]
SETTINGS: list[tuple[str, str]] = [
    *((f"--{name} {value}", f"--{name} {value}: must be at least 1")
      for name in ("hidden-size", "num-hidden-layers", "epochs", "max-sequences", "batch-size", "threads",
                   "evaluate-every", "evaluate-size", "checkpoint-every") for value in (0, -5)),
    *((f"--{name} {HUGE}", f"--{name} {HUGE}: must be at most")
      for name in ("hidden-size", "num-hidden-layers", "batch-size", "threads", "evaluate-size")),
    *((f"--{name} {value}", f"--{name} {value}: must be ") for value in ("nan", "inf", "-1.0")
      for name in ("learning-rate", "weight-decay", "momentum", "accuracy", "max-grad-norm")),
    *((f"--{name} x", "given 'x'") for name in ("seed", "batch-size", "learning-rate", "chrono-max-steps")),
    *((f"--seed {sign}{HUGE}", "must be a number of 64 bits") for sign in ("", "-")),
    ("--forget-bias nan", "--forget-bias nan: must be a finite number"),
    ("--learning-rate 0", "--learning-rate 0.0: must be above 0"),
    ("--learning-rate 1e-400", "--learning-rate 0.0: must be above 0"),
    ("--momentum 1", "--momentum 1.0: must be below 1"),
    ("--beta1 1", "--beta1 1.0: must be at least 0 and below 1"),
    ("--beta2 -0.1", "--beta2 -0.1: must be at least 0 and below 1"),
    ("--error-reference 0", "--error-reference 0.0: must be above 0"),
    ("--error-floor 2", "--error-floor 2.0: must be at least 0 and at most 1"),
    ("--accuracy 1.5", "--accuracy 1.5: must be above 0 and at most 1"),
    ("--warmup -1", "--warmup -1: must be at least 0"),
    ("--model lstn", "no model 'lstn'; known: "),
    ("--model cnn", "must be one of gru, lstm, lstm_hs97, rnn_relu, rnn_tanh, as the task has symbols"),
    ("--optimizer adem", "no optimizer 'adem'; known: adam, adamw, rmsprop, sgd"),
    ("--schedule poly", "no schedule 'poly'; known: constant, linear, cosine, step, error"),
    ("--schedule step", "--decay-every 0: must be at least 1 with data=stream"),
    ("--record weights", "no record 'weights'; known: gradients, activations"),
    ("--precision fp16", "no precision 'fp16'; known: no, bf16"),
    ("--stop-at acc", "no criterion 'acc'; known: accuracy, st3, paper, both, none"),
    ("--tracker wandb", "no tracker 'wandb'; known: tensorboard, trackio"),
    ("--recipe foo", "no recipe of qrsu 'foo'; known: solve, tutorial"),
    ("--initialization foo", "'default', 'forget_bias', 'chrono', 'identity'"),
    ("--initialization identity", "needs cell 'rnn_tanh' or 'rnn_relu'"),
    ("--model rnn_relu --initialization chrono", "chrono"),
    ("--chrono-max-steps 0", "chrono_max_steps >= 3"),
    ("--hidden-size 60000", "too large for the memory"),
    *((f"--data {name}", f"--data {name}: must be stream, splits or a folder that `seqhub data build` made")
      for name in ("no-such-folder", "file", "file/below", "loop", "Stream")),
    ("--data empty", "no dataset.json in empty"),
    ("--data run", "no dataset.json in run, which holds a finished run"),
    ("--output-dir file", "file is a file; give another output folder"),
    ("--output-dir file/below", "file/below: Not a directory"),
    ("--output-dir loop", "loop: "),
    ("--output-dir loop/below", "loop/below: "),
    ("--output-dir /proc/below", "/proc/below: "),
    (f"--output-dir {'x' * 300}", "File name too long"),
    ("--output-dir run", "run holds a finished run; give another output folder"),
    ("--output-dir run --resume", "run holds a finished run; give another output folder"),
    ("--output-dir data", "data is not empty"),
    ("--output-dir data --resume", "data holds no run to go on with, but something else"),
    ("--output-dir bare-family --resume", "bare-family holds no run to go on with"),
    ("--output-dir stopped", "stopped holds a run that was stopped; --resume goes on with it"),
    ("--output-dir stopped --resume --seed 4 --batch-size 8", "batch_size=16 there and 8 here"),
]  # fmt: skip
FOLDERS = [
    ("missing", "missing"),
    ("file", "file"),
    ("loop", "loop"),
    ("nowhere", "nowhere"),
    ("file/below", "file/below"),
    ("empty", "empty"),
    ("stopped", "a run that is not finished; `seqhub train` with --resume goes on"),
    ("half-saved", "a run that is not finished; `seqhub train` with --resume goes on"),
]
RUNS = [
    ("evaluate data", "no run.json in data, which holds a dataset"),
    ("plot data", "no run.json in data, which holds a dataset"),
    ("evaluate truncated", "model.safetensors is truncated or was changed"),
    ("plot truncated", "model.safetensors is truncated or was changed"),
    ("evaluate family", "config.json is truncated or was changed"),
    ("evaluate bare-family", "no run.json in bare-family"),
    ("plot no-history", "no-history/history.jsonl is no history of a run"),
    *((f"{command} {folder}", f"{folder}/run.json is not valid JSON")
      for command in ("evaluate", "plot", "card", "verify") for folder in ("no-json",)),
    *((f"{command} foreign-address", "no task 'copying'; known: ")
      for command in ("evaluate", "plot", "card", "verify")),
    ("evaluate run --rows 0", "rows 0; need 1 to "),
    ("evaluate run --rows -1", "rows -1; need 1 to "),
    (f"evaluate run --rows {HUGE}", f"rows {HUGE}; need 1 to "),
    ("evaluate run --sibling-rows -1", "sibling_rows -1; need 0 to "),
    ("evaluate run --rows x", "given 'x'"),
    ("evaluate run --seed x", "given 'x'"),
    ("plot run --text Z", "symbol 'Z' at position 0 of row 0; the alphabet is 'XYabcdBE'"),
    ("plot run --text BaXbéE", "symbol 'é' at position 4 of row 0; the alphabet is 'XYabcdBE'"),
    ("plot run --text BaXb_E", "symbol '_' at position 4"),
    ("plot run --text=", "empty text in row 0"),
    *((f"{command} --repo {repo}", "need namespace/name") for command in ("card run", "card data", "push run --dry-run")
      for repo in ("bad", "a/b/c", "../x", "me/x.git", "me/é", "https://huggingface.co/me/x", f"me/{'x' * 97}")),
    ("push run --repo=", "repository ''; need namespace/name"),
    *((f"push run --repo me/x --endpoint {task_id}", "need one like https://huggingface.co or http://127.0.0.1:8080")
      for task_id in ("nonsense", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999", "http://[::1")),
    ("verify bad", "no folder bad, and no repository either: repository 'bad'; need namespace/name"),
    ("verify a/b/c", "no folder a/b/c, and no repository either"),
    ("verify run/run.json", "run/run.json is a file; give a folder, or a repository on a Hub"),
    ("verify run --dataset missing", "no dataset.json in missing, which is not a folder"),
    ("verify run --dataset run", "no dataset.json in run, which holds a finished run"),
    ("verify measured-on-few --dataset data", "data has other validation rows than the 50 of seed 0"),
    ("verify measured-on-few --dataset data --alone", "data has other validation rows than the 50 of seed 0"),
    ("verify data --alone", "data holds a dataset; alone and dataset are for models"),
    ("verify data --dataset data", "data holds a dataset; alone and dataset are for models"),
    ("export data", "data holds a dataset; give a model"),
    ("export bad", "no folder bad, and no repository either: repository 'bad'; need namespace/name"),
    ("export truncated", "model.safetensors is truncated or was changed"),
    ("export run --format tflite", "'tflite' is not one of 'onnx', 'torch'"),
    ("export run --output empty", "output empty is a folder; give a file"),
    ("export run --output missing/model.onnx", "output missing/model.onnx: no folder missing"),
    ("export run --output file", "file exists; --overwrite replaces it"),
    ("demo run", "run holds "),
    ("demo file", "file is a file; give another folder"),
]  # fmt: skip


def case(line: str) -> str:
    return line if len(line) < 70 else f"{line[:60]}..."


@pytest.fixture(autouse=True)
def here(mess: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mess)


@pytest.mark.parametrize(("line", "about"), COMMAND_LINES, ids=case)
def test_command_lines(mess: Path, line: str, about: str) -> None:
    refused(lambda: call(*line.split()), about=about, folder=mess)


@pytest.mark.parametrize(("line", "about"), BUILDS, ids=case)
def test_data_build(mess: Path, line: str, about: str) -> None:
    refused(lambda: call("data", "build", *line.split()), about=about, folder=mess)


@pytest.mark.parametrize(("line", "about"), SETTINGS, ids=case)
def test_train(mess: Path, line: str, about: str) -> None:
    refused(lambda: call("train", "qrsu/easy", *line.split()), about=about, folder=mess)


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("qrsu", f"no config of qrsu ''; {LEVELS}"),
        ("qrs/hard", "no task 'qrs'; known: "),
        ("qrsu/hardd", f"no config of qrsu 'hardd'; {LEVELS}"),
        ("qrsu/hard --data no-such-folder", "--data no-such-folder: must be stream, splits or a folder"),
        ("qrsu/hard --data data", "no config of data 'hard'; known: easy"),
    ],
)
def test_train_on_what_is_not_there(mess: Path, line: str, about: str) -> None:
    refused(lambda: call("train", *line.split()), about=about, folder=mess)


@pytest.mark.parametrize("command", RECORDED)
@pytest.mark.parametrize(("folder", "about"), FOLDERS, ids=case)
def test_folders_that_hold_no_run(mess: Path, command: str, folder: str, about: str) -> None:
    more = ["--repo", "me/x"] if command == "push" else []
    refused(lambda: call(command, folder, *more), about=about, folder=mess)


@pytest.mark.parametrize(("line", "about"), RUNS, ids=case)
def test_commands_on_runs(mess: Path, line: str, about: str) -> None:
    refused(lambda: call(*line.split(" ")), about=about, folder=mess)


@pytest.mark.parametrize(
    "arguments", [["tasks", "show", "\udcff"], ["card", "\udcff"], ["train", "qrsu/easy", "--output-dir", "a\udcff"]]
)
def test_names_that_are_no_text(mess: Path, arguments: list[str]) -> None:
    refused(lambda: call(*arguments), about="is not UTF-8", folder=mess)


def test_a_folder_whose_name_is_no_text_in_a_process_of_its_own(mess: Path) -> None:
    refused(
        lambda: program("train", "qrsu/easy", "--output-dir", b"\xff\xfe", folder=mess),
        about="is not UTF-8",
        folder=mess,
    )


@pytest.mark.parametrize("name", ["nul\0byte", "new\nline\x1b[31m"])
def test_names_with_strange_characters_stay_one_line(mess: Path, name: str) -> None:
    for command in ("card", "evaluate"):
        refused(lambda command=command: call(command, name), about="", folder=mess)  # type: ignore[misc]


# what must hold between fields of a record


@pytest.mark.parametrize(
    ("changes", "field"),
    [
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
    ],
    ids=str,
)
def test_a_tampered_record_is_named_by_field(run: Path, changes: dict[str, Any], field: str) -> None:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    for command in ("evaluate", "card", "plot", "verify"):
        refused(lambda command=command: call(command, run), about=field, folder=run)  # type: ignore[misc]


def test_a_record_without_probes_or_with_endless_rows_proves_nothing(run: Path) -> None:
    path = run / "run.json"
    record = json.loads(path.read_text())
    endless = {"test": record["evaluation"]["test"] | {"examples": 10**18}}
    for changes, about in (({"probe": {}}, "no sequences with their logits"), ({"evaluation": endless}, "at most")):
        path.write_text(json.dumps(record | changes))
        refused(lambda: call("verify", run), about=about, folder=run)


def test_a_tampered_record_of_a_dataset(data: Path) -> None:
    path = data / "dataset.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"configs": {"easy": {}}}))
    for command in ("card", "verify"):
        refused(lambda command=command: call(command, data), about="configs.easy.splits", folder=data)  # type: ignore[misc]


@pytest.mark.parametrize("damage", ["gone", "truncated", "no card", "a foreign text"])
def test_verify_of_a_damaged_dataset_names_what_differs(data: Path, damage: str) -> None:
    path = data / "easy" / "test-00000-of-00001.parquet"
    if damage == "gone":
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


@pytest.mark.parametrize("command", ["evaluate", "card", "plot"])
def test_a_full_disk_leaves_the_run_as_it_was(run: Path, command: str) -> None:
    few = ["--rows", "50", "--sibling-rows", "0"] if command == "evaluate" else []
    with files_of_at_most(500):
        refused(lambda: call(command, run, *few), about="cannot write", folder=run)


def test_a_full_disk_leaves_no_half_built_dataset(tmp_path: Path) -> None:
    with files_of_at_most(500):
        refused(
            lambda: call("data", "build", "qrsu", "--out", "new", *SIZES), about="cannot write new", folder=tmp_path
        )
    assert not Path("new").exists()


def test_a_full_disk_at_the_end_of_a_run_costs_nothing_but_that_end(tmp_path: Path) -> None:
    train = ["train", "qrsu/easy", *SHORT, "--max-sequences", "240", "--output-dir", tmp_path / "run"]
    code = Path(seqhub.models.recurrent.__file__).with_name("modeling_recurrent.py")
    with files_of_at_most(code.stat().st_size - 1):  # enough for a checkpoint
        ended = call(*train)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "its checkpoint is still there" in ended.err
    assert not (tmp_path / "run" / "run.json").exists()
    assert json.loads(well(*train, "--resume", "--json"))["sequences_seen"] == 240


def test_a_run_that_diverges_says_so_instead_of_saving_it(tmp_path: Path) -> None:
    for batch_size in (16, 960):  # between checks, and in the last step before the end
        folder = tmp_path / str(batch_size)
        options = [*SHORT, "--batch-size", batch_size, "--learning-rate", "1e300", "--evaluate-every", "960"]
        ended = call("train", "qrsu/easy", *options, "--output-dir", folder)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert "lower learning_rate" in ended.err
        assert not (folder / "run.json").exists()


@pytest.mark.parametrize(
    "variables",
    [
        {"LOCAL_RANK": "0"},
        {"RANK": "1", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"},
        {"RANK": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"},
    ],
    ids=str,
)
def test_half_of_a_launchers_environment(
    mess: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refused(lambda: call("train", "qrsu/easy"), about="LOCAL_RANK=0", folder=mess)


def test_a_rank_without_a_launcher_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert well("train", "qrsu/easy", *SHORT, "--output-dir", tmp_path / "run").startswith("qrsu/easy lstm")


def test_push_to_a_hub_that_is_not_there_says_how_to_push_later(mess: Path) -> None:
    task_id = "http://127.0.0.1:9"

    def push() -> Ended:
        return program("push", "run", "--repo", "me/x", "--endpoint", task_id, "--private", folder=mess, seconds=30)

    later = f"run is whole, for later: seqhub push run --repo me/x --endpoint {task_id} --private"
    refused(push, about=later, folder=mess)


def test_push_in_offline_mode_says_so(mess: Path) -> None:  # tests run in offline mode
    refused(lambda: call("push", "run", "--repo", "me/x"), about="offline mode is on (HF_HUB_OFFLINE)", folder=mess)


def test_verify_of_a_repository_on_a_hub_that_is_not_there(mess: Path) -> None:
    refused(lambda: call("verify", "me/x", "--endpoint", "http://127.0.0.1:9"), about="cannot fetch", folder=mess)


def test_the_demo_takes_nothing_away_but_what_a_demo_made(made: Any, tmp_path: Path) -> None:
    own = tmp_path / "demo"
    own.mkdir()
    (own / ".seqhub-demo").touch()
    shutil.copytree(made.run, own / "qrsu-hard-lstm")
    (own / "notes.txt").write_text("years of work")
    refused(lambda: call("demo", own), about="holds notes.txt, which no demo made", folder=own)
    (own / "notes.txt").unlink()
    (own / ".seqhub-demo").unlink()
    refused(lambda: call("demo", own), about="holds qrsu-hard-lstm, which no demo made", folder=own)
    assert tree(own)


def test_no_command_can_be_stopped_by_its_own_environment(mess: Path) -> None:
    """Any width, encoding and kind of terminal will do."""
    for variables in (
        {"COLUMNS": "1"},
        {"COLUMNS": "x"},
        {"PYTHONIOENCODING": "ascii"},
        {"TERM": "dumb"},
        {"LC_ALL": "C"},
    ):
        ended = program("tasks", "show", "qrsu/easy", folder=mess, **variables)
        assert (ended.code, ended.err) == (0, ""), variables
    assert os.environ["HF_HUB_OFFLINE"] == "1"
