"""Files of a natively trained model: weights, config and code, equal to those of `save_pretrained`."""

import shutil
from functools import partial
from pathlib import Path

from seqhub._logging import quiet_transformers
from seqhub.data.source import DataSource
from seqhub.evaluation.probe import native_probe_logits
from seqhub.models.plain_config import PlainConfig, code_files, model_files
from seqhub.native.model import NativeModel
from seqhub.training.artifacts import save_files
from seqhub.training.native_loop import NativeRun


def save_native_run(folder: Path, run: NativeRun, source: DataSource) -> None:
    """Save the files of a run of the native loop with its record, see `artifacts.save_files`."""
    run.record.probe = native_probe_logits(run.scorer, source)
    save_files(folder, partial(write_native_model, run.model), source, run.record)


def write_native_model(model: NativeModel, folder: Path) -> None:
    """Write the files of a model; without torch and transformers if it was created without them."""
    if not isinstance(model.config, PlainConfig):
        from seqhub.native.torch_model import with_weights

        module = with_weights(model)
        with quiet_transformers():
            module.save_pretrained(folder)
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        return
    from safetensors.numpy import save_file

    save_file(model.weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name, text in model_files(model.config, model.head).items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in code_files(model.config):
        shutil.copy(path, folder / path.name)
