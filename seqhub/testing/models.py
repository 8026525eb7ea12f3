"""Checks of a model preset: requirements of training, saving and the Hub."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub._logging import quiet_transformers
from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.models.registry import (
    HEADS,
    build_config,
    build_model,
    config_fields,
    family_of,
    list_heads,
    list_inputs,
    list_presets,
)
from seqhub.testing.check import Check, CheckFailedError, require

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_LENGTHS = (9, 4, 7, 5)  # lengths of the rows of a batch, for models that accept any length
_LABELS = 3
_TOLERANCE = 2e-5
_VALUE_TASKS = ("windows/k4-n8", "square/fixed", "chirps/direction", "ramps/scalar")  # of real values
_SECONDS = 120


def presets_of(family: str) -> list[str]:
    """Return the presets of a family, given by its name or its folder."""
    return list(list_presets(family=family))


def checks(preset: str) -> list[Check]:
    """Return the checks of one preset."""
    return [Check(preset, name, partial(function, preset)) for name, function in CHECKS.items()]


def definition(preset: str) -> None:
    """Check config, Auto classes and preset names."""
    from transformers import AutoConfig

    config = build_config(preset)
    values = config.to_dict()
    require(config.model_type.startswith("seqhub_"), f"model_type={config.model_type!r}: must begin with seqhub_")
    require("auto_map" in values, f"{preset}: config.json must have auto_map, for trust_remote_code")
    again = type(config).from_dict(values)
    require(again.to_dict() == values, f"{preset}: config changes after from_dict(to_dict())")
    require(AutoConfig.for_model(config.model_type) is not None, f"{preset}: family is not registered with AutoConfig")
    heads = list_heads(family_of(preset))
    require("base" in heads, f"{preset}: AUTO_MAP must have AutoModel")
    try:
        build_config(preset, no_such_field=1)
    except UnknownNameError:
        return
    raise CheckFailedError(f"{preset}: the config accepts an unknown field; it must raise an error")


def outputs(preset: str) -> None:
    """Check the shapes of logits, and that outputs are finite."""
    for model, rows, head, where in _models(preset):
        results = _outputs_of(model, rows, "right")
        for found in results:
            require(bool(found.isfinite().all()), f"{where}: outputs must be finite")
        if head == "base":
            continue
        width = _width(model, head)
        for row, found in zip(rows, results, strict=True):
            steps = 1 if head == "seq2seq" else len(row)  # the start of a target
            shape = (width,) if head == "sequence" else (steps, width)
            require(tuple(found.shape) == shape, f"{where}: logits {tuple(found.shape)} instead of {shape}")


def padding(preset: str) -> None:
    """Check that outputs do not depend on padding on either side or on other rows of the batch."""
    import torch

    for model, rows, _, where in _models(preset):
        alone = [_outputs_of(model, [row], "right")[0] for row in rows]
        for side in ("right", "left"):
            for number, (one, two) in enumerate(zip(alone, _outputs_of(model, rows, side), strict=True)):
                difference = float((one - two).abs().max())
                require(
                    torch.allclose(one, two, atol=_TOLERANCE),
                    f"{where}: row {number} padded on the {side} differs by {difference:.2g} from the row alone",
                )


def causality(preset: str) -> None:
    """Check that outputs of the causal head do not depend on later inputs."""
    import torch

    for model, rows, head, where in _models(preset):
        if head != "causal":
            continue
        row = rows[0]
        for step in range(1, len(row)):
            changed = row.clone()
            changed[step:] = changed[step:].flip(0) if len(row) - step > 1 else changed[step:] % 3 + 1
            one, two = _outputs_of(model, [row], "right")[0], _outputs_of(model, [changed], "right")[0]
            require(
                torch.allclose(one[:step], two[:step], atol=_TOLERANCE),
                f"{where}: logits before step {step} depend on later inputs",
            )


def gradients(preset: str) -> None:
    """Check that every parameter has a finite gradient, and that ignored labels do not change the loss."""
    import torch

    for model, rows, head, where in _models(preset):
        batch = _batch(rows, "right", model)
        labels = None if head == "base" else _labels(head, batch)
        model.zero_grad()
        loss = _main_output(model(**batch)).square().sum() if labels is None else model(**batch, labels=labels).loss
        require(loss is not None and bool(loss.isfinite()), f"{where}: loss {loss}")
        loss.backward()
        for name, parameter in model.named_parameters():
            has_gradient = parameter.grad is not None and bool(parameter.grad.isfinite().all())
            require(has_gradient, f"{where}: no finite gradient for {name}")
        if head == "token" and labels is not None:
            some = labels.clone()
            some[:, 0] = -100
            with torch.no_grad():
                fewer = model(**batch, labels=some).loss
                other = labels.clone()
                other[:, 0] = (other[:, 0] + 1) % _LABELS
                other[:, 0] = -100
                same = model(**batch, labels=other).loss
            require(torch.equal(fewer, same), f"{where}: a label of -100 changes the loss")


def initialization(preset: str) -> None:
    """Check that initial weights depend only on the seed of torch."""
    import torch

    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        model = build_model(build_config(preset, **_settings(preset)), _heads(preset)[-1])
        found.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    require(torch.equal(found[0], found[1]), f"{preset}: the same seed gives different initial weights")
    require(not torch.equal(found[0], found[2]), f"{preset}: different seeds give the same initial weights")


def saving(preset: str) -> None:
    """Check that a saved model gives the same outputs after loading with its Auto class."""
    import torch
    import transformers

    for model, rows, head, where in _models(preset):
        with tempfile.TemporaryDirectory() as folder:
            with quiet_transformers():
                model.save_pretrained(folder)
            require(
                (Path(folder) / "model.safetensors").is_file(), f"{where}: save_pretrained must write model.safetensors"
            )
            with quiet_transformers():
                again = getattr(transformers, HEADS[head]).from_pretrained(folder, local_files_only=True).eval()
        for one, two in zip(_outputs_of(model, rows, "right"), _outputs_of(again, rows, "right"), strict=True):
            require(torch.equal(one, two), f"{where}: logits differ after saving and loading")


def loading_without_seqhub(preset: str) -> None:
    """Check that a saved model loads with trust_remote_code in a process that cannot import seqhub."""
    model, rows, head, where = _models(preset)[-1]
    with tempfile.TemporaryDirectory() as folder:
        with quiet_transformers():
            model.save_pretrained(folder)
        expected = _outputs_of(model, rows[:1], "right")[0].tolist()
        name = "input_values" if rows[0].is_floating_point() else "input_ids"
        code = _STANDALONE_CODE.format(
            auto=HEADS[head], folder=folder, name=name, row=[rows[0].tolist()], expected=expected
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_SECONDS, cwd=folder, check=False
        )
    lines = done.stderr.strip().splitlines()
    require(done.returncode == 0, f"{where}: {lines[-1] if lines else 'no message'}")


def training(preset: str) -> None:
    """Check that the preset trains on a task, is evaluated and verified, and gets a card."""
    from seqhub.cards.write import write_card
    from seqhub.evaluation.evaluate import evaluate
    from seqhub.training.config import TrainConfig
    from seqhub.training.train import train
    from seqhub.verification.verify import verify

    small: dict[str, Any] = {"max_sequences": 32, "evaluate_every": 32, "evaluate_size": 32, "stop_at": "none"}
    small |= {"batch_size": 8, "model": preset, "cpu": True}
    tasks = ("qrsu/easy",) if "input_ids" in list_inputs(family_of(preset)) else _VALUE_TASKS
    tasks = ("reverse_words/short",) if "seq2seq" in list_heads(family_of(preset)) else tasks
    reasons = []
    for task in tasks:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            try:
                train(TrainConfig(task=task, output_dir=run, **small))
            except InvalidConfigError as error:  # the preset does not accept these rows
                reasons.append(str(error))
                continue
            evaluate(run, sibling_examples=0)
            verify(run)
            require(write_card(run)[0].is_file(), f"{preset}: no card")
            return
    raise CheckFailedError(f"{preset} does not accept the rows of {', '.join(tasks)}: {'; '.join(reasons)}")


_STANDALONE_CODE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "seqhub":
            raise ModuleNotFoundError("seqhub")
sys.meta_path.insert(0, Blocked())
import torch, transformers
model = transformers.{auto}.from_pretrained({folder!r}, trust_remote_code=True, local_files_only=True).eval()
with torch.no_grad():
    output = model({name}=torch.tensor({row}))
names = ("logits", "pooler_output", "last_hidden_state")
found = next(output[name] for name in names if output.get(name) is not None)[0]
difference = float((found - torch.tensor({expected})).abs().max())
assert difference < 1e-4, f"logits differ by {{difference}} without seqhub"
"""


def _heads(preset: str) -> list[Any]:
    return list(list_heads(family_of(preset)))


def _settings(preset: str) -> dict[str, Any]:
    """Return the settings of a small model on ids, or on real values if the family does not accept ids."""
    fields = config_fields(preset)
    return {"vocab_size": 7} if "vocab_size" in fields and "input_ids" in list_inputs(family_of(preset)) else {}


def _models(preset: str) -> "list[tuple[PreTrainedModel, list[Tensor], str, str]]":
    """Return for each head: a model with changed weights, rows, the head, and its name for error messages."""
    import torch

    found = []
    for head in _heads(preset):
        labels: dict[str, Any] = {} if head == "base" else {"num_labels": _LABELS}
        torch.manual_seed(0)
        model = build_model(build_config(preset, **labels, **_settings(preset)), head).eval()
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn(parameter.shape, generator=random)
        found.append((model, _rows(model), head, f"{preset}, {HEADS[head]}"))
    return found


def _rows(model: "PreTrainedModel") -> "list[Tensor]":
    import torch

    random = torch.Generator().manual_seed(2)
    config = model.config
    fixed = getattr(config, "num_steps", None)
    lengths = (fixed,) * 3 if fixed else _LENGTHS
    if model.main_input_name == "input_ids" and getattr(config, "inputs", "ids") != "values":
        return [torch.randint(1, config.vocab_size, (length,), generator=random) for length in lengths]
    step = tuple(getattr(config, "step_shape", None) or (config.num_features,))
    return [torch.randn(length, *step, generator=random) for length in lengths]


def _batch(rows: "list[Tensor]", side: str, model: "PreTrainedModel") -> "dict[str, Tensor]":
    import torch

    width = max(map(len, rows))
    inputs = torch.zeros(len(rows), width, *rows[0].shape[1:], dtype=rows[0].dtype)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        start = 0 if side == "right" else width - len(row)
        inputs[number, start : start + len(row)] = row
        mask[number, start : start + len(row)] = 1
    return {"input_values" if inputs.is_floating_point() else "input_ids": inputs, "attention_mask": mask}


def _outputs_of(model: "PreTrainedModel", rows: "list[Tensor]", side: str) -> "list[Tensor]":
    import torch

    batch = _batch(rows, side, model)
    with torch.no_grad():
        output = _main_output(model(**batch))
    mask = batch["attention_mask"]
    if output.dim() == 2 or output.shape[1] != mask.shape[1]:
        return list(output)
    return [each[real.bool()] for each, real in zip(output, mask, strict=True)]


def _main_output(output: Any) -> "Tensor":
    """Return the logits, or the pooled vector or the states of a model without a head."""
    for name in ("logits", "pooler_output", "last_hidden_state"):
        if output.get(name) is not None:
            tensor: Tensor = output[name]
            return tensor
    raise CheckFailedError(f"output has {', '.join(output)}; must have logits, pooler_output or last_hidden_state")


def _labels(head: str, batch: "dict[str, Tensor]") -> "Tensor":
    import torch

    mask = batch["attention_mask"]
    random = torch.Generator().manual_seed(3)
    if head == "sequence":
        return torch.randint(0, _LABELS, (len(mask),), generator=random)
    if head == "causal":
        return batch["input_ids"].masked_fill(mask == 0, -100)
    if head == "seq2seq":
        return torch.randint(1, _LABELS, (len(mask), 4), generator=random)
    labels = torch.randint(0, _LABELS, mask.shape, generator=random)
    return labels.masked_fill(mask == 0, -100)


def _width(model: "PreTrainedModel", head: str) -> int:
    if head == "seq2seq":
        return int(model.config.decoder_vocab_size)
    return int(model.config.vocab_size) if head == "causal" else _LABELS


CHECKS: dict[str, Callable[[str], None]] = {
    "definition": definition,
    "outputs": outputs,
    "padding": padding,
    "causality": causality,
    "gradients": gradients,
    "initialization": initialization,
    "saving": saving,
    "alone": loading_without_seqhub,
    "training": training,
}
