"""Output formats of commands: a table for people, JSON for programs, one or two lines for scripts."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqhub.models.registry import config_fields, family_of, list_presets
from seqhub.records import DatasetRecord, RunRecord
from seqhub.tasks.registry import get_task, list_tasks, resolve
from seqhub.tasks.splits import Split, format_value
from tests.cli.conftest import SETTINGS, SIZES, Made
from tests.helpers.cli_calls import call, output_of

SHORT = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items() if name != "task"]


def three(*arguments: object) -> tuple[list[str], Any, list[str]]:
    """Return lines of the table, JSON, and lines of `--quiet`."""
    table = output_of(*arguments).splitlines()
    assert table
    assert all(len(line) <= 80 for line in table), table
    assert not any("[/" in line or "None" in line or "\x1b" in line for line in table)
    return table, json.loads(output_of(*arguments, "--json")), output_of(*arguments, "--quiet").splitlines()


def test_tasks_ls() -> None:
    table, values, quiet = three("tasks", "ls")
    assert [each["task"] for each in values] == list(list_tasks())
    assert quiet == [f"{each['task']}/{config}" for each in values for config in each["configs"]]
    for task_id in quiet:
        resolve(task_id)
    assert [line.split()[0] for line in table[1:] if not line.startswith(" ")] == list(list_tasks())


def test_models_ls() -> None:
    table, values, quiet = three("models", "ls")
    assert sorted(each["model"] for each in values) == sorted(quiet)
    assert set(list_presets()) <= set(quiet)
    lines = [line.split() for line in table[1:] if line and not line.startswith((" ", "model "))]
    assert [line[0] for line in lines] == [each["model"] for each in values]
    assert all(line[1] == each["family"] for line, each in zip(lines, values, strict=True) if "parameters" in each)


@pytest.mark.parametrize("preset", ["lstm", "cnn_gru"])
def test_models_show(preset: str) -> None:
    table = output_of("models", "show", preset).splitlines()
    values = json.loads(output_of("models", "show", preset, "--json"))
    assert all(len(line) <= 80 for line in table)
    assert (values["model"], values["family"]) == (preset, family_of(preset))
    assert {each["name"] for each in values["fields"]} == set(config_fields(preset))
    assert all(any(line.startswith(f"{each['name']}: ") for line in table) for each in values["fields"])


@pytest.mark.fast_cases("qrsu", "adding", "square", "row_images", "echo")
@pytest.mark.parametrize("name", list_tasks())
def test_tasks_show(name: str) -> None:
    for config in get_task(name).configs:
        check_show(f"{name}/{config.name}")


def check_show(task_id: str) -> None:
    task, config = resolve(task_id)
    schema = task.schema(config)
    table, values, quiet = three("tasks", "show", task_id)
    examples = [(inputs if schema.vocabulary else np.float32(inputs), target) for inputs, target in values["examples"]]
    assert [line.split("\t") for line in quiet] == [
        [format_value(target), format_value(inputs)] for inputs, target in examples
    ]
    assert len(quiet) == min(5, Split(task_id).size or 5)
    if schema.target != "number" and task.has_exact_targets(config, "train"):
        assert task.solve_batch([inputs for inputs, _ in examples], config) == [target for _, target in examples]
    assert values["labels"] == list(schema.labels)
    parameters = json.loads(json.dumps(config.parameters()))
    assert {name: values[name] for name in parameters} == parameters
    for name in ("description", "symbols", "values", "target", "chance", *config.parameters()):
        assert any(line.startswith(f"{name} ") for line in table), name
    text = "".join("".join(table).split())  # long lines of both columns alternate
    assert schema.target == "step_class" or all("".join(format_value(inputs).split()) in text for inputs, _ in examples)


def test_data_build(tmp_path: Path) -> None:
    build = ["data", "build", "qrsu", "--config", "easy", "--config", "hard", "--out", tmp_path / "data", *SIZES]
    assert output_of(*build, "--quiet") == f"{tmp_path / 'data'}\n"
    values = json.loads(output_of(*build, "--overwrite", "--json"))
    assert values == json.loads((tmp_path / "data" / "dataset.json").read_text())
    table = output_of(*build, "--overwrite").splitlines()
    rows = [line.split() for line in table[1:-1]]
    recorded = {
        (config, split): [f"{facts['rows']:,}", f"{facts['bytes']:,}", facts["digest"][:16]]
        for config, part in DatasetRecord.load(tmp_path / "data").configs.items()
        for split, facts in part["splits"].items()
    }
    assert {(config, split): rest for config, split, *rest in rows} == recorded
    assert all(len(line) <= 80 for line in table[:-1])
    assert table[-1] == f"written to {tmp_path / 'data'}"


def test_train(tmp_path: Path) -> None:
    train = ["train", "qrsu/easy", *SHORT, "--output-dir"]
    assert output_of(*train, tmp_path / "one", "--quiet") == f"{tmp_path / 'one'}\n"
    values = json.loads(output_of(*train, tmp_path / "two", "--json"))
    assert values == json.loads((tmp_path / "two" / "run.json").read_text())
    table = output_of(*train, tmp_path / "three").splitlines()
    assert table[0].split() == ["qrsu/easy", "lstm", "seed", "4"]
    assert {line.split()[0] for line in table[1:]} == {*values["criteria"], "training", "parameters", "folder"}


def test_train_shows_its_progress_on_standard_error_only(tmp_path: Path) -> None:
    ended = call("train", "qrsu/easy", *SHORT, "--output-dir", tmp_path / "run")
    assert "960 sequences, loss" in ended.err
    assert all(len(line) <= 80 for line in ended.err.splitlines())
    assert "loss" not in ended.out


def test_quiet_also_hides_the_progress_bars_of_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    ended = call("train", "qrsu/easy", *SHORT, "--data", "splits", "--output-dir", tmp_path / "run", "--quiet")
    assert ended == (0, f"{tmp_path / 'run'}\n", "")


def test_evaluate(run: Path) -> None:
    table, values, quiet = three("evaluate", run, "--num-examples", 100, "--sibling-examples", 20)
    assert values == RunRecord.load(run).evaluation
    siblings = [f"{config.name}/test" for config in get_task("qrsu").configs if config.name != "easy"]
    assert list(values) == ["validation", "test", *siblings]
    assert quiet == [f"{part}\t{metrics['accuracy']:.6f}" for part, metrics in values.items()]
    assert [line.split()[0] for line in table] == ["split", *values]


@pytest.mark.slow
def test_export(run: Path) -> None:
    assert output_of("export", run, "--quiet") == f"{run / 'model.onnx'}\n"
    values = json.loads(output_of("export", run, "--overwrite", "--json"))
    assert values["path"] == str(run / "model.onnx")
    assert values["size"] == (run / "model.onnx").stat().st_size
    assert values["inputs"] == ["input_ids", "attention_mask"]
    table = output_of("export", run, "--format", "torch").splitlines()
    assert table[-1] == str(run / "model.pt2")
    assert [line.split()[0] for line in table[:-1]] == ["inputs", "outputs", "bytes", "checked"]
    assert all(len(line) <= 80 for line in table[:-1])


def test_card_of_a_run_and_of_a_dataset(run: Path, data: Path) -> None:
    for folder, options, files in (
        (run, [], ["README.md"]),
        (run, ["--dataset", "me/qrsu"], ["README.md", ".eval_results/seqhub.yaml"]),
        (data, [], ["README.md"]),
    ):
        paths = [str(folder / name) for name in files]
        (folder / "README.md").unlink()
        assert json.loads(output_of("card", folder, *options, "--json")) == paths
        assert output_of("card", folder, *options, "--quiet").splitlines() == paths
        assert output_of("card", folder, *options).splitlines() == paths
        assert all(Path(path).stat().st_size for path in paths)


@pytest.mark.slow
def test_plot(run: Path) -> None:
    paths = [str(run / "figures" / f"{name}.png") for name in ("states", "curves", "lengths")]
    shutil.rmtree(run / "figures")
    assert json.loads(output_of("plot", run, "--json")) == paths
    assert output_of("plot", run, "--text", "BaXbcYdE", "--quiet").splitlines() == paths
    assert output_of("plot", run).splitlines() == paths
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in paths)


def test_a_run_without_evaluation_can_be_plotted_documented_and_verified(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"evaluation": {}}))
    assert output_of("plot", run, "--quiet").count("\n") == 2
    assert output_of("card", run, "--quiet") == f"{run / 'README.md'}\n"
    assert "has not been measured" in (run / "README.md").read_text()
    assert output_of("verify", run, "--quiet") == "ok\tfiles\nok\tlogits of 8 sequences\n"
    assert "run.json" in output_of("push", run, "--repo", "me/run", "--dry-run", "--quiet")


def test_push_dry_run(made: Made) -> None:
    table, values, quiet = three("push", made.run, "--repo", "me/run", "--dry-run")
    assert values["commit"] is None
    assert quiet == [file["name"] for file in values["files"]]
    assert {"README.md", "config.json", "model.safetensors", "run.json", "figures/states.png"} <= set(quiet)
    for line, file in zip(table[1:-1], values["files"], strict=True):
        assert line.split() == [file["name"], f"{file['size']:,}"]
        if file["name"] != "README.md":  # changed to name the repository
            assert (made.run / file["name"]).stat().st_size == file["size"]
    assert table[-1] == "nothing was uploaded"


def test_verify(made: Made) -> None:
    for folder in made:
        table, values, quiet = three("verify", folder)
        assert all(finding["agrees"] for finding in values)
        assert quiet == [f"ok\t{finding['what']}" for finding in values]
        assert len(table) == 1 + len(values), "each finding is one line"
        assert all(line.startswith("ok ") for line in table[1:])


def test_verify_names_the_difference_in_every_format_and_exits_with_1(run: Path) -> None:
    with (run / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    for form, expected in (
        (["--quiet"], "DIFFERENT\tfiles\n"),
        ([], "model.safetensors is"),
        (["--json"], '"agrees": false'),
    ):
        ended = call("verify", run, *form)
        assert ended.code == 1
        assert expected in ended.out
        assert ended.err == f"error: {run} differs from its record in: files\n"


def test_markup_in_names_is_not_interpreted(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "[bold]a[/] :smile: [link=x]"
    shutil.copytree(made.run, folder)
    assert output_of("card", folder, "--quiet") == output_of("card", folder)
    assert str(folder) in output_of("card", folder)
