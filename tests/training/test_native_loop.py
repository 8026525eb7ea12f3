"""The native training loop, compared with that in torch."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqhub.data.source import DataSource
from seqhub.native.loader import reason
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import data_source
from seqhub.training.history import read_history
from seqhub.training.model_setup import create_model
from seqhub.training.native_loop import AbandonedError, initial_model, reason_not_native, train_native
from seqhub.training.state import DivergedError
from seqhub.training.torch_loop import train_in_torch

pytestmark = pytest.mark.skipif(reason() is not None, reason="no native library")

SETTINGS: dict[str, Any] = {
    "task": "qrsu/easy",
    "initialization": "chrono",
    "chrono_max_steps": 8,
    "learning_rate": 0.01,
    "max_sequences": 640,
    "evaluate_every": 100,
    "evaluate_size": 1500,
    "stop_at": "none",
    "cpu": True,
}
KINDS: dict[str, dict[str, Any]] = {
    "classes": {},
    "a single logit": {"task": "square/fixed", "single_logit": True, "model": "gru"},
    "a class per step": {"task": "echo/step3-ragged", "evaluate_size": 100},
    "next symbols": {"task": "char_completion/tutorial", "data": "splits", "epochs": 40, "batch_size": 2},
    "an epoch that ends early": {"data": "splits", "batch_size": 48, "max_sequences": 5000, "evaluate_every": 2000},
    "the order of torch": {"data": "splits", "order_seed": 3, "weights_seed": 5, "initialization": "default"},
    "errors": {"schedule": "error", "error_reference": 0.95, "optimizer": "adamw", "beta1": 0.5, "beta2": 0.9},
    "momentum": {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1, "schedule": "linear", "warmup": 64},
    "two layers": {"num_hidden_layers": 2, "optimizer": "rmsprop", "max_grad_norm": 0.0, "weight_decay": 0.01},
    "both directions": {"model": "rnn_tanh", "model_options": {"bidirectional": True}, "schedule": "cosine"},
}


def settings_of(kind: str) -> dict[str, Any]:
    settings = SETTINGS | KINDS[kind]
    if settings["initialization"] != "chrono" or settings.get("model", "").startswith("rnn"):
        settings |= {"initialization": "default", "chrono_max_steps": None}
    return settings


@pytest.mark.parametrize("kind", KINDS)
def test_a_native_run_equals_the_run_of_train(tmp_path: Path, kind: str) -> None:
    config = TrainConfig(output_dir=tmp_path / "run", seed=7 if kind == "classes" else 0, **settings_of(kind))
    record = train_in_torch(config, data_source(config), False, None)
    assert record is not None
    assert reason_not_native(config) is None
    native = train_native(config)

    same = ("task", "model", "model_config", "num_parameters", "seed", "training", "data", "sequences_seen")
    for name in (*same, "optimizer_steps", "processes", "criteria"):
        assert getattr(native.record, name) == getattr(record, name), name
    assert (native.record.environment["native"], record.environment["native"]) == (True, False)
    assert native.record.environment | {"native": False} == record.environment
    rows = read_history(config.output_dir)
    assert [row.keys() for row in native.history] == [row.keys() for row in rows]
    for ours, theirs in zip(native.history, rows, strict=True):
        assert ours["sequences"] == theirs["sequences"]
        for name in ("loss", "learning_rate", "accuracy", "validation_accuracy"):
            assert ours[name] == pytest.approx(theirs[name], rel=2e-3, abs=2e-3), name
    for name, learnt in load_file(config.output_dir / "model.safetensors").items():
        torch.testing.assert_close(torch.from_numpy(native.model.weights[name]), learnt, rtol=0.02, atol=2e-3)


def test_a_criterion_ends_it_at_the_same_validation(tmp_path: Path) -> None:
    settings = SETTINGS | {"learning_rate": 0.02, "max_sequences": 20_000, "stop_at": "both", "evaluate_every": 320}
    config = TrainConfig(output_dir=tmp_path / "run", **settings)
    record, native = train_in_torch(config, data_source(config), False, None), train_native(config)
    assert record is not None
    assert None not in record.criteria.values()
    assert set(native.record.criteria) == set(record.criteria)
    for (
        name,
        met_at,
    ) in native.record.criteria.items():  # rounding may move it by one or two validations in 2,000 sequences
        assert met_at == pytest.approx(record.criteria[name], abs=960)
    assert native.record.sequences_seen % 320 == 0


def test_runs_do_not_depend_on_threads(tmp_path: Path) -> None:
    config = TrainConfig(output_dir=tmp_path, **SETTINGS)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    alone = [train_native(replace(config, seed=seed)) for seed in range(6)]
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda s=seed: found.update({s: train_native(replace(config, seed=s))}))
        for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for seed, run in enumerate(alone):
        for name, weight in run.model.weights.items():
            assert (found[seed].model.weights[name] == weight).all()
        without_clock = [
            [{k: v for k, v in row.items() if k != "seconds"} for row in each.history] for each in (run, found[seed])
        ]
        assert without_clock[0] == without_clock[1]
    assert (torch.get_rng_state() == before).all()


def test_initial_weights_are_those_of_the_seed(tmp_path: Path) -> None:
    config = TrainConfig(output_dir=tmp_path, seed=4, **SETTINGS)
    schema = DataSource(config.task).schema
    ours, theirs = initial_model(config, schema).weights, create_model(config, schema).state_dict()
    assert all((ours[name] == theirs[name].numpy()).all() for name in theirs)


def test_the_reason_for_an_unsupported_run(tmp_path: Path) -> None:
    def reason_of(**changes: Any) -> str | None:
        return reason_not_native(TrainConfig(output_dir=tmp_path, **SETTINGS | changes))

    assert reason_of() is None
    assert reason_of(precision="bf16") == "precision bf16"
    assert "embeddings" in str(reason_of(model_options={"inputs": "embedding", "embedding_size": 4}))
    plain = {"initialization": "default", "chrono_max_steps": None}
    assert "reconstruction" in str(reason_of(task="ramps/scalar", model="lstm_autoencoder", **plain))


def test_a_diverging_run_is_an_error(tmp_path: Path) -> None:
    settings = SETTINGS | {"optimizer": "sgd", "learning_rate": 3e38, "max_grad_norm": 0.0}
    with pytest.raises(DivergedError, match=r"loss is nan|loss is inf"):
        train_native(TrainConfig(output_dir=tmp_path, **settings))


def test_a_run_can_be_stopped(tmp_path: Path) -> None:
    calls = iter([False, False, True])
    with pytest.raises(AbandonedError):
        train_native(TrainConfig(output_dir=tmp_path, **SETTINGS), stopped=lambda: next(calls))
    assert list(tmp_path.iterdir()) == []


def test_the_digest_does_not_depend_on_the_validation_interval(tmp_path: Path) -> None:
    """The digest in the record covers the presented rows, in the order of the stream."""
    digests = {
        train_native(TrainConfig(output_dir=tmp_path, **SETTINGS | {"evaluate_every": every})).record.data["digest"]
        for every in (16, 640)
    }
    assert len(digests) == 1
