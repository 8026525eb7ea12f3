"""Datasets, models and a Hub for sequence memory.

`import seqhub` registers the tasks with `datasets.load_dataset`, as in `load_dataset("qrsu", "hard")`, and the models
with the Auto classes of `transformers`. It does not import datasets, transformers or torch: the names below are
imported at first use, and hooks register seqhub with the two libraries when they are imported, before or after seqhub.
`seqhub.unregister()` undoes the registration, and SEQHUB_NO_HOOK=1 in the environment prevents it;
`seqhub.load_dataset`, `seqhub.get_builder` and the model classes work without registration.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from seqhub._hooks import import_native_dispatch, register, unregister

if TYPE_CHECKING:  # for editors and type checkers
    from seqhub.cells.compile import compile_cell
    from seqhub.data.builder import get_builder, load_dataset
    from seqhub.data.data_collator import DataCollator
    from seqhub.data.stream import stream
    from seqhub.data.tokenizers import get_tokenizer
    from seqhub.deployment.export import export
    from seqhub.evaluation.evaluate import evaluate
    from seqhub.evaluation.predict import predict
    from seqhub.hub.push import push
    from seqhub.models.conv_recurrent import (
        ConvRecurrentConfig,
        ConvRecurrentForSequenceClassification,
        ConvRecurrentForTokenClassification,
        ConvRecurrentModel,
    )
    from seqhub.models.convolutional import (
        ConvolutionalConfig,
        ConvolutionalForSequenceClassification,
        ConvolutionalModel,
    )
    from seqhub.models.hs97 import (
        Hs97Config,
        Hs97ForCausalLM,
        Hs97ForSequenceClassification,
        Hs97ForTokenClassification,
        Hs97Model,
    )
    from seqhub.models.locally_connected import (
        LocallyConnectedConfig,
        LocallyConnectedForSequenceClassification,
        LocallyConnectedModel,
    )
    from seqhub.models.predict import predict_label, predict_logits, predict_proba
    from seqhub.models.pretrained import pretrained
    from seqhub.models.recurrent import (
        RecurrentConfig,
        RecurrentForCausalLM,
        RecurrentForSequenceClassification,
        RecurrentForTokenClassification,
        RecurrentModel,
    )
    from seqhub.models.recurrent_seq2seq import (
        RecurrentSeq2SeqConfig,
        RecurrentSeq2SeqForConditionalGeneration,
        RecurrentSeq2SeqModel,
    )
    from seqhub.models.registry import build_config, build_model, register_auto_classes
    from seqhub.models.sequence_autoencoder import SequenceAutoencoderConfig, SequenceAutoencoderModel
    from seqhub.models.wrapped import (
        WrappedConfig,
        WrappedForCausalLM,
        WrappedForSequenceClassification,
        WrappedForTokenClassification,
        WrappedModel,
    )
    from seqhub.tasks.registry import get_task, list_tasks, resolve
    from seqhub.training.config import TrainConfig
    from seqhub.training.train import train
    from seqhub.verification.verify import verify

_MODULES = {  # public name -> module; the classes of model families are found through the registry
    "DataCollator": "seqhub.data.data_collator",
    "TrainConfig": "seqhub.training.config",
    "build_config": "seqhub.models.registry",
    "build_model": "seqhub.models.registry",
    "compile_cell": "seqhub.cells.compile",
    "evaluate": "seqhub.evaluation.evaluate",
    "export": "seqhub.deployment.export",
    "get_builder": "seqhub.data.builder",
    "get_task": "seqhub.tasks.registry",
    "get_tokenizer": "seqhub.data.tokenizers",
    "list_tasks": "seqhub.tasks.registry",
    "load_dataset": "seqhub.data.builder",
    "predict": "seqhub.evaluation.predict",
    "predict_label": "seqhub.models.predict",
    "predict_logits": "seqhub.models.predict",
    "predict_proba": "seqhub.models.predict",
    "pretrained": "seqhub.models.pretrained",
    "push": "seqhub.hub.push",
    "register_auto_classes": "seqhub.models.registry",
    "resolve": "seqhub.tasks.registry",
    "stream": "seqhub.data.stream",
    "train": "seqhub.training.train",
    "verify": "seqhub.verification.verify",
}

__all__ = [
    "ConvRecurrentConfig",
    "ConvRecurrentForSequenceClassification",
    "ConvRecurrentForTokenClassification",
    "ConvRecurrentModel",
    "ConvolutionalConfig",
    "ConvolutionalForSequenceClassification",
    "ConvolutionalModel",
    "DataCollator",
    "Hs97Config",
    "Hs97ForCausalLM",
    "Hs97ForSequenceClassification",
    "Hs97ForTokenClassification",
    "Hs97Model",
    "LocallyConnectedConfig",
    "LocallyConnectedForSequenceClassification",
    "LocallyConnectedModel",
    "RecurrentConfig",
    "RecurrentForCausalLM",
    "RecurrentForSequenceClassification",
    "RecurrentForTokenClassification",
    "RecurrentModel",
    "RecurrentSeq2SeqConfig",
    "RecurrentSeq2SeqForConditionalGeneration",
    "RecurrentSeq2SeqModel",
    "SequenceAutoencoderConfig",
    "SequenceAutoencoderModel",
    "TrainConfig",
    "WrappedConfig",
    "WrappedForCausalLM",
    "WrappedForSequenceClassification",
    "WrappedForTokenClassification",
    "WrappedModel",
    "__version__",
    "build_config",
    "build_model",
    "compile_cell",
    "evaluate",
    "export",
    "get_builder",
    "get_task",
    "get_tokenizer",
    "list_tasks",
    "load_dataset",
    "predict",
    "predict_label",
    "predict_logits",
    "predict_proba",
    "pretrained",
    "push",
    "register",
    "register_auto_classes",
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
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name[:1].isupper():
        from seqhub.models.registry import model_classes

        if name in model_classes():
            return getattr(import_module(model_classes()[name]), name)
    raise AttributeError(f"module 'seqhub' has no attribute {name!r}")


def __dir__() -> list[str]:
    from seqhub.models.registry import model_classes

    return sorted({*__all__, *model_classes()})


import_native_dispatch()
if os.environ.get("SEQHUB_NO_HOOK") != "1":
    register()
