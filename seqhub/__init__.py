"""Datasets, models and a Hub for sequence memory.

After `import seqhub`, `datasets.load_dataset("qrsu", "hard")` and the Auto classes of `transformers` know the tasks
and models of this package. The import itself loads none of datasets, transformers and torch: the names below are
looked up on first use, and the two libraries are told about seqhub when they are imported, before or after. That
hook is undone by `seqhub.unregister()` and never installed where SEQHUB_NO_HOOK=1; `seqhub.load_dataset` and
`seqhub.get_builder` need no hook.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from seqhub._hooks import offer_kernels, register, unregister

if TYPE_CHECKING:  # for editors and type checkers; at run time the same names are looked up lazily
    from seqhub.data.builder import get_builder, load_dataset
    from seqhub.data.stream import stream
    from seqhub.deployment.export import export
    from seqhub.evaluation.evaluate import evaluate
    from seqhub.hub.push import push
    from seqhub.models.predict import predict_label, predict_logits, predict_proba
    from seqhub.models.registry import build_config, build_model
    from seqhub.tasks.registry import get_task, list_tasks, resolve
    from seqhub.training.config import TrainConfig
    from seqhub.training.train import train
    from seqhub.verification.verify import verify

_HOME = {
    "get_builder": "seqhub.data.builder",
    "load_dataset": "seqhub.data.builder",
    "stream": "seqhub.data.stream",
    "export": "seqhub.deployment.export",
    "evaluate": "seqhub.evaluation.evaluate",
    "verify": "seqhub.verification.verify",
    "push": "seqhub.hub.push",
    "predict_label": "seqhub.models.predict",
    "predict_logits": "seqhub.models.predict",
    "predict_proba": "seqhub.models.predict",
    "build_config": "seqhub.models.registry",
    "build_model": "seqhub.models.registry",
    "get_task": "seqhub.tasks.registry",
    "list_tasks": "seqhub.tasks.registry",
    "resolve": "seqhub.tasks.registry",
    "TrainConfig": "seqhub.training.config",
    "train": "seqhub.training.train",
}

__all__ = [
    "TrainConfig",
    "__version__",
    "build_config",
    "build_model",
    "evaluate",
    "export",
    "get_builder",
    "get_task",
    "list_tasks",
    "load_dataset",
    "predict_label",
    "predict_logits",
    "predict_proba",
    "push",
    "register",
    "resolve",
    "stream",
    "train",
    "unregister",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("seqhub")
    if name not in _HOME:
        raise AttributeError(f"module 'seqhub' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__


offer_kernels()
if os.environ.get("SEQHUB_NO_HOOK") != "1":
    register()
