"""Verification: unchanged folders agree with their record, and differences are named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from seqhub.cards.write import write_card
from seqhub.data.parquet import write_folder
from seqhub.errors import CorruptFileError, InvalidConfigError, InvalidInputError, VerificationError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.introspect import load_tracer
from seqhub.evaluation.load import file_digest, load_model
from seqhub.records import DatasetRecord, RunRecord
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from seqhub.verification.verify import _compare, verify


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "model"
    train(TrainConfig(task="qrsu/easy", output_dir=folder, **recipe("qrsu/easy")))
    evaluate(folder, num_examples=1000, sibling_examples=100)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "qrsu"
    write_folder("qrsu", folder, configs=["easy", "normal"], train_size=3000, validation_size=1000, test_size=1000)
    write_card(folder)
    return folder


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def different(folder: Path, **options: object) -> list[str]:
    return [finding.what for finding in verify(folder, **options) if not finding.agrees]


def rewrite_record(folder: Path, **changes: object) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_model_agrees_in_this_process_and_isolated_and_on_built_rows(model: Path, dataset: Path) -> None:
    assert different(model) == []
    findings = verify(model, isolated=True, dataset=dataset)
    assert [f.what for f in findings] == [
        "files", "validation rows", "test rows", "logits of 8 sequences", "validation accuracy", "test accuracy",
    ]  # fmt: skip
    assert all(finding.agrees for finding in findings)


def test_a_dataset_agrees(dataset: Path) -> None:
    findings = verify(dataset)
    assert len(findings) == 2 * 3 * 4
    assert different(dataset) == []


@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "modeling_recurrent.py", "tokenizer.json"])
def test_changed_files_are_named_and_not_loaded(copy: Path, name: str, damage: str) -> None:
    path = copy / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[:-7])
    else:
        content[-9] ^= 1
        path.write_bytes(content)
    assert different(copy) == ["files"]
    with pytest.raises((CorruptFileError, FileNotFoundError), match=name):
        load_model(copy)


def test_changed_weights_with_a_forged_digest_are_detected_by_their_logits(copy: Path) -> None:
    weights = {name: tensor * 1.05 for name, tensor in load_file(copy / "model.safetensors").items()}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    files = RunRecord.load(copy).files | {"model.safetensors": file_digest(copy / "model.safetensors")}
    rewrite_record(copy, files=files)
    assert "logits of 8 sequences" in different(copy)


def test_a_changed_metric_in_the_record_is_detected(copy: Path) -> None:
    evaluation = RunRecord.load(copy).evaluation
    evaluation["test"]["confusion"][0][0] += 1
    rewrite_record(copy, evaluation=evaluation)
    assert different(copy) == ["test accuracy"]


@pytest.mark.parametrize(("off", "agrees"), [(2e-7, True), (1e-4, False)])
def test_squared_errors_may_differ_by_rounding_even_if_they_are_small(off: float, agrees: bool) -> None:
    """For an accurate model, rounding an output changes the mean squared error by more than a millionth of it."""
    random = np.random.default_rng(0)
    errors = random.normal(scale=0.006, size=2_500)
    recorded = {"examples": 2_500, "accuracy": 1.0, "mse": float((errors**2).mean())}
    again = float(((errors + off * np.sign(errors)) ** 2).mean())
    found = {"right": 2_500, "counted": 2_500, "loss": again}
    schema = Split("adding/hs97-t100").schema
    assert [each.agrees for each in _compare("test", recorded, found, schema)] == [True, agrees]


def test_other_rows_than_recorded_are_detected(copy: Path) -> None:
    evaluation = RunRecord.load(copy).evaluation
    evaluation["test"]["seed"] = 5
    rewrite_record(copy, evaluation=evaluation)
    assert "test rows" in different(copy)


def test_changed_rows_of_a_dataset_are_detected(dataset: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(shutil.copytree(dataset, tmp_path / "qrsu"))
    (path,) = (folder / "easy").glob("test-*.parquet")
    table = pq.read_table(path)
    labels = table["label"].to_pylist()
    labels[3] = (labels[3] + 1) % 4
    pq.write_table(table.set_column(1, table.schema.field("label"), pa.array(labels, pa.int64())), path)
    assert different(folder) == ["easy test digest", "easy test generated again", "easy test labels by definition"]


@pytest.mark.slow
def test_isolated_verification_of_code_that_needs_seqhub_fails_with_one_line(copy: Path) -> None:
    path = copy / "modeling_recurrent.py"
    path.write_text("import seqhub\n" + path.read_text())
    files = RunRecord.load(copy).files | {path.name: file_digest(path)}
    rewrite_record(copy, files=files)
    with pytest.raises(VerificationError, match="could not be loaded in a process without seqhub"):
        verify(copy, isolated=True)
    assert different(copy) == []  # the classes of seqhub do not run the code in the folder


def test_a_folder_without_record(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run\.json and no dataset\.json"):
        verify(tmp_path)


def test_weights_that_do_not_fit_the_config(copy: Path) -> None:
    (copy / "run.json").unlink()  # without a record there are no digests to compare
    config = json.loads((copy / "config.json").read_text())
    for change in ({"hidden_size": 16}, {"num_hidden_layers": 2}):
        (copy / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(CorruptFileError, match=r"fit together|cannot be loaded"):
            load_model(copy)


def test_config_with_a_field_of_the_wrong_type(copy: Path) -> None:
    (copy / "run.json").unlink()
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"hidden_size": "eight"}))
    with pytest.raises(CorruptFileError, match=r"cannot be loaded: .*hidden_size") as caught:
        load_model(copy)
    assert "\n" not in str(caught.value)


def test_config_of_another_family(copy: Path) -> None:
    (copy / "run.json").unlink()
    (copy / "config.json").write_text(json.dumps({"model_type": "rwkv", "hidden_size": 8, "num_hidden_layers": 1}))
    with pytest.raises(CorruptFileError, match="cannot be loaded"):
        load_model(copy)
    (copy / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1}))
    with pytest.raises(CorruptFileError, match="do not fit together"):
        load_model(copy)


def test_truncated_weights_without_a_record(copy: Path) -> None:
    (copy / "run.json").unlink()
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptFileError, match="cannot be loaded"):
        load_model(copy)


def test_numbers_of_rows_below_one_are_rejected(model: Path) -> None:
    with pytest.raises(InvalidConfigError, match="num_examples=0"):
        evaluate(model, num_examples=0)


def test_evaluation_keeps_the_training_part_of_the_record(copy: Path) -> None:
    before = RunRecord.load(copy)
    after = evaluate(copy, num_examples=500, sibling_examples=0)
    assert before.criteria == after.criteria
    assert before.probe == after.probe
    assert after.evaluation["test"]["examples"] == 500
    assert after.evaluation["test"]["accuracy"] > 0.99


def test_the_last_readout_of_a_trace_is_the_output_of_the_classifier(model: Path) -> None:
    text = RunRecord.load(model).probe["texts"][0]
    trace = load_tracer(model)
    seen = trace(text)
    logits = torch.tensor(RunRecord.load(model).probe["logits"][0])
    assert seen.readout is not None
    torch.testing.assert_close(torch.tensor(seen.readout[-1]), logits.softmax(dim=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.tensor(seen.logits), logits, rtol=1e-4, atol=1e-5)
    assert {name: states.shape for name, states in seen.states.items()} == {
        "hidden": (len(text), 8),
        "cell": (len(text), 8),
    }
    with pytest.raises(InvalidInputError, match="symbol 'Z' at position 2"):
        trace("BaZ")


def test_the_dataset_record_has_the_overlaps(dataset: Path) -> None:
    record = DatasetRecord.load(dataset)
    assert record.configs["easy"]["overlap"] == {"train/validation": 0, "train/test": 0, "validation/test": 0}
