"""Runs without torch: the same weights, files and results as with torch, and no import of it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqhub.data.arrow import rows_table
from seqhub.data.digest import digest, digest_batches
from seqhub.data.source import DataSource
from seqhub.data.tokenizers import save_tokenizer, tokenizer_of
from seqhub.models.plain_config import PlainConfig, code_files, model_files, plain_config
from seqhub.models.registry import build_config, build_model
from seqhub.models.sizing import measure_sizes
from seqhub.models.tokenizer import symbol_tokenizer, tokenizer_files, word_tokenizer
from seqhub.native.initial_weights import initial_weights
from seqhub.native.loader import reason
from seqhub.native.model import NativeModel
from seqhub.native.torch_random import TorchRandom
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import data_source
from seqhub.training.model_setup import create_model, plain_model
from seqhub.training.native_files import save_native_run
from seqhub.training.native_loop import train_native

native = pytest.mark.skipif(reason() is not None, reason="no native library")
LABELS: dict[str, Any] = {"id2label": {0: "ä", 1: "b", 2: "c"}, "label2id": {"ä": 0, "b": 1, "c": 2}}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"hidden_size": 5, "num_hidden_layers": 2},
    {"bidirectional": True, "hidden_size": 16, "num_hidden_layers": 2},
    {"inputs": "values", "num_features": 3},
    {"latch": 1.5},
    {"initialization": "forget_bias", "forget_bias": 2.5},
    {"initialization": "forget_bias", "input_gate_bias": -1.0},
    {"initialization": "chrono", "chrono_max_steps": 330},
    {"initialization": "hs97", "init_range": 0.2},
    {"initialization": "hs97", "input_gate_bias": [-1.0] * 8, "output_gate_bias": -2},
    {"biased_units": "gates"},
    {"biased_units": "none"},
    {"connectivity": "below"},
    {"output_gates": False},
    {"block_size": 2},
)
PRESETS = ("rnn_tanh", "rnn_relu", "gru", "lstm", "lstm_hs97")
HEADS = ("sequence", "token", "causal")


def cases(head: str) -> list[tuple[str, dict[str, Any], PlainConfig]]:
    """Return all presets and options that a head accepts."""
    found = []
    for preset in PRESETS:
        for options in OPTIONS:
            settings = options if head == "causal" else LABELS | options
            if head == "causal" and (options.get("bidirectional") or options.get("inputs") == "values"):
                continue
            if (config := plain_config(preset, settings)) is not None:
                found.append((preset, settings, config))
    return found


@pytest.mark.parametrize("seed", [0, 7, (1 << 32) + 5])
def test_uniform_numbers_are_those_of_torch(seed: int) -> None:
    torch.manual_seed(seed)
    random = TorchRandom(seed)
    for count in (1, 3, 17, 700):
        for low, high in ((-0.1, 0.1), (-(8**-0.5), 8**-0.5), (1, 107), (1, 7)):
            expected = torch.empty(count).uniform_(low, high).numpy()
            assert random.uniform((count,), low, high).tobytes() == expected.tobytes()
    random.skip(5)
    assert torch.empty(6).uniform_(0, 1)[5] == random.uniform((1,), 0, 1)[0]


@pytest.mark.parametrize("head", HEADS)
def test_initial_weights_are_those_of_torch(head: Any) -> None:
    """Bit for bit, for every preset and initialization except `identity`."""
    tested = cases(head)
    assert {preset for preset, _, _ in tested} == set(PRESETS)
    for preset, settings, config in tested:
        torch.manual_seed(3)
        model = build_model(build_config(preset, **settings), head)
        expected = {name: each.detach().numpy().copy() for name, each in model.named_parameters()}
        weights = initial_weights(config, head, 3)
        assert weights is not None
        assert list(weights) == list(expected)
        for name, weight in weights.items():
            assert weight.tobytes() == expected[name].tobytes(), (preset, settings, name)
        sizes = NativeModel(config, head, weights).sizes()
        assert sizes == measure_sizes(model), (preset, settings)


def test_weights_of_a_second_seed_are_those_of_torch(tmp_path: Path) -> None:
    for model in PRESETS:
        config = TrainConfig(task="qrsu/easy", output_dir=tmp_path, model=model, seed=2, weights_seed=11)
        schema = DataSource(config.task).schema
        plain, expected = plain_model(config, schema), create_model(config, schema).state_dict()
        assert plain is not None
        assert all((plain.weights[name] == expected[name].numpy()).all() for name in expected)


def test_torch_initialises_what_numpy_does_not_reproduce() -> None:
    config = plain_config("rnn_relu", {"initialization": "identity"})
    assert config is not None
    assert initial_weights(config, "sequence", 0) is None


def test_wrong_settings_are_left_to_the_config_class() -> None:
    for settings in ({"hidden_size": 0}, {"hidden_size": 2.0}, {"colour": 1}, {"bidirectional": 1}, {"cell": "lru"}):
        assert plain_config("lstm", settings) is None
    assert plain_config("cnn", {}) is None


@pytest.mark.parametrize("head", HEADS)
def test_files_are_those_of_save_pretrained(tmp_path: Path, head: Any) -> None:
    for number, (preset, settings, config) in enumerate(cases(head)[::3]):
        folder = tmp_path / str(number)
        build_model(build_config(preset, **settings), head).save_pretrained(folder)
        written = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        ours = {name: text.encode() for name, text in model_files(config, head).items()}
        ours |= {path.name: path.read_bytes() for path in code_files(config)}
        assert ours == {name: content for name, content in written.items() if name != "model.safetensors"}


def test_tokenizer_files_are_those_of_save_pretrained(tmp_path: Path) -> None:
    for number, unknown in enumerate((False, True)):
        for word in (False, True):
            for boundaries in ("spaces", "unicode") if word else ("spaces",):
                entries = ["é", "中文", "don't", "[PAD]"] if word else 'aé"\\\n中'
                if word:
                    tokenizer = word_tokenizer(entries, unknown=unknown, boundaries=boundaries)  # type: ignore[arg-type]
                else:
                    tokenizer = symbol_tokenizer(str(entries), unknown=unknown)
                folder = tmp_path / f"{number}-{word}-{boundaries}"
                tokenizer.save_pretrained(folder)
                ours = tokenizer_files(entries, words=word, unknown=unknown, boundaries=boundaries)  # type: ignore[arg-type]
                assert ours == {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_the_tokenizer_of_a_task_is_that_of_transformers(tmp_path: Path) -> None:
    schema = TaskRef.parse("qrsu/easy").schema
    tokenizer = tokenizer_of(schema)
    assert tokenizer is not None
    (tmp_path / "ours").mkdir()
    save_tokenizer(DataSource("qrsu/easy"), tmp_path / "ours")
    tokenizer.save_pretrained(tmp_path / "theirs")
    for path in (tmp_path / "theirs").iterdir():
        assert (tmp_path / "ours" / path.name).read_bytes() == path.read_bytes()


def test_digests_of_batches_are_those_of_tables() -> None:
    for name in list_tasks():
        config = get_task(name).configs[0]
        split = Split(TaskRef(name, config.name), "train")
        rows = 3 if split.longest * max(1, split.schema.num_features) > 10_000 else 40
        rows = rows if split.size is None else min(rows, split.size)
        assert digest_batches(split.batches(0, rows), split.schema) == digest(rows_table(split, 0, rows)), name


RUNS: dict[str, dict[str, Any]] = {
    "classes": {"initialization": "chrono", "chrono_max_steps": 8},
    "next symbols": {"task": "embedded_reber/hs97", "data": "splits", "model": "lstm_hs97", "hidden_size": 4},
    "numbers": {"task": "adding/hs97-t100", "model": "gru", "evaluate_size": 32},
    "a class per step": {"task": "echo/step3-ragged", "evaluate_size": 32},
}


@native
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_with_torch_gives_the_same_folder(tmp_path: Path, kind: str) -> None:
    settings: dict[str, Any] = {"task": "qrsu/easy", "max_sequences": 96, "evaluate_every": 48, "evaluate_size": 64}
    config = TrainConfig(output_dir=tmp_path, stop_at="none", **settings | RUNS[kind])
    folders = []
    for with_torch in (False, True):
        source = data_source(config)
        run = train_native(replace(config), source, with_torch=with_torch)
        assert isinstance(run.model.config, PlainConfig) is not with_torch
        folders.append(tmp_path / str(with_torch))
        folders[-1].mkdir()
        save_native_run(folders[-1], run, source)
    ours, theirs = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    records = [json.loads(each.pop("run.json")) | {"timings": {}} for each in (ours, theirs)]
    assert records[0] == records[1]
    assert ours == theirs


@native
@pytest.mark.parametrize(
    "line",
    [
        "train qrsu/easy --max-sequences 32 --evaluate-size 32",
        "sweep qrsu/easy --seeds 1 --max-sequences 32 --evaluate-size 32 --test-rows 32 --keep-models",
        "paper hs97 --rows 2a --seeds 1 --model lstm_hs97",
    ],
)
def test_commands_import_neither_torch_nor_transformers(line: str, tmp_path: Path) -> None:
    heavy = ("torch", "transformers", "accelerate", "datasets", "pandas", "huggingface_hub", "asyncio", "jinja2")
    code = (
        f"import sys; sys.argv = ['seqhub', *{line.split()}, '--output-dir', 'run', '-q']\n"
        "from seqhub.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[]"), done.stdout


def test_logarithms_are_those_of_torch_in_double_precision() -> None:
    """The values of `initialization="chrono"`, which depended on the processor in single precision."""
    values = np.random.default_rng(0).uniform(1, 2000, 200_000).astype(np.float32)
    ours = np.log(values.astype(np.float64)).astype(np.float32)
    assert (ours == torch.from_numpy(values).double().log().float().numpy()).all()
