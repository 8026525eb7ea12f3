"""Model cards: every number comes from the record, no placeholder is left, the bytes are reproducible."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub import parse_eval_result_entries as parse_entries

from seqhub.cards.model_card import render, render_eval_results
from seqhub.cards.text import paper_is
from seqhub.cards.validate import validate
from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.records import RunRecord
from seqhub.tasks.registry import get_task, list_tasks, resolve
from tests.helpers.run_records import run_record

RULES = {"0.1", "0.3"}  # bounds of the criteria, the only decimals that are not measured
SECTIONS = {
    "Results": {"evaluation": {}},
    "Training sequences to the stopping criteria": {"criteria": {}},
    "Other lengths": {"evaluation": {}},
    "By class": {"evaluation": {}},
    "Environment": {"environment": {}},
}

_, S3 = resolve("group_word/s3")


@pytest.fixture(scope="module")
def record() -> RunRecord:
    return run_record()


@pytest.fixture(scope="module")
def card(record: RunRecord) -> str:
    figures = ["figures/curves.png", "figures/of-my-own.png"]
    return render(record, dataset_id="seqhub/qrsu", license="apache-2.0", figures=figures)


def body(card: str) -> str:
    return card.split("\n---\n", 1)[1]


def prose(card: str) -> str:
    """Return the body without code and citation."""
    return re.sub(r"^```.*?^```", "", body(card), flags=re.DOTALL | re.MULTILINE)


def leaves(value: Any) -> list[Any]:
    """Return every value inside a record."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in (key, *leaves(inner))]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value]


def tables(text: str) -> list[list[str]]:
    """Return the tables of a page: runs of lines that start with a bar."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def assert_tables_are_well_formed(text: str) -> None:
    assert tables(text)
    for table in tables(text):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
        assert len(cells) == 1, table
        assert re.fullmatch(r"\|( -+:? \|)+", table[1]), table
        assert len(table) > 2, table


def test_the_front_matter_loads_back_with_every_result(record: RunRecord, card: str) -> None:
    data = ModelCard(card).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "transformers", "text-classification")
    assert data.datasets == ["seqhub/qrsu"]
    assert data.model_name == "qrsu-hard-lstm"
    measured = {
        (r.dataset_type, r.dataset_config, r.dataset_split, r.metric_type): r.metric_value for r in data.eval_results
    }
    for key, metrics in record.evaluation.items():
        config, _, split = key.rpartition("/")
        for name in ("accuracy", "loss"):
            assert measured.pop(("seqhub/qrsu", config or "hard", split, name)) == metrics[name]
    assert not measured
    validate(card, "model")


def test_every_decimal_on_the_card_is_in_the_record(record: RunRecord, card: str) -> None:
    values = leaves(asdict(record))
    for metrics in record.evaluation.values():
        values += [part["correct"] / part["total"] for part in metrics["per_class"].values()]
    values.append(get_task("qrsu").chance(get_task("qrsu").configs[0]))
    texts = " ".join(str(value) for value in values if isinstance(value, str))
    decimals = re.findall(r"(?<![\w.])\d+\.\d+(?:e-\d+)?(?![\w.]\d)", prose(card))
    assert len(decimals) > 40
    for decimal in set(decimals) - RULES:
        digits = len(decimal.partition(".")[2])
        near = [v for v in values if isinstance(v, float) and abs(v - float(decimal)) <= 0.51 * 10**-digits]
        assert near or decimal in texts, decimal


CRITERIA = {
    "qrsu/hard": "section 5.6): of the 2,000 most recent training sequences, all had every class probability within",
    "long_lag/2b-p100": "section 5.2): 10,000 training sequences in a row had every class probability within 0.25 ",
    "long_lag/2a-p4": "in a row had every probability of a next symbol within 0.25 of its target; the count ends",
    "embedded_reber/hs97": "(section 5.1): at every step of all training and test sequences the outputs of the legal",
    "two_sequence/3b-t100-n3": "of 256 newly generated sequences, all but at most 5 had every class probability within",
}


def test_the_criterion_of_the_paper_is_explained_with_its_numbers() -> None:
    for task_id, explanation in CRITERIA.items():
        task, config = resolve(task_id)
        stopping_rule = task.stopping_rule(config)
        assert stopping_rule is not None
        assert explanation in paper_is(task.schema(config), stopping_rule)


def test_the_count_of_the_paper_is_in_the_row_of_its_own_criterion() -> None:
    card = render(run_record(task="qrsu/hard", criteria={"accuracy>=0.999": 2_560, "st3": 5_088, "paper": 5_088}))
    assert "| `st3` | 5,088 | – |" in card
    assert "| `paper` | 5,088 | 31,390 |" in card
    assert "`paper` is the stopping criterion of the paper of the task (section 5.6)" in card


def test_every_count_on_the_card_is_in_the_record(record: RunRecord, card: str) -> None:
    values = {value for value in leaves(asdict(record)) if isinstance(value, int)}
    values |= {m["examples"] - sum(m["confusion"][i][i] for i in range(4)) for m in record.evaluation.values()}
    values |= {31_390, 2_000, 1_024}  # the paper's count, the window of its rule, the rows of a block
    for count in re.findall(r"\d{1,3}(?:,\d{3})+", prose(card)):
        assert int(count.replace(",", "")) in values, count


def test_tables_are_well_formed(card: str) -> None:
    assert len(tables(body(card))) == 7
    assert_tables_are_well_formed(body(card))


def test_no_placeholder_is_left_on_the_card(card: str) -> None:
    assert not re.search(r"\{\{|\}\}|\{%|None|nan|undefined|TODO|More Information", prose(card))
    assert "\n\n\n" not in card
    assert card.endswith("```\n")


def test_sections_without_data_are_omitted(card: str) -> None:
    for section, changes in SECTIONS.items():
        assert f"## {section}\n" in card
        without = render(run_record(**changes))
        assert f"## {section}\n" not in without
        assert_tables_are_well_formed(body(without))
        validate(without, "model")


def test_a_run_that_only_trained_has_a_card_without_results() -> None:
    bare = render(
        run_record(
            evaluation={}, criteria={}, environment={}, timings={}, data={}, training={}, model_config={}, command=""
        )
    )
    assert "has not been measured" in bare
    assert ModelCard(bare).data.eval_results is None
    assert "model-index" not in bare
    assert "## Figures" not in bare


def test_only_figures_that_are_named_are_shown(card: str, record: RunRecord) -> None:
    assert re.findall(r"!\[(.+)\]\((.+)\)", card) == [
        ("Loss and accuracy against the training sequences presented", "figures/curves.png"),
        ("Of my own", "figures/of-my-own.png"),
    ]
    assert "![" not in render(record)


def test_the_example_lines_are_python_and_name_the_repository(record: RunRecord) -> None:
    card = render(record, repo_id="ada/some-model", dataset_id="ada/qrsu")
    blocks = re.findall(r"^```python\n(.*?)^```", card, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        ast.parse(block)
        assert '"ada/some-model"' in block
    assert sum("trust_remote_code=True" in block for block in blocks) == 2
    assert "seqhub verify ada/some-model" in card
    assert ModelCard(card).data.datasets == ["ada/qrsu"]
    (sequence,) = set(re.findall(r'"(B[^"]+E)"', card))
    assert f"the target is {get_task('qrsu').solve(sequence)}" in card


def test_a_repository_without_namespace_and_name_is_an_error(record: RunRecord) -> None:
    for repo_id in ("qrsu", "a/b/c", "/b", "a/"):
        with pytest.raises(InvalidInputError, match=f"'{repo_id}'.*namespace/name"):
            render(record, repo_id=repo_id)


def test_a_record_of_an_unknown_task_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="no task 'qrs'; known: "):
        render(run_record(task="qrs/hard"))


def test_the_count_of_the_paper_is_qualified(card: str) -> None:
    assert "| `st3` | 5,088 | 31,390 |" in card
    assert "| `accuracy>=0.999` | 2,560 | – |" in card
    assert "mini-batches of 16, Adam, a forget gate and chrono initialisation; in the paper, a network" in card


def test_the_column_of_the_paper_is_omitted_without_a_count() -> None:
    card = render(run_record(task="qrsu/easy", criteria={"st3": None}))
    assert "| `st3` | not met |\n" in card
    assert "paper |" not in card
    assert "not directly comparable" not in card


def test_every_count_of_a_paper_has_the_setting_of_the_paper() -> None:
    assert not [name for name in list_tasks() if get_task(name).paper_sequences and not get_task(name).paper_setting]


def test_text_from_outside_cannot_break_a_table(card: str) -> None:
    hostile = "a|b`c\nd <script>"
    changed = render(
        run_record(
            training={"data": hostile},
            data={"task_version": 1, "source": hostile, "seed": 7},
            criteria={hostile: 3, "st3": None},
            environment={"device": hostile},
        )
    )
    assert_tables_are_well_formed(body(changed))
    assert not re.search(r"^[^`]*<script>", prose(changed), flags=re.MULTILINE)
    assert "`a\\|b'c d <script>`" in changed


def test_methods_are_cited_once() -> None:
    for model, entries in {"lstm": 3, "gru": 3, "rnn_tanh": 3, "an unknown preset": 2}.items():
        keys = re.findall(r"^@\w+\{(\w+),", render(run_record(model=model)), flags=re.MULTILINE)
        assert keys[0] == "hochreiter1997long"
        assert len(keys) == len(set(keys)) == entries


def test_a_saved_record_gives_the_same_bytes_in_any_process(record: RunRecord, tmp_path: Path) -> None:
    record.save(tmp_path)
    code = (
        "import sys; from pathlib import Path; from seqhub.records import RunRecord\n"
        "from seqhub.cards.model_card import render, render_eval_results\n"
        "record = RunRecord.load(Path(sys.argv[1]))\n"
        "sys.stdout.buffer.write((render(record) + render_eval_results(record, dataset_id='me/qrsu')).encode())\n"
        "assert not {'torch', 'datasets', 'transformers', 'matplotlib'} & set(sys.modules)"
    )
    here = (render(record) + render_eval_results(record, dataset_id="me/qrsu")).encode()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path],
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
        assert done.stdout == here


def test_eval_results_hold_the_test_accuracies_and_parse_back(record: RunRecord) -> None:
    entries = parse_entries(yaml.safe_load(render_eval_results(record, dataset_id="ada/qrsu")))
    assert {(e.dataset_id, e.task_id): e.value for e in entries} == {
        ("ada/qrsu", name): record.evaluation["test" if name == "hard" else f"{name}/test"]["accuracy"]
        for name in ("easy", "normal", "moderate", "hard", "nightmare")
    }
    assert all("training seed 7" in (entry.notes or "") for entry in entries)
    assert all(entry.date is None for entry in entries)
    assert yaml.safe_load(render_eval_results(run_record(evaluation={}), dataset_id="ada/qrsu")) == []


def test_test_distributions_and_prefixes() -> None:
    step = {"length": [64, 64], "mean_length": 64.0, "seed": 0, "digest": "0" * 64, "loss": 0.1}
    step |= {"per_class": {}, "confusion": [], "examples": 4, "whole": 1}
    counts = {k: {"correct": 4 - i, "total": 4} for i, k in enumerate(("1", "2", "4"))}
    test = step | {"accuracy": 0.75, "steps": 16, "scaled": 0.7, "mean_prefix": 0.8, "prefix": counts}
    evaluation = {"test": test, "s3@len64/test": test | {"scaled": 0.6}}
    per_class = {name: {"correct": 1, "total": 2} for name in get_task("group_word").schema(S3).labels}
    for metrics in evaluation.values():
        metrics |= {"per_class": per_class, "confusion": [[1] * 6] * 6}
    probe = {"texts": ["012 021"], "logits": [[[0.0] * 6] * 2]}
    card = render(run_record(task="group_word/s3", evaluation=evaluation, probe=probe))
    assert "| s3@len64 | 64 | 64.0 | 4 | 0.7500 | – | 4 | 0.600 | 1 | 0.800 |" in card
    assert "| config | k = 1 | k = 2 | k = 4 |" in card
    assert "| s3 | 1.0000 | 0.7500 | 0.5000 |" in card
    for metrics in evaluation.values():
        for name in ("scaled", "prefix", "mean_prefix"):
            del metrics[name]
    old = render(run_record(task="group_word/s3", evaluation=evaluation, probe=probe))  # of an earlier version
    assert "| s3@len64 | 64 | 64.0 | 4 | 0.7500 | – | 4 | 1 |" in old
    assert "k = 1" not in old
