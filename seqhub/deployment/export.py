"""Export of a trained model to a file in ONNX or torch.export format."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim

from seqhub.errors import InvalidConfigError, InvalidInputError, OutputExistsError, UnknownNameError, VerificationError
from seqhub.evaluation.load import load_model
from seqhub.hub.fetch import fetch
from seqhub.hub.push import repo_type_of
from seqhub.io import write_atomically

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Format = Literal["onnx", "torch"]
Batch = dict[str, Tensor]
Predictor = Callable[[Batch], NDArray[Any]]
"""Function that returns the logits of an exported file for a batch."""

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}
TOLERANCE = 1e-4
"""Largest absolute or relative difference allowed between the logits of the file and the model."""

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_EXTRA_STEPS = 40  # steps of the longest checked row, in addition to those of the shortest


class Exported(NamedTuple):
    """An exported file."""

    path: Path
    format: Format
    size: int  # bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    batches: int  # number of batches that the file was checked on
    difference: float  # largest difference between the logits of the file and the model


def export(
    run: Path | str,
    format: Format = "onnx",
    output: Path | str | None = None,
    *,
    overwrite: bool = False,
    endpoint: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    trust_remote_code: bool = False,
) -> Exported:
    """Export a model to a file that runs without seqhub.

    The inputs are `input_ids` (batch, time), int64, or `input_values` (batch, time, ...), float32, and
    `attention_mask` (batch, time), int64, 0 at padded steps; for an encoder-decoder also `decoder_input_ids` (batch,
    target), int64, the start and the ids so far. The output is `logits`. Batch, time and target are dynamic. Before the
    file is written, its logits are compared with those of the model on padded batches of several shapes.

    Args:
        run: Folder of a finished run, or repository, as `namespace/name`.
        format: `onnx` for ONNX runtimes, or `torch` for `torch.export.load`.
        output: File to write; by default `model.onnx` or `model.pt2` in the folder, or for a repository `NAME.onnx` or
            `NAME.pt2` in the current folder.
        overwrite: Replace the file if it exists.
        endpoint: URL of the Hub; None for HF_ENDPOINT or the public Hub.
        revision: Branch, tag or commit.
        token: Token for the Hub; None for HF_TOKEN or the saved login.
        trust_remote_code: Consent to run the code of a wrapped module, see `evaluation.load.load_model`.

    Raises:
        UnknownNameError: There is no such format.
        InvalidConfigError: The packages for ONNX are not installed.
        OutputExistsError: The file exists.
        InvalidInputError: `output` is a folder or in a folder that does not exist; or there is no such run.
        CorruptFileError: The model cannot be loaded.
        VerificationError: The logits of the exported program differ from those of the model. Nothing is written.
    """
    if format not in get_args(Format):
        raise UnknownNameError.of("format", format, get_args(Format))
    if format == "onnx" and not all(map(find_spec, _PACKAGES)):
        raise InvalidConfigError("format onnx: needs packages that are not installed; pip install 'seqhub[onnx]'")
    if output is not None:
        _check_output(Path(output), overwrite)
    folder = fetch(run, endpoint=endpoint, revision=revision, token=token, repo_type="model")
    path = Path(output) if output is not None else _default_output(run, format)
    _check_output(path, overwrite)
    if repo_type_of(folder) != "model":
        raise InvalidInputError(f"{folder} is a dataset; must be a model")

    model = load_model(folder, trust_remote_code=trust_remote_code).float()
    if getattr(model.config, "input_feeding", False):
        raise InvalidInputError(
            f"{run}: the decoder has input_feeding=True, so its steps are not one recurrence; must be False"
        )
    with _quiet_exporters():
        content, predict = (_to_onnx if format == "onnx" else _to_torch)(model)
        batches = list(_batches(model))
        difference = max(_difference(model, predict, batch, str(run)) for batch in batches)
    write_atomically(path, content)
    return Exported(path, format, len(content), tuple(batches[0]), ("logits",), len(batches), difference)


def _default_output(run: Path | str, format: Format) -> Path:
    if Path(run).is_dir():
        return Path(run) / f"model{SUFFIXES[format]}"
    return Path(f"{str(run).rpartition('/')[2]}{SUFFIXES[format]}")


def _check_output(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise InvalidInputError(f"output {path} is a folder; must be a file")
    if not path.parent.is_dir():
        raise InvalidInputError(f"output {path}: folder {path.parent} does not exist")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists; use --overwrite to replace it, or another output")


def _to_onnx(model: "PreTrainedModel") -> tuple[bytes, Predictor]:
    import onnxruntime

    from seqhub.deployment.onnx_operators import replace_recurrences, translation_table

    example = _example(model)
    program = torch.onnx.export(
        _logits_only(replace_recurrences(model)),
        kwargs=example,
        input_names=list(example),
        output_names=["logits"],
        dynamic_shapes=_dynamic_shapes(example),
        dynamo=True,
        opset_version=18,
        custom_translation_table=translation_table(),
        verbose=False,
    )
    assert program is not None  # None only if the exporter writes the file itself
    proto = program.model_proto
    for part in (proto.graph, *proto.functions):
        _remove_call_stacks(part)
    for key, value in _metadata(model).items():
        proto.metadata_props.add(key=key, value=value)
    content = proto.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def predict(batch: Batch) -> NDArray[Any]:
        (logits,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})
        return logits  # type: ignore[no-any-return]

    return content, predict


def _remove_call_stacks(part: Any) -> None:
    """Remove the call stacks that the exporter adds to an ONNX graph or function; they contain local paths."""
    for each in (part, *part.node, *part.value_info):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    for node in part.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):  # the body of a Scan
                _remove_call_stacks(attribute.g)


def _to_torch(model: "PreTrainedModel") -> tuple[bytes, Predictor]:
    example = _example(model)
    program = torch.export.export(_logits_only(model), (), example, dynamic_shapes=_dynamic_shapes(example))
    file = io.BytesIO()
    torch.export.save(program, file, extra_files=_metadata(model))
    file.seek(0)
    loaded = torch.export.load(file).module()

    def predict(batch: Batch) -> NDArray[Any]:
        with torch.no_grad():
            return loaded(**batch).numpy()  # type: ignore[no-any-return]

    return file.getvalue(), predict


def _metadata(model: "PreTrainedModel") -> dict[str, str]:
    """Return metadata for programs that use the file, as text."""
    config = model.config
    writes = type(model).__name__.endswith("CausalLM") or config.is_encoder_decoder
    labels = {} if writes else {"id2label": json.dumps(config.id2label)}
    known = {
        "model_type": config.model_type,
        "architecture": type(model).__name__,
        "problem_type": config.problem_type,
        "pad_token_id": getattr(config, "pad_token_id", None),
    }
    if config.is_encoder_decoder:
        known |= {name: getattr(config, name) for name in ("decoder_start_token_id", "eos_token_id")}
    return labels | {name: str(value) for name, value in known.items() if value is not None}


def _example(model: "PreTrainedModel") -> Batch:
    """Return the batch with which the operations are recorded."""
    steps = _lengths(model)[1]
    return _batch(model, [steps, steps - 1 if steps - 1 >= _lengths(model)[0] else steps], steps + 1, "left", seed=0)


def _dynamic_shapes(example: Batch) -> dict[str, Any]:
    sizes = {0: Dim("batch"), 1: Dim("time")}
    return dict.fromkeys(example, sizes) | (
        {"decoder_input_ids": {0: sizes[0], 1: Dim("target")}} if "decoder_input_ids" in example else {}
    )


def _lengths(model: "PreTrainedModel") -> tuple[int, int]:
    """Return the smallest and largest number of real steps of a checked row."""
    fixed = getattr(model.config, "num_steps", None)
    if fixed is not None:
        return fixed, fixed
    shortest = getattr(model.config, "kernel_size", 1)
    return shortest, shortest + _EXTRA_STEPS


def _batches(model: "PreTrainedModel") -> Iterator[Batch]:
    """Yield batches of several shapes, padded on the left, on the right or within rows."""
    shortest, longest = _lengths(model)
    middle = (shortest + longest) // 2
    yield _batch(model, [shortest], shortest, "right", seed=1)
    yield _batch(model, [longest] * 3, longest, "right", seed=2)
    for seed, side in enumerate(("left", "right", "within"), 3):
        yield _batch(model, [longest, shortest, middle, middle, shortest], longest + seed, side, seed=seed)


def _batch(model: "PreTrainedModel", lengths: list[int], width: int, side: str, *, seed: int) -> Batch:
    """Return a batch of random rows with these numbers of real steps, padded to `width` steps."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(lengths), width, dtype=torch.int64)
    for row, length in enumerate(lengths):
        within = torch.randperm(width, generator=random)[:length]
        mask[row, {"left": slice(width - length, width), "right": slice(length)}.get(side, within)] = 1
    if model.main_input_name == "input_values":
        shape = getattr(model.config, "step_shape", None) or [model.config.num_features]
        values = torch.randn(len(lengths), width, *shape, generator=random)
        return {"input_values": values, "attention_mask": mask, **_target(model, len(lengths), seed)}
    ids = torch.randint(model.config.vocab_size, mask.shape, generator=random)
    pad = model.config.pad_token_id
    if pad is not None:
        ids = torch.where(ids == pad, (pad + 1) % model.config.vocab_size, ids).masked_fill(mask == 0, pad)
    return {"input_ids": ids, "attention_mask": mask, **_target(model, len(lengths), seed)}


def _target(model: "PreTrainedModel", rows: int, seed: int) -> Batch:
    """Return random ids for the decoder of an encoder-decoder, with the start first; empty for other models."""
    if not model.config.is_encoder_decoder:
        return {}
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(model.config.decoder_vocab_size, (rows, 3 + seed), generator=random)
    ids[:, 0] = model.config.decoder_start_token_id
    return {"decoder_input_ids": ids}


def _difference(model: "PreTrainedModel", predict: Predictor, batch: Batch, name: str) -> float:
    """Return the largest absolute difference between the logits of file and model.

    Raises:
        VerificationError: A difference is above the tolerance.
    """
    with torch.no_grad():
        expected = model(**batch).logits.numpy()
    found = predict(batch)
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
        shape = tuple(batch["attention_mask"].shape)
        raise VerificationError(f"the exported program of {name} differs from the model on a batch of {shape}")
    return float(np.abs(found - expected).max())


class _TokenLogits(nn.Module):
    """Wrapper of a model with ids as inputs that returns only the logits."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


class _ValueLogits(nn.Module):
    """Wrapper of a model with real values as inputs that returns only the logits."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model

    def forward(self, input_values: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_values=input_values, attention_mask=attention_mask).logits
        return logits


class _DecoderLogits(nn.Module):
    """Wrapper of an encoder-decoder that returns only the logits of its decoder."""

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model


class _TokenDecoderLogits(_DecoderLogits):
    """Wrapper of an encoder-decoder whose source has ids."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        output = self.model(input_ids, attention_mask, decoder_input_ids=decoder_input_ids)
        logits: Tensor = output.logits
        return logits


class _ValueDecoderLogits(_DecoderLogits):
    """Wrapper of an encoder-decoder whose source has real values."""

    def forward(self, input_values: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        output = self.model(None, attention_mask, input_values, decoder_input_ids=decoder_input_ids)
        logits: Tensor = output.logits
        return logits


def _logits_only(model: Any) -> nn.Module:
    if model.config.is_encoder_decoder:
        values = model.main_input_name == "input_values"
        return (_ValueDecoderLogits if values else _TokenDecoderLogits)(model).eval()
    return (_ValueLogits if model.main_input_name == "input_values" else _TokenLogits)(model).eval()


@contextmanager
def _quiet_exporters() -> Iterator[None]:
    """Suppress messages of the exporters about optional packages and deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
