"""Models of the state explorer: the ES modules on node, compared with PyTorch, and on broken files."""

import itertools
import json
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from seqhub.metrics.per_example import class_outputs
from seqhub.models import hs97, recurrent
from seqhub.models.tokenizer import symbol_tokenizer, word_tokenizer
from seqhub.server.pages import static

NODE = shutil.which("node")
SCRIPT = Path(__file__).with_name("explorer_check.mjs")
STEPS = 7
TEXT = "BXabaYE"

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def settings() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield family, head and config of each model."""
    heads = ("ForSequenceClassification", "ForTokenClassification", "ForCausalLM")
    for cell, head in itertools.product(("rnn_tanh", "rnn_relu", "gru", "lstm"), heads):
        yield "Recurrent", head, {"cell": cell}
        yield "Recurrent", head, {"cell": cell, "inputs": "embedding", "embedding_size": 3, "num_hidden_layers": 2}
    for cell, pooling in itertools.product(("gru", "lstm"), ("last", "mean", "max")):
        yield "Recurrent", heads[0], {"cell": cell, "pooling": pooling, "bidirectional": True, "num_hidden_layers": 2}
        yield "Recurrent", heads[0], {"cell": cell, "pooling": pooling, "pad_token_id": None}
    yield "Recurrent", heads[1], {"cell": "lstm", "bidirectional": True, "pad_token_id": 4}
    yield "Recurrent", heads[2], {"cell": "gru", "pad_token_id": 4}
    yield "Recurrent", heads[2], {"cell": "gru", "pad_token_id": None}
    yield "Recurrent", "Model", {"cell": "lstm"}
    yield "Recurrent", heads[0], {"cell": "lstm", "inputs": "values", "num_features": 2}
    yield "Recurrent", heads[0], {"cell": "lstm", "logistic_outputs": True}
    yield "Recurrent", heads[0], {"cell": "lstm", "num_labels": 1, "problem_type": "regression"}
    for head in heads:
        yield "Hs97", head, {"block_size": 2}
        yield "Hs97", head, {"connectivity": "below", "output_gates": False}
    for each in (
        {"squash_input": "g1", "squash_output": "id", "biased_units": "gates"},
        {"biased_units": "none", "output_gates": False, "num_hidden_layers": 2},
        {"biased_units": "hidden", "bidirectional": True, "logistic_outputs": True},
        {"inputs": "values", "num_features": 2, "pooling": "mean"},
    ):
        yield "Hs97", heads[0], each


def write_model(folder: Path, family: str, head: str, given: dict[str, Any]) -> dict[str, Any]:
    """Save a model with a sequence, and return its states and outputs as PyTorch computes them in double precision."""
    package: Any = {"Recurrent": recurrent, "Hs97": hs97}[family]
    fields = {"hidden_size": 4, "vocab_size": 9, "num_labels": 3} | given
    config = getattr(package, f"{family}Config")(**fields)
    model = getattr(package, f"{family}{head}")(config).eval()
    with torch.no_grad():  # biases of zero or weights near zero would hide errors
        for parameter in model.parameters():
            parameter.uniform_(-1.2, 1.2)
    model.save_pretrained(folder)
    model = model.double()
    if config.inputs == "values":
        inputs = {"input_values": torch.rand(1, STEPS, 2, dtype=torch.double)}
        (folder / "inputs.json").write_text(json.dumps({"steps": inputs["input_values"][0].tolist()}))
    elif config.pad_token_id == 0:
        symbol_tokenizer("XYabcdBE").save_pretrained(folder)
        inputs = {"input_ids": torch.tensor([["_XYabcdBE".index(symbol) for symbol in TEXT]])}
        (folder / "inputs.json").write_text(json.dumps({"text": TEXT}))
    else:
        inputs = {"input_ids": torch.tensor([[0, 1, 8, 3, 5, 6, 7]])}
        (folder / "inputs.json").write_text(json.dumps({"steps": inputs["input_ids"][0].tolist()}))
    return expected(model, config, head, inputs)


@torch.no_grad()
def expected(model: Any, config: Any, head: str, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    base = model if head == "Model" else model.model
    states = base(**inputs, output_hidden_states=True, return_dict=True)
    hidden = [each[0, :, : config.hidden_size * (1 + config.bidirectional)] for each in states.hidden_states[1:]]
    found: dict[str, Any] = {"hidden": hidden, "cell": None, "gates": None, "outputs": None}
    if states.cell_states:
        size = config.hidden_size
        cells = [each[0] for each in states.cell_states]
        parts = [each.chunk(1 + config.bidirectional, dim=-1) for each in cells]
        found["cell"] = [torch.cat([part[:, :size] for part in each], dim=-1) for each in parts]
        if config.model_type == "seqhub_hs97":
            found["gates"] = [torch.cat([part[:, size:] for part in each], dim=-1) for each in parts]
    if head == "Model":
        return found
    logits = model(**inputs).logits
    if head == "ForSequenceClassification":
        lengths = [STEPS] if config.bidirectional else range(1, STEPS + 1)
        logits = torch.cat(
            [model(**{name: each[:, :length] for name, each in inputs.items()}).logits for length in lengths]
        )
    else:
        logits = logits[0]
    if head == "ForCausalLM" and config.pad_token_id is not None:
        pad, size = config.pad_token_id, config.vocab_size
        logits = logits[:, [(pad + 1 + column) % size for column in range(size - 1)]]
    found["outputs"] = logits
    is_value = config.problem_type == "regression"
    found["probabilities"] = logits if is_value else class_outputs(logits, config.logistic_outputs)
    return found


def run_node(models: Path) -> dict[str, Any]:
    assert NODE is not None
    command = [NODE, str(SCRIPT), str(static.FOLDER), str(models)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def close(given: Any, wanted: torch.Tensor) -> bool:
    return np.shape(given) == tuple(wanted.shape) and np.allclose(given, wanted.numpy(), rtol=0, atol=1e-5)


@pytest.mark.timeout(120)
def test_states_and_outputs_equal_those_of_pytorch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    golden = {}
    for number, (family, head, given) in enumerate(settings()):
        name = f"{number:02}-{family}-{head}"
        golden[name] = write_model(tmp_path / name, family, head, given)
    found = run_node(tmp_path)
    assert sorted(found) == sorted(golden)
    assert len(golden) > 40
    for name, wanted in golden.items():
        given = found[name]
        assert "error" not in given, (name, given)
        for kind in ("hidden", "cell", "gates"):
            for layer, each in enumerate(given["layers"]):
                values = None if wanted[kind] is None else wanted[kind][layer]
                assert (each[kind] is None) == (values is None), (name, kind)
                assert values is None or close(each[kind], values), (name, kind, layer)
        assert (given["outputs"] is None) == (wanted["outputs"] is None), name
        if wanted["outputs"] is not None:
            assert close(given["outputs"], wanted["outputs"]), name
            assert close(given["probabilities"], wanted["probabilities"]), name
            assert len(given["names"]) == wanted["outputs"].shape[-1], name


def test_weights_of_other_precisions_are_read(tmp_path: Path) -> None:
    for name, dtype in (("half", torch.float16), ("bfloat", torch.bfloat16), ("double", torch.float64)):
        torch.manual_seed(1)
        model = recurrent.RecurrentForTokenClassification(recurrent.RecurrentConfig(cell="gru", hidden_size=4)).eval()
        model.to(dtype).save_pretrained(tmp_path / name)
        (tmp_path / name / "inputs.json").write_text('{"steps": [1, 2, 3]}')
        with torch.no_grad():
            wanted = model.double()(torch.tensor([[1, 2, 3]])).logits[0]
        assert close(run_node(tmp_path)[name]["outputs"], wanted)


def test_words_and_unknown_symbols(tmp_path: Path) -> None:
    words = word_tokenizer(["not", "a", "good", "__proto__"], unknown=True)
    symbols = symbol_tokenizer("ab😀")
    for name, tokenizer, text in (
        ("words", words, " a  good film __proto__ "),
        ("symbols", symbols, "b😀a"),
        ("unknown", symbols, "a?"),
        ("padding", symbols, "[PAD]"),
    ):
        config = recurrent.RecurrentConfig(vocab_size=6, hidden_size=2)
        recurrent.RecurrentForTokenClassification(config).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        (tmp_path / name / "inputs.json").write_text(json.dumps({"text": text}))
    found = run_node(tmp_path)
    assert found["words"]["ids"] == [2, 3, 5, 4]
    assert found["symbols"]["ids"] == [2, 3, 1]
    assert found["unknown"]["error"] == 'symbol "?" at position 1 is not in the vocabulary'
    assert found["padding"]["error"] == 'symbol "[" at position 0 is not in the vocabulary'


def file_of(header: object, data: bytes = bytes(16)) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


TENSOR = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
BROKEN = {
    "empty": b"",
    "short": b"\0" * 7,
    "long header": struct.pack("<Q", 2**63) + b"{}",
    "huge header": struct.pack("<Q", 10**9) + b"{}",
    "not JSON": file_of(b"{"),
    "null": file_of(b"null"),
    "list": file_of([1]),
    "not UTF-8": file_of(b'{"\xff": 1}'),
    "negative": file_of({"a": TENSOR | {"shape": [-2, -2]}}),
    "fraction": file_of({"a": TENSOR | {"shape": [0.5, 8]}}),
    "overflow": file_of({"a": TENSOR | {"shape": [2**52] * 16}}),
    "behind the end": file_of({"a": TENSOR | {"data_offsets": [8, 24]}}),
    "backwards": file_of({"a": TENSOR | {"data_offsets": [16, 0]}}),
    "text": file_of({"a": TENSOR | {"data_offsets": "0,16"}}),
    "other tensors": file_of({"a": TENSOR}),
    "other dtype": file_of({"a": TENSOR | {"dtype": "__proto__"}}),
}
CONFIGS: dict[str, Any] = {
    "null": None,
    "list": [],
    "no type": {},
    "other family": {"model_type": "bert"},
    "cell": {"model_type": "seqhub_recurrent", "cell": "toString"},
    "size": {"model_type": "seqhub_recurrent", "hidden_size": "8"},
    "huge": {"model_type": "seqhub_hs97", "hidden_size": 10**15},
    "vocabulary": {"model_type": "seqhub_hs97", "vocab_size": 0},
    "block": {"model_type": "seqhub_hs97", "block_size": 0},
    "layers": {"model_type": "seqhub_recurrent", "num_hidden_layers": 10**9},
}


def test_broken_files_are_errors_of_one_line(tmp_path: Path) -> None:
    config = {"model_type": "seqhub_recurrent", "hidden_size": 2}
    good = tmp_path / "good"
    recurrent.RecurrentForCausalLM(recurrent.RecurrentConfig(**{"hidden_size": 2})).save_pretrained(good)
    weights = (good / "model.safetensors").read_bytes()
    for name, content in BROKEN.items():
        write(tmp_path / f"weights {name}", config, content)
    for name, fields in CONFIGS.items():
        write(tmp_path / f"config {name}", fields, weights)
    write(tmp_path / "id", config, weights, [1, 99])
    write(tmp_path / "none", config, weights, [])
    write(tmp_path / "long", config, weights, [1] * 2001)
    save_file({"model.layers.0.recurrence.weight_ih_l0": torch.zeros(3, 3)}, tmp_path / "good" / "model.safetensors")
    (good / "inputs.json").write_text('{"steps": [1]}')
    for name, result in run_node(tmp_path).items():
        assert list(result) == ["error"], name
        assert result["error"], name
        assert "\n" not in result["error"], name
        assert "undefined" not in result["error"], name
        assert "not a function" not in result["error"], name


def write(folder: Path, config: Any, weights: bytes, steps: list[int] | None = None) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "inputs.json").write_text(json.dumps({"steps": [1] if steps is None else steps}))


def test_the_modules_are_small() -> None:
    scripts = [name for name in static.assets() if name.endswith(".js")]
    assert {"explorer.js", "cells.js", "safetensors.js", "vocabulary.js"} <= set(scripts)
    assert sum(len(static.assets()[name].compressed) for name in scripts) < 30_000
