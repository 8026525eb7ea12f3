"""Training on a CUDA device; skipped without one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seqhub.evaluation.evaluate import evaluate
from seqhub.records import RunRecord
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.random_state import random_state, restore_random_state
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from seqhub.verification.verify import verify
from tests.helpers.training_processes import finish, launch_two, start
from tests.training.test_resume import StopError, stop_after

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_hard_is_solved_on_the_device_and_verified_on_the_cpu(tmp_path: Path, precision: str) -> None:
    settings = recipe("qrsu/hard") | {"precision": precision}
    record = train(TrainConfig(task="qrsu/hard", output_dir=tmp_path / "run", **settings))
    assert record is not None
    assert record.environment["device"] == "cuda"
    assert record.criteria["accuracy>=0.999"] is not None
    evaluate(tmp_path / "run", num_examples=1000, sibling_examples=0)
    different = [finding.what for finding in verify(tmp_path / "run", isolated=True) if not finding.agrees]
    assert different in ([], ["logits of 8 sequences"])  # cuDNN rounds differently, up to 1e-3 with bf16 autocast


def test_first_losses_on_device_and_cpu_agree(tmp_path: Path) -> None:
    settings = recipe("qrsu/easy") | {"max_sequences": 320, "stop_at": "none", "evaluate_size": 1024}
    for name, cpu in (("device", False), ("cpu", True)):
        train(TrainConfig(task="qrsu/easy", output_dir=tmp_path / name, cpu=cpu, **settings))
    losses = [read_history(tmp_path / name)[0]["loss"] for name in ("device", "cpu")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    data = [RunRecord.load(tmp_path / name).data for name in ("device", "cpu")]
    assert data[0] == data[1]


def test_resume_on_the_device(tmp_path: Path) -> None:
    settings = recipe("qrsu/easy") | {"max_sequences": 1280, "checkpoint_every": 320, "stop_at": "none"}

    class StopError(Exception):
        pass

    def stop(now: object) -> None:
        if getattr(now, "sequences", 0) >= 640:
            raise StopError

    config = TrainConfig(task="qrsu/easy", output_dir=tmp_path / "run", **settings)
    with pytest.raises(StopError):
        train(config, callback=stop)
    record = train(config, resume=True)
    assert record is not None
    assert record.sequences_seen == 1280
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "run" / "model.safetensors").values())


def test_dropout_on_the_device_is_resumed_exactly(tmp_path: Path) -> None:
    """The masks are from the generator of the device, whose state is in the checkpoint."""
    settings = {"num_hidden_layers": 2, "model_options": {"dropout": 0.5}, "evaluate_size": 64, "stop_at": "none"}
    settings |= {"max_sequences": 1120, "evaluate_every": 160, "checkpoint_every": 320}
    train(TrainConfig(task="qrsu/easy", output_dir=tmp_path / "whole", **settings))
    with pytest.raises(StopError):
        train(TrainConfig(task="qrsu/easy", output_dir=tmp_path / "run", **settings), callback=stop_after(800))
    torch.manual_seed(99)
    train(TrainConfig(task="qrsu/easy", output_dir=tmp_path / "run", **settings), resume=True)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "run")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=0, atol=0)


def test_the_state_of_the_device_generator_is_restored() -> None:
    device = torch.device("cuda")
    with torch.random.fork_rng():
        states = {f"random.0{name}": torch.from_numpy(state) for name, state in random_state(device).items()}
        first = torch.rand(8, device=device)
        restore_random_state(states, "random.0", device)
        assert torch.equal(torch.rand(8, device=device), first)


@pytest.mark.parametrize("model", ["transformers:mamba", "transformers:llama", "torch.nn:LSTM"])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_wrapped_models_train_on_the_device(model: str, precision: str, tmp_path: Path) -> None:
    settings = recipe("parity/every", model) | {"max_sequences": 640, "precision": precision}
    record = train(TrainConfig(task="parity/every", output_dir=tmp_path / "run", model=model, **settings))
    assert record is not None
    assert record.environment["device"] == "cuda"
    assert record.conformance is not None
    evaluate(tmp_path / "run", num_examples=200, sibling_examples=0)


def test_a_run_is_repeated_exactly(tmp_path: Path) -> None:
    """With the fixed workspace of cuBLAS that cuDNN's recurrences need to sum in the same order each time."""
    arguments = ["qrsu/easy", "--max-sequences", "640", "--stop-at", "none", "--quiet", "--output-dir"]
    for name in ("first", "second"):
        process = start([*arguments, name], folder=tmp_path, CUBLAS_WORKSPACE_CONFIG=":4096:8")
        code, _, errors = finish(process)
        assert code == 0, errors
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_devices_train_the_weights_of_one(launcher: str, tmp_path: Path) -> None:
    arguments = ["qrsu/easy", "--max-sequences", "640", "--stop-at", "none", "--quiet", "--output-dir"]
    for folder, process in (
        ("two", launch_two(launcher, [*arguments, "two"], folder=tmp_path)),
        ("one", start([*arguments, "one"], folder=tmp_path, CUDA_VISIBLE_DEVICES="0")),
    ):
        code, _, errors = finish(process)
        assert code == 0, errors
        assert RunRecord.load(tmp_path / folder).environment["device"] == "cuda"
    two, one = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)
