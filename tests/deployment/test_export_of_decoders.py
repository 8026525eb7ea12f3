"""Export of encoder-decoders, whose file returns the logits of the target."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from seqhub.deployment import export as module
from seqhub.deployment.export import export
from seqhub.errors import InvalidInputError
from seqhub.models.registry import build_config, build_model, list_presets

SHAPES: dict[str, dict[str, Any]] = {
    "ids": {},
    "deep": {"num_hidden_layers": 2, "num_decoder_layers": 2, "inputs": "embedding", "embedding_size": 4},
    "values": {"inputs": "values", "num_features": 3, "bidirectional": False},
}
CASES = [(preset, shape) for preset in list_presets(head="seq2seq") for shape in SHAPES]


def made(preset: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 7, "decoder_vocab_size": 6, "hidden_size": 8, "max_target_length": 9}
    model = build_model(build_config(preset, **sizes | settings), "seq2seq").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


@pytest.mark.fast_cases("gru_seq2seq_additive-values")
@pytest.mark.parametrize(("preset", "shape"), CASES, ids=[f"{one}-{other}" for one, other in CASES])
def test_an_onnx_file_generates_what_the_model_generates(
    preset: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`export` compares the logits; this test also continues the target symbol by symbol."""
    model = made(preset, **SHAPES[shape])
    monkeypatch.setattr(module, "load_model", lambda folder, **_: model)
    (tmp_path / "config.json").touch()
    done = export(tmp_path)
    assert done.inputs == (model.main_input_name, "attention_mask", "decoder_input_ids")
    assert done.difference < 1e-4
    known = {each.key: each.value for each in onnx.load(done.path).metadata_props}
    assert (known["eos_token_id"], known["decoder_start_token_id"]) == ("5", "0")
    assert "id2label" not in known
    batch = module._batch(model, [4, 9, 1], 12, "left", seed=3)
    del batch["decoder_input_ids"]
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    ids = np.zeros((3, 1), np.int64)
    given = {name: tensor.numpy() for name, tensor in batch.items()}
    for _ in range(6):
        (logits,) = session.run(None, given | {"decoder_input_ids": ids})
        ids = np.concatenate([ids, logits[:, -1:].argmax(-1)], axis=1)
    expected = model.generate(**batch, max_new_tokens=6, do_sample=False).numpy()
    for found, wanted in zip(ids, expected, strict=True):
        end = list(wanted).index(5) if 5 in wanted else len(wanted)
        assert found[:end].tolist() == wanted[:end].tolist()


@pytest.mark.slow
def test_a_program_of_torch_takes_any_number_of_target_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("gru_seq2seq_additive")
    monkeypatch.setattr(module, "load_model", lambda folder, **_: model)
    (tmp_path / "config.json").touch()
    export(tmp_path, "torch")
    program = torch.export.load(tmp_path / "model.pt2").module()
    batch = module._batch(model, [4, 9, 1], 12, "left", seed=30)
    with torch.no_grad():
        torch.testing.assert_close(program(**batch), model(**batch).logits, atol=1e-5, rtol=0)


def test_input_feeding_cannot_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("gru_seq2seq_additive", input_feeding=True)
    monkeypatch.setattr(module, "load_model", lambda folder, **_: model)
    (tmp_path / "config.json").touch()
    with pytest.raises(InvalidInputError, match=r"input_feeding=True, so its steps are not one recurrence") as error:
        export(tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "model.onnx").exists()
