"""Export to ONNX and torch.export."""

import importlib.util
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.export import Dim
from transformers import PreTrainedModel

import seqhub
from seqhub.deployment import export as module
from seqhub.deployment.export import export
from seqhub.errors import InvalidConfigError, InvalidInputError, OutputExistsError, UnknownNameError, VerificationError
from seqhub.models.registry import register_auto_classes
from tests.helpers import model_cases, model_families

FAST = {"lstm-deep-bidirectional", "lstm_hs97-plain", "cnn-flatten-sequence", "lstm_autoencoder-image-base"}


@pytest.fixture(autouse=True)
def registered() -> None:
    register_auto_classes()


def models() -> Iterator[object]:
    """Yield every preset with every head that a run can have."""
    heads = {"plain": "causal", "deep": "token"}
    named = [
        (f"{preset}-{variant}", lambda p=preset, v=variant: model_cases.trained(p, v, heads.get(v, "sequence")))
        for preset in model_cases.PRESETS
        for variant in model_cases.VARIANTS
    ]
    named += [
        (case.id, lambda case=case: model_families.trained(*case.values))
        for case in model_families.WITHOUT_DECODER
        if not case.id.endswith("-base") or "autoencoder" in case.id
    ]
    for name, make in named:
        yield pytest.param(make, id=name, marks=[] if name in FAST else pytest.mark.slow)


@pytest.mark.fast_cases("lstm-deep-bidirectional", "cnn-flatten-sequence")
@pytest.mark.parametrize("make", list(models()))
def test_every_model_becomes_one_onnx_file(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`export` compares the logits of file and model; this test uses another batch and checks the metadata."""
    model: PreTrainedModel = make()
    monkeypatch.setattr(module, "load_model", lambda folder, **_: model)  # a record would need a task for each case
    (tmp_path / "config.json").touch()
    done = export(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.onnx"]
    proto = onnx.load(done.path)
    onnx.checker.check_model(proto)
    assert [each.name for each in proto.graph.input] == [model.main_input_name, "attention_mask"]
    for each in proto.graph.input:
        assert [dim.dim_param for dim in each.type.tensor_type.shape.dim[:2]] == ["batch", "time"]
    assert [each.name for each in proto.graph.output] == ["logits"]
    assert done.difference < 1e-5
    assert str(Path(module.__file__).parent) not in str(proto)  # no local paths
    batch = module._batch(model, [module._lengths(model)[0] + 0] * 7, 60, "within", seed=11)
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in batch.items()})
    with torch.no_grad():
        np.testing.assert_allclose(found, model(**batch).logits.numpy(), atol=2e-5)


WITH_SCAN = [("lstm", "plain"), ("gru", "deep-bidirectional"), ("rnn_tanh", "plain"), ("lstm_hs97", "max")]


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "variant"), WITH_SCAN)
def test_models_can_be_exported_by_torch_alone(preset: str, variant: str, tmp_path: Path) -> None:
    model = model_cases.trained(preset, variant)
    ids, mask = model_cases.padded(model_cases.ragged(8), "left", 14)
    sizes = {0: Dim("batch"), 1: Dim("time")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch.onnx
        torch.onnx.export(
            model, kwargs={"input_ids": ids, "attention_mask": mask}, f=tmp_path / "model.onnx", dynamo=True,
            dynamic_shapes={"input_ids": sizes, "attention_mask": sizes}, output_names=["logits"], verbose=False,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for rows, side in ((9, "right"), (10, "mixed")):
        batch = dict(
            zip(
                ("input_ids", "attention_mask"),
                model_cases.padded(model_cases.ragged(rows, rows), side, 25),
                strict=True,
            )
        )
        found = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, model(**batch).logits.numpy(), atol=2e-5)


@pytest.mark.slow
def test_a_model_of_a_large_vocabulary_becomes_a_file_without_one_hot_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_cases.build("gru", vocab_size=3000)
    monkeypatch.setattr(module, "load_model", lambda folder, **_: model)
    (tmp_path / "config.json").touch()
    graph = onnx.load(export(tmp_path).path).graph
    assert "Gather" in {node.op_type for node in graph.node}
    assert "GRU" not in {node.op_type for node in graph.node}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a model without a record."""
    folder = tmp_path / "saved"
    model_cases.trained("gru", "plain").save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_the_torch_format_is_loaded_by_torch_alone(folder: Path) -> None:
    done = seqhub.export(folder, "torch")
    assert done.path == folder / "model.pt2"
    ids, mask = model_cases.padded(model_cases.ragged(8), "left", 14)
    program = torch.export.load(done.path).module()
    expected = model_cases.trained("gru", "plain")(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(program(input_ids=ids, attention_mask=mask), expected, atol=2e-5, rtol=0)


def test_the_metadata_of_the_file_has_the_labels(folder: Path) -> None:
    done = export(folder, output=folder / "other.onnx")
    metadata = onnxruntime.InferenceSession(done.path).get_modelmeta().custom_metadata_map
    assert list(json.loads(metadata["id2label"])) == ["0", "1", "2", "3"]
    assert metadata["pad_token_id"] == "0"


def test_an_existing_file_is_kept_without_overwrite(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        export(folder)
    assert path.read_text() == "mine"
    export(folder, overwrite=True)
    assert onnx.load(path).graph.node


def test_a_program_that_differs_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(folder.iterdir())
    monkeypatch.setitem(module.__dict__, "TOLERANCE", -1.0)
    with pytest.raises(VerificationError, match="differs from the model on a batch of"):
        export(folder)
    assert sorted(folder.iterdir()) == before


def test_invalid_arguments_are_rejected_before_the_model_is_loaded(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no format 'tflite'; known: onnx, torch"):
        export(folder, "tflite")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="is a folder; must be a file"):
        export(folder, output=tmp_path)
    with pytest.raises(InvalidInputError, match="missing does not exist"):
        export(folder, output=tmp_path / "missing" / "model.onnx")
    with pytest.raises(InvalidInputError, match="nothing is neither a folder"):
        export("nothing")


def test_the_error_without_the_extra_names_the_package_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    with pytest.raises(InvalidConfigError, match=r"pip install 'seqhub\[onnx\]'"):
        export(folder)
