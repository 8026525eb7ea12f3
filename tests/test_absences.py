"""Imports and connections that must not happen, in new processes."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "datasets", "transformers", "accelerate", "matplotlib", "pyarrow", "huggingface_hub")
SECONDS = 60


def run(code: str, **variables: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, env=os.environ | variables
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    for code in (
        "import seqhub; dir(seqhub); seqhub.__version__",
        "import seqhub; seqhub.resolve('qrsu/hard')",
        "from seqhub.tasks.splits import Split; Split('qrsu/hard')[5]",
        "from seqhub.models import recurrent; dir(recurrent); recurrent.PRESETS",
    ):
        out = run(f"import sys; {code}; print([m for m in {HEAVY} if m in sys.modules])")
        assert out.strip() == "[]", code


def test_import_loads_few_modules_of_the_standard_library() -> None:
    """Regression: the library of the import hooks imported asyncio, most of the time of `import seqhub`."""
    code = "import sys; before = set(sys.modules); import seqhub; print(sorted(set(sys.modules) - before))"
    found = run(code)
    assert "'seqhub'" in found
    for name in ("asyncio", "concurrent.futures", "inspect", "logging", "tempfile", "wrapt"):
        assert f"'{name}'" not in found


def test_light_commands_load_nothing_heavy() -> None:
    for line in ("--help", "--version", "tasks ls", "train --help", "tasks show qrsu/hard"):
        code = (
            f"import sys; sys.argv = ['seqhub', *{line.split()}]\n"
            "from seqhub.cli import main\n"
            "try:\n    main()\n"
            "except SystemExit as end:\n    assert not end.code, end.code\n"
            f"print([m for m in {HEAVY} if m in sys.modules])"
        )
        assert run(code).strip().endswith("[]"), line


@pytest.mark.slow
def test_import_opens_no_socket() -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "import seqhub, datasets, transformers\n"
        "from seqhub.training.train import train\n"
    )
    run(code, HF_HUB_OFFLINE="0")


def test_every_public_name_is_there() -> None:
    import seqhub

    for name in seqhub.__all__:
        assert getattr(seqhub, name) is not None
    assert set(seqhub._MODULES) <= set(seqhub.__all__)
    assert sorted(seqhub.__all__) == seqhub.__all__
    with pytest.raises(AttributeError, match="no attribute 'lstm'"):
        _ = seqhub.lstm


def test_package_ships_its_data_files() -> None:
    root = Path(__import__("seqhub").__file__).parent
    assert (root / "py.typed").exists()
    assert list((root / "cards" / "templates").iterdir())


BLOCKED = """
import sys
from importlib.machinery import PathFinder
class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {blocked!r} else super().find_spec(name, path, target)
sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
"""
SERVER = ("starlette", "uvicorn", "httptools", "itsdangerous", "prometheus_client", "lz4", "blake3")


def test_the_core_needs_neither_server_nor_plots(tmp_path: Path) -> None:
    code = BLOCKED.format(blocked=(*SERVER, "matplotlib", "submitit", "onnx", "onnxruntime", "tensorboard")) + (
        "import seqhub, datasets\n"
        "rows = seqhub.load_dataset('qrsu', 'easy', split='test', test_size=8)\n"
        "from seqhub.training.train import train\n"
        "train(seqhub.TrainConfig(task='qrsu/easy', output_dir='run', max_sequences=32, evaluate_every=32,"
        " evaluate_size=32, stop_at='none', hidden_size=2))\n"
        "seqhub.evaluate('run', sibling_examples=0)\n"
        "from pathlib import Path\n"
        "from seqhub.cards.write import write_card\n"
        "write_card(Path('run'))\n"
        "from transformers import AutoModelForSequenceClassification\n"
        "AutoModelForSequenceClassification.from_pretrained('run')\n"
    )
    import os

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=os.environ
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "library", "extra"),
    [
        (["serve", "--root", "hub"], "uvicorn", "server"),
        (["lr-range", "qrsu/easy", "--steps", "10", "--hidden-size", "2"], "matplotlib", "plots"),
    ],
)
def test_a_command_whose_extra_is_missing_says_what_to_install(
    arguments: list[str], library: str, extra: str, tmp_path: Path
) -> None:
    import os

    code = BLOCKED.format(blocked=(*SERVER, "matplotlib")) + (
        f"sys.argv = ['seqhub', *{arguments}]\nfrom seqhub.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=os.environ
    )
    assert done.returncode == 2, done.stderr
    assert f"pip install 'seqhub[{extra}]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
