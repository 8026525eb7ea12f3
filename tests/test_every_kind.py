"""The whole pipeline for every kind of row: evaluate, verify, plot and document a run and a dataset."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqhub.cards import leaderboard
from seqhub.cards.write import write_card
from seqhub.cli.results import draw, shown_split
from seqhub.data.parquet import write_folder
from seqhub.errors import CorruptFileError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.introspect import load_tracer
from seqhub.records import RunRecord
from seqhub.tasks.registry import resolve
from seqhub.tasks.splits import SPLITS, Split
from seqhub.training.config import TrainConfig
from seqhub.training.train import train
from seqhub.verification.verify import verify
from tests.cards.test_model_card import assert_tables_are_well_formed, body, prose
from tests.cli.test_demo import WITHOUT_SEQHUB, run_python
from tests.helpers.cli_calls import output_of
from tests.helpers.example_configs import KINDS, kind, small_run

Make = Callable[[str], Path]
each_kind = pytest.mark.parametrize("task_id", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a function that makes an evaluated run of a task id, once."""
    folders: dict[str, Path] = {}

    def make(task_id: str) -> Path:
        if task_id not in folders:
            folders[task_id] = tmp_path_factory.mktemp("run") / "model"
            small_run(task_id, folders[task_id])
            evaluate(folders[task_id], num_examples=rows_of(task_id), sibling_examples=20)
        return folders[task_id]

    return make


@pytest.fixture(scope="module")
def data_of(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a function that builds a dataset of one config, once."""
    folders: dict[str, Path] = {}

    def make(task_id: str) -> Path:
        if task_id not in folders:
            task, _, config = task_id.partition("/")
            folders[task_id] = tmp_path_factory.mktemp("data") / task
            sizes = {} if Split(task_id).size else {f"{split}_size": 200 for split in SPLITS}
            write_folder(task, folders[task_id], configs=[config], **sizes)
            write_card(folders[task_id])
        return folders[task_id]

    return make


def rows_of(task_id: str) -> int | None:
    return 200 if Split(task_id).size is None else None


def different(folder: Path, **options: Any) -> list[str]:
    return [finding.what for finding in verify(folder, **options) if not finding.agrees]


@each_kind
def test_a_run_agrees_with_its_record_and_dataset(task_id: str, run_of: Make, data_of: Make) -> None:
    findings = verify(run_of(task_id), dataset=data_of(task_id))
    assert [finding for finding in findings if not finding.agrees] == []
    real = ["mean squared error"] if Split(task_id).schema.tolerance else []
    expected = [f"{split} {what}" for split in ("validation", "test") for what in ("accuracy", *real)]
    assert [finding.what for finding in findings if finding.what.endswith(("accuracy", "error"))] == expected


@pytest.mark.slow
@each_kind
@pytest.mark.timeout(300)
def test_a_run_agrees_without_seqhub(task_id: str, run_of: Make, data_of: Make) -> None:
    assert different(run_of(task_id), isolated=True, dataset=data_of(task_id)) == []


@each_kind
def test_a_changed_record_is_detected(task_id: str, run_of: Make, tmp_path: Path) -> None:
    path = run_of(task_id) / "run.json"
    original = path.read_text()
    schema = Split(task_id).schema
    try:
        for name, what in (("accuracy", "accuracy"), ("mse" if schema.tolerance else "loss", "mean squared error")):
            record = json.loads(original)
            record["evaluation"]["test"][name] *= 1.001
            record["evaluation"]["test"][name] += 0.001
            path.write_text(json.dumps(record))
            assert different(run_of(task_id)) == [f"test {what if schema.tolerance else 'accuracy'}"]
        record = json.loads(original)
        logits = np.array(record["probe"]["logits"][0])
        record["probe"]["logits"][0] = (logits + 0.01).tolist()
        path.write_text(json.dumps(record))
        assert different(run_of(task_id)) == [f"logits of {len(record['probe']['logits'])} sequences"]
        record["probe"]["logits"][0] = logits.repeat(3, axis=-1).tolist()
        path.write_text(json.dumps(record))
        with pytest.raises(CorruptFileError, match="logits"):
            verify(run_of(task_id))
    finally:
        path.write_text(original)


@each_kind
def test_a_record_with_the_metrics_of_another_target_is_an_error(task_id: str, run_of: Make) -> None:
    record = RunRecord.load(run_of(task_id))
    record.require_metrics(Split(task_id).schema)
    for name in ("per_class", "mse", "whole", "tokens"):
        record.evaluation["test"].pop(name, None)
    with pytest.raises(CorruptFileError, match=r"evaluation\.test\.(per_class|mse|whole|tokens)"):
        record.require_metrics(Split(task_id).schema)


@each_kind
def test_states_and_readout_have_a_row_for_each_step(task_id: str, run_of: Make) -> None:
    record = RunRecord.load(run_of(task_id))
    schema = Split(task_id).schema
    example = Split(task_id, "test")[0]
    seen = load_tracer(run_of(task_id))(example.inputs)
    steps = len(schema.vocabulary.encode(example.inputs)) if schema.vocabulary is not None else len(example.inputs)
    np.testing.assert_allclose(seen.logits, record.probe["logits"][0], atol=1e-4)
    assert all(state.shape == (steps, 4) for state in seen.states.values())
    assert bool(seen.states) == (schema.target not in ("inputs", "sequence"))
    if seen.readout is not None:
        assert len(seen.readout) == steps
        if schema.target != "number":
            np.testing.assert_allclose(seen.readout.sum(axis=1), 1, atol=1e-5)


@each_kind
def test_a_dataset_agrees_with_its_record_and_definition(task_id: str, data_of: Make) -> None:
    """Targets are compared with the definition of the task unless noise is part of them."""
    findings = verify(data_of(task_id))
    task, config = resolve(task_id)
    checked = [
        f"{config.name} {split} labels by definition" for split in SPLITS if task.has_exact_targets(config, split)
    ]
    assert [finding.what for finding in findings if finding.what.endswith("by definition")] == checked
    assert len(findings) == 3 * len(SPLITS) + len(checked)
    assert [finding for finding in findings if not finding.agrees] == []


@each_kind
def test_a_changed_row_of_a_dataset_is_detected(task_id: str, data_of: Make) -> None:
    config = task_id.partition("/")[2]
    (path,) = (data_of(task_id) / config).glob("test-*.parquet")
    original = path.read_bytes()
    try:
        table = pq.read_table(path)
        name = table.column_names[-1]  # the target, or the inputs where there is nothing else
        values = table[name].to_pylist()
        values[1] = _changed(values[1], Split(task_id).schema.labels)
        column = pa.array(values, table.schema.field(name).type)
        pq.write_table(table.set_column(table.num_columns - 1, table.schema.field(name), column), path)
        wrong = different(data_of(task_id))
    finally:
        path.write_bytes(original)
    assert wrong[:2] == [f"{config} test digest", f"{config} test generated again"]
    assert wrong[2:] == [f"{config} test labels by definition"]


def _changed(value: Any, labels: tuple[str, ...]) -> Any:
    """Return another target than the right one, or inputs that do not belong to the task."""
    if isinstance(value, str):
        return value[::-1]
    if isinstance(value, list):
        return [*value[:-1], _changed(value[-1], labels)]
    return (value + 1) % len(labels) if labels else value + 0.5


@pytest.mark.fast_cases("texts-class", "values-number", "words-*")
@each_kind
def test_a_run_can_be_plotted_and_documented(task_id: str, run_of: Make) -> None:
    folder, schema = run_of(task_id), Split(task_id).schema
    pictures = {path.name for path in draw(folder)}
    assert pictures >= {"curves.png", *(["states.png"] if schema.target not in ("inputs", "sequence") else [])}
    assert pictures == {path.name for path in (folder / "figures").iterdir()}
    write_card(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert_tables_are_well_formed(body(card))
    assert not re.search(r"\{\{|\}\}|\{%|None|\bnan\b|undefined|TODO", prose(card))
    assert ("chance level" in card) == bool(schema.labels)
    assert ("## By class" in card) == schema.has_class_table
    assert ("mean squared error" in card) == bool(schema.tolerance)
    if schema.vocabulary is None and schema.target_vocabulary is None:
        assert not re.search(r"symbol|text|tokenizer", prose(card).split("## Data")[0], flags=re.IGNORECASE)
    for block in python_of(card):
        ast.parse(block)


@pytest.mark.parametrize("task_id", ["char_completion/custom", "sentiment/custom"])
def test_a_run_on_a_file_can_be_plotted_and_documented_without_the_file(task_id: str, tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "run"
    lines = [f"{word} film number {i},{label}" for i in range(30) for word, label in (("fine", "yes"), ("dull", "no"))]
    file.write_text("\n".join(["text,label", *lines]) if task_id == "sentiment/custom" else "\n".join(lines))
    settings = {"data": str(file), "max_sequences": 32, "evaluate_every": 32, "stop_at": "none", "hidden_size": 4}
    train(TrainConfig(task=task_id, output_dir=folder, **settings))
    evaluate(folder, data=file)
    file.unlink()
    classes = ["confusion.png", "calibration.png"] if task_id == "sentiment/custom" else []
    assert [path.name for path in draw(folder)] == ["states.png", "curves.png", *classes]
    write_card(folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert_tables_are_well_formed(body(card))
    task, _ = resolve(task_id)
    assert task.description not in card
    assert "chance level" not in card
    assert "--dataset FILE" in card
    assert ("classes no, yes." in card) == (task_id == "sentiment/custom")


@each_kind
def test_the_command_line_prints_the_metrics(task_id: str, run_of: Make) -> None:
    record = RunRecord.load(run_of(task_id))
    schema = Split(task_id).schema
    rows = [] if rows_of(task_id) is None else ["--num-examples", 200]
    table = output_of("evaluate", run_of(task_id), "--sibling-examples", 20, *rows).splitlines()
    shown = [shown_split(part, record.task) for part in record.evaluation]
    assert [line.split()[0] for line in table] == ["split", *shown]
    assert ("mean squared error" in table[0], " right " in table[0], "95 % interval" in table[0]) == (
        schema.tolerance > 0,
        schema.target in ("step_class", "next_symbol"),
        schema.target in ("class", "number", "sequence", "inputs"),
    )
    assert f"{record.evaluation['test']['accuracy']:.2%}" in table[2]
    assert RunRecord.load(run_of(task_id)).evaluation == record.evaluation


@each_kind
def test_a_dataset_has_a_card(task_id: str, data_of: Make) -> None:
    card = (data_of(task_id) / "README.md").read_text(encoding="utf-8")
    split = Split(task_id)
    assert_tables_are_well_formed(body(card))
    assert not re.search(r"\{\{|\}\}|\{%|None|\bnan\b|undefined|TODO", prose(card))
    assert ("are fixed: each split" in card) == (split.size is not None)
    assert ("Philox" in card) == (split.size is None)
    assert ("The best guess" in card) == bool(split.schema.labels)
    if split.schema.text_vocabulary is None:
        assert not re.search(
            r"symbol|\btext\b|vocabulary", prose(card).replace(split.task.description, ""), flags=re.IGNORECASE
        )
    for block in python_of(card):
        ast.parse(block)


def python_of(card: str) -> list[str]:
    """Return the Python blocks of a card."""
    blocks = re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    return blocks


PUSHED = """
import json, sys
from datasets import DatasetInfo, load_dataset
from datasets.info import DatasetInfosDict
from datasets.splits import SplitDict, SplitInfo
from huggingface_hub import DatasetCard, DatasetCardData

cache, *folders = sys.argv[1:]
for folder in folders:
    (ours,) = DatasetCard.load(folder + "/README.md").data.dataset_info
    name = ours["config_name"]
    rows = load_dataset(folder, name, cache_dir=cache)
    sizes = {split: rows[split]._estimate_nbytes() for split in rows}  # as in Dataset.push_to_hub
    info = DatasetInfo(
        features=rows["train"].features,
        splits=SplitDict({s: SplitInfo(s, num_bytes=n, num_examples=len(rows[s])) for s, n in sizes.items()}),
        download_size=ours["download_size"], dataset_size=sum(sizes.values()),
    )
    theirs = DatasetCardData()
    DatasetInfosDict({name: info}).to_dataset_card_data(theirs)
    assert ours == theirs.dataset_info, (folder, ours, theirs.dataset_info)
assert "seqhub" not in sys.modules
"""


@pytest.mark.timeout(180)
def test_the_metadata_are_what_push_to_hub_would_write(data_of: Make, tmp_path: Path) -> None:
    folders = [str(data_of(task_id)) for task_id in KINDS.values()]
    subprocess.run(
        [sys.executable, "-W", "error", "-c", PUSHED, str(tmp_path), *folders],
        env=os.environ | {"SEQHUB_NO_HOOK": "1", "HF_HUB_OFFLINE": "1"},
        check=True,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_python_on_a_model_card_runs_without_seqhub(run_of: Make, tmp_path: Path) -> None:
    """The folder names on the cards are replaced by absolute paths."""
    code = [WITHOUT_SEQHUB]
    for task_id in KINDS.values():
        write_card(run_of(task_id))
        card = (run_of(task_id) / "README.md").read_text(encoding="utf-8")
        model = f'"./{run_of(task_id).name}"'
        code.append(f"print({task_id!r})")
        for block in python_of(card):
            if "import seqhub" not in block:
                code.append(block.replace(model, repr(str(run_of(task_id)))))
    printed = run_python("\n".join(code), tmp_path).splitlines()
    for task_id in KINDS.values():
        schema = Split(task_id).schema
        output = printed[printed.index(task_id) + 1]
        if schema.target == "class":
            assert output in schema.labels
        elif schema.target == "step_class":
            assert set(ast.literal_eval(output)) <= set(schema.labels)
        elif schema.target == "next_symbol":
            symbols = [len(schema.vocabulary.encode(text)) for text in (output, Split(task_id, "test")[0].inputs)]
            assert symbols[0] == symbols[1]
        elif schema.target == "sequence":
            vocabulary = schema.text_vocabulary
            assert set(vocabulary.split(output)) <= set(vocabulary.symbols)
        else:
            assert np.isfinite([float(number) for number in output.split()]).all()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_python_on_a_dataset_card_runs_without_seqhub(data_of: Make, tmp_path: Path) -> None:
    code = [WITHOUT_SEQHUB]
    for task_id in KINDS.values():
        card = (data_of(task_id) / "README.md").read_text(encoding="utf-8")
        plain, with_seqhub = python_of(card)
        assert "import seqhub" in with_seqhub
        code.append(plain.replace(f'"./{data_of(task_id).name}"', repr(str(data_of(task_id)))))
    run_python("\n".join(code), tmp_path)


def test_the_example_configs_cover_every_target_and_input() -> None:
    targets = {Split(task_id).schema.target for task_id in KINDS.values()}
    assert targets >= {"class", "step_class", "next_symbol"}
    assert {kind(task_id).split("-")[0] for task_id in KINDS.values()} == {"texts", "words", "values"}


def test_the_leaderboard_has_runs_of_every_kind(run_of: Make) -> None:
    records = [RunRecord.load(run_of(task_id)) for task_id in KINDS.values()]
    page = leaderboard.render(records)
    assert_tables_are_well_formed(page)
    assert not re.search(r"None|undefined", page)
    for record in records:
        accuracy = f"{record.evaluation['test']['accuracy']:.4f}"
        assert re.search(rf"^\| \[{record.name}\]\({record.name}/\) \|.* {accuracy} \|", page, flags=re.MULTILINE)
    bare = [replace(record, evaluation={}) for record in records]
    assert_tables_are_well_formed(leaderboard.render(bare))
