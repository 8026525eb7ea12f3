"""The wheel holds everything: run from its contents alone, away from the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECONDS = 120


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contents of a wheel built from a copy, so that the checkout stays clean."""
    import shutil

    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "seqhub", source / "seqhub", ignore=shutil.ignore_patterns("__pycache__"))
    command = ["wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder), str(source)]
    done = subprocess.run([sys.executable, "-m", "pip", *command], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("seqhub-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_every_file_of_the_package_is_in_it_and_nothing_else(unpacked: Path) -> None:
    wanted = {
        path.relative_to(ROOT)
        for path in (ROOT / "seqhub").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {path.relative_to(unpacked) for path in (unpacked / "seqhub").rglob("*") if path.is_file()}
    assert packed == wanted
    assert {path.name.partition("-")[0] for path in unpacked.iterdir()} == {"seqhub"}


def test_it_runs_away_from_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
        "import seqhub, datasets\n"
        f"assert seqhub.__file__.startswith({str(unpacked)!r}), seqhub.__file__\n"
        "rows = datasets.load_dataset('qrsu', 'easy', split='test', cache_dir='cache')\n"
        "assert len(rows) == 10_000\n"
        "from pathlib import Path\n"
        "from seqhub.cards.folder import write_card\n"
        "from seqhub.data.export import write_folder\n"
        "write_folder('qrsu', Path('qrsu'), configs=['easy'], train_size=10, validation_size=10, test_size=10)\n"
        "write_card(Path('qrsu'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "qrsu" / "README.md").exists()
