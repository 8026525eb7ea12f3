"""The wheel: complete, and usable from its contents alone, outside the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECONDS = 120
COMPILER = next(filter(shutil.which, ("c++", "g++", "clang++")), None)
LIBRARY = Path("seqhub/native/recurrence.so")

pytestmark = pytest.mark.slow  # builds the library


def wheel(folder: Path, **variables: str) -> Path:
    """Return the contents of a wheel built from a copy, so that the checkout is not changed."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "seqhub", source / "seqhub", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    command = ["wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder), str(source)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("seqhub-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(
        tmp_path_factory.mktemp("wheel"), CXXFLAGS="-O0 -fno-asynchronous-unwind-tables -Dalways_inline=unused"
    )  # saves time


def test_the_wheel_without_a_compiler_lacks_only_the_library(unpacked: Path, tmp_path: Path) -> None:
    site = wheel(tmp_path, CXX="no-such-compiler")
    assert (unpacked / LIBRARY).exists() == (COMPILER is not None)
    assert not (site / LIBRARY).exists()
    assert (site / LIBRARY).with_name("loader.py").exists()


def test_the_pages_of_the_hub_are_complete(unpacked: Path) -> None:
    for folder in ("templates", "static"):
        path = Path("seqhub/server/pages") / folder
        assert {file.name for file in (unpacked / path).iterdir()} == {file.name for file in (ROOT / path).iterdir()}


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_the_native_library_has_no_dependencies(unpacked: Path, tmp_path: Path) -> None:
    code = (
        f"import ctypes\nlibrary = ctypes.CDLL({str(unpacked / LIBRARY)!r})\n"
        "assert library.seqhub_has(b'baseline')\n"
        "assert not library.seqhub_has(b'no such set')\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, timeout=SECONDS)


def test_the_wheel_has_exactly_the_files_of_the_package(unpacked: Path) -> None:
    wanted = {
        path.relative_to(ROOT)
        for path in (ROOT / "seqhub").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"
    }
    packed = {path.relative_to(unpacked) for path in (unpacked / "seqhub").rglob("*") if path.is_file()}
    assert {path for path in packed if path.suffix != ".so"} == wanted
    assert {path.name.partition("-")[0] for path in unpacked.iterdir()} == {"seqhub"}


def test_the_package_runs_outside_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
        "import seqhub, datasets\n"
        f"assert seqhub.__file__.startswith({str(unpacked)!r}), seqhub.__file__\n"
        "rows = datasets.load_dataset('qrsu', 'easy', split='test', cache_dir='cache')\n"
        "assert len(rows) == 10_000\n"
        "from pathlib import Path\n"
        "from seqhub.cards.write import write_card\n"
        "from seqhub.data.parquet import write_folder\n"
        "write_folder('qrsu', Path('qrsu'), configs=['easy'], train_size=10, validation_size=10, test_size=10)\n"
        "write_card(Path('qrsu'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "qrsu" / "README.md").exists()


def test_a_released_model_loads_from_the_wheel_in_another_folder(unpacked: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
        "import seqhub\n"
        "from transformers import AutoModelForSequenceClassification as Model, AutoTokenizer\n"
        "folder = seqhub.pretrained('qrsu-hard-lstm')\n"
        f"assert str(folder).startswith({str(unpacked)!r}), folder\n"
        "model, tokenizer = Model.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)\n"
        "row = seqhub.load_dataset('qrsu', 'hard', split='test', test_size=8, cache_dir='cache')[0]\n"
        "logits = model(**tokenizer(row['text'], return_tensors='pt')).logits\n"
        "assert int(logits.argmax()) == row['label']\n"
        "assert all(finding.agrees for finding in seqhub.verify(seqhub.pretrained('qrsu-easy-lstm')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
