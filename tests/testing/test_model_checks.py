"""Checks of models: valid presets pass, faults are found, and an installed package adds a family."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqhub.testing import checks_of, run_checks

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`seqhub/models/leaky/(\w+\.py)`:\n\n```python\n(.*?)```", TEXT, flags=re.DOTALL))
QUICK = ("definition", "outputs", "padding", "causality", "gradients", "initialization", "saving")


@pytest.mark.parametrize("preset", ["gru", "lstm_hs97", "cnn", "cnn_lstm", "lstm_autoencoder", "locally_connected"])
def test_presets_of_every_family_pass(preset: str) -> None:
    results = list(run_checks([check for check in checks_of(preset) if check.name in QUICK]))
    assert len(results) == len(QUICK)
    assert [f"{result.name}: {result.error}" for result in results if result.error] == []


@pytest.mark.slow
def test_every_preset_passes_every_check() -> None:
    from seqhub.models.registry import list_presets

    results = [result for preset in list_presets() for result in run_checks(checks_of(preset))]
    assert [f"{result.subject} {result.name}: {result.error}" for result in results if result.error] == []


def install(folder: Path, files: dict[str, str]) -> dict[str, str]:
    """Write a distribution with the family `leaky` like `pip install`; return an environment with its path."""
    package = folder / "leaky_package" / "leaky"
    package.mkdir(parents=True)
    (folder / "leaky_package" / "__init__.py").write_text("")
    for name, source in files.items():
        (package / name).write_text(source)
    info = folder / "leaky_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seqhub.models]\nleaky = leaky_package.leaky\n")
    return os.environ | {"PYTHONPATH": str(folder)}


def results_of(environment: dict[str, str], folder: Path) -> str:
    code = (
        "from seqhub.testing import checks_of, run_checks\n"
        f"for result in run_checks([check for check in checks_of('leaky') if check.name in {QUICK}]):\n"
        "    print(result.name, result.error or 'passed')\n"
        "from transformers import AutoModel\n"
        "from seqhub.models.registry import build_config\n"
        "assert type(AutoModel.from_config(build_config('leaky'))).__name__ == 'LeakyModel'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_installed_package_adds_a_family(tmp_path: Path) -> None:
    found = results_of(install(tmp_path, FILES), tmp_path)
    assert found.splitlines() == [f"{name} passed" for name in QUICK]


@pytest.mark.parametrize(
    ("old", "new", "failed"),
    [
        ("torch.where(mask[:, step, None].bool(), ", "(lambda one, two: one)(", "padding"),
        (
            "loss = None if labels is None else",
            "loss = None if labels is None else 0 * self.model.recurrence.bias.sum() *",
            "",
        ),
        ("self.post_init()", "self.extra = nn.Parameter(torch.ones(1)); self.post_init()", "gradients"),
    ],
    ids=["mask ignored", "harmless", "unused parameter"],
)
def test_fault_of_a_family_is_found(old: str, new: str, failed: str, tmp_path: Path) -> None:
    source = FILES["modeling_leaky.py"]
    assert old in source
    found = results_of(install(tmp_path, FILES | {"modeling_leaky.py": source.replace(old, new)}), tmp_path)
    assert [line.split()[0] for line in found.splitlines() if not line.endswith(" passed")][:1] == (
        [failed] if failed else []
    )


def test_family_that_cannot_be_imported_is_ignored_with_a_warning(tmp_path: Path) -> None:
    environment = install(tmp_path, FILES | {"__init__.py": "import nowhere_to_be_found"})
    code = (
        "from seqhub.models.registry import list_presets\n"
        "assert 'lstm' in list_presets() and 'leaky' not in list_presets()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nowhere_to_be_found" in done.stderr
