"""Runs of wrapped models, from the id to evaluation and verification, and what they are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqhub.errors import InvalidConfigError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.records import RunRecord
from seqhub.training.config import TrainConfig
from seqhub.training.model_setup import with_size
from seqhub.training.train import train
from seqhub.verification.verify import verify
from tests.helpers.cli_calls import call

MODULES = Path(__file__).parent.parent / "models" / "modules.py"
SHORT: dict[str, Any] = {
    "max_sequences": 64,
    "batch_size": 16,
    "evaluate_every": 32,
    "evaluate_size": 32,
    "checkpoint_every": 32,
}


def run(folder: Path, model: str, task: str = "parity/every", **settings: Any) -> RunRecord:
    record = train(TrainConfig(task=task, output_dir=folder, model=model, **(SHORT | settings)))
    assert record is not None
    return record


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(MODULES, tmp_path / "nets.py"))


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("transformers:llama?hidden_size=16", "qrsu/easy"),
        ("transformers:mamba?hidden_size=16", "parity/every"),
        ("nets.py:Ids?hidden_size=8", "dyck/k2-m4"),
        ("nets.py:Vectors?hidden_size=8", "adding/hs97-t100"),
    ],
)
def test_a_run_is_evaluated_and_verified(
    model: str, task: str, tmp_path: Path, own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_file.parent)
    folder = tmp_path / "run"
    record = run(folder, model, task)
    assert record.model_id == model
    assert RunRecord.load(folder) == record
    assert record.conformance is not None
    assert record.sizes is not None
    assert record.sizes["parameters"] == record.num_parameters
    assert record.data["tokens"] > 64
    evaluate(folder, num_examples=50, sibling_examples=0)
    assert all(finding.agrees for finding in verify(folder))


def test_two_runs_are_equal_and_an_interrupted_one_continues(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one", f"{MODULES}:Ids"), run(tmp_path / "two", f"{MODULES}:Ids")
    assert (one.probe, one.files) == (two.probe, two.files)

    class StopError(Exception):
        pass

    def stop(_: Any) -> None:
        raise StopError

    config = TrainConfig(task="parity/every", output_dir=tmp_path / "three", model=f"{MODULES}:Ids", **SHORT)
    with pytest.raises(StopError):
        train(replace(config, checkpoint_every=16), callback=stop)
    three = train(replace(config, checkpoint_every=16), resume=True)
    assert three is not None
    assert three.probe == one.probe


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (
            "LooksAhead",
            {},
            r"its output depends on later steps \(difference .* the target of parity/every is one of each",
        ),
        ("NotFinite", {}, "its gradients at the first step are NaN or infinite"),
        ("ForgetsState", {"chunk_steps": 8}, "chunk_steps=8 needs a state that continues a sequence exactly"),
        ("Ids", {"chunk_steps": 8}, "chunk_steps=8: must be 0 for this model .*, which cannot carry a state"),
        ("LooksAhead", {"task": "parity/last"}, "all rows of a batch must have the same length"),
        ("Ids", {"initialization": "chrono", "chrono_max_steps": 9}, "named 'initialization'"),
    ],
)
def test_what_a_model_is_refused_leaves_no_folder(
    model: str, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        run(tmp_path / "run", f"{MODULES}:{model}", **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_truncated_gradients_with_a_module_that_carries_its_state(tmp_path: Path) -> None:
    record = run(tmp_path / "run", f"{MODULES}:TimeFirst?hidden_size=8", chunk_steps=8)
    assert record.optimizer_steps is not None
    assert record.optimizer_steps > 4


def test_the_copied_code_runs_only_with_consent(tmp_path: Path, own_file: Path) -> None:
    folder = tmp_path / "run"
    run(folder, f"{own_file}:Ids?hidden_size=8")
    load_model(folder)  # the file that the record names has the same content
    own_file.write_text(own_file.read_text() + "\n# changed\n")
    with pytest.raises(
        InvalidConfigError, match=r"runs code of the file nets.py in .*consent with --trust-remote-code"
    ):
        load_model(folder)
    assert load_model(folder, trust_remote_code=True).config.code == "nets.py"
    own_file.unlink()
    with pytest.raises(InvalidConfigError, match="consent with --trust-remote-code"):
        evaluate(folder, num_examples=10, sibling_examples=0)
    evaluate(folder, num_examples=10, sibling_examples=0, trust_remote_code=True)


def test_a_record_cannot_make_code_of_the_folder_run(tmp_path: Path, own_file: Path) -> None:
    """The file that the record names must be outside the folder, where the user has put it."""
    folder = tmp_path / "run"
    run(folder, f"{own_file}:Ids?hidden_size=8")
    values = json.loads((folder / "run.json").read_text())
    values["model"] = f"{folder / 'nets.py'}:Ids"
    (folder / "run.json").write_text(json.dumps(values))
    own_file.unlink()
    with pytest.raises(InvalidConfigError, match="consent with --trust-remote-code"):
        load_model(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--params", "50x"], "--params 50x: must be a whole number, as in 50000, 50k or 2.5M"),
        (["--params", "5k", "--state", "3k"], "params and state: each sets the width of the model; give one of them"),
        (["--params", "5k", "--hidden-size", "4"], "params and hidden_size: each sets the width"),
        (["--params", "5k", "--model", "lstm?hidden_size=4"], "params and hidden_size: each sets the width"),
        (["--params", "3"], "no hidden_size has parameters=3 within 5%"),
        (["--state", "1k", "--model", f"{MODULES}:Ids"], "carries no state, so it cannot have a size of the state"),
    ],
)
def test_sizes_that_no_width_can_have(options: list[str], message: str, tmp_path: Path) -> None:
    ended = call("train", "parity/every", "--output-dir", tmp_path / "run", *options)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_width_for_a_number_of_parameters(tmp_path: Path) -> None:
    config = TrainConfig(task="parity/every", output_dir=tmp_path, model="transformers:llama", hidden_size=8)
    sized = with_size(config, 20_000, "parameters")
    assert sized.model == "transformers:llama"
    assert sized.hidden_size == 32
    by_state = with_size(replace(config, model="lstm"), 256, "state")
    assert by_state.hidden_size == 128
