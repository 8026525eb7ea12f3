"""Checks of models: valid presets pass, faults are found, and an installed package adds a family."""

import json
import os
import re
from pathlib import Path

import pytest

from seqhub.testing import checks_of, run_checks
from tests.helpers import forked_process
from tests.helpers.cli_calls import call
from tests.helpers.training_processes import finish

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`seqhub/models/leaky/(\w+\.py)`:\n\n```python\n(.*?)```", TEXT, flags=re.DOTALL))
QUICK = ("definition", "outputs", "padding", "causality", "gradients", "initialization", "saving")


@pytest.mark.parametrize(
    "preset",
    ["gru", "lstm_hs97", "cnn", "cnn_lstm", "lstm_autoencoder", "locally_connected", "lstm_seq2seq_additive"],
)
def test_presets_of_every_family_pass(preset: str) -> None:
    results = list(run_checks([check for check in checks_of(preset) if check.name in QUICK]))
    assert len(results) == len(QUICK)
    assert [f"{result.name}: {result.error}" for result in results if result.error] == []


@pytest.mark.slow
def test_every_preset_passes_every_check() -> None:
    from seqhub.models.registry import list_presets

    results = [result for preset in list_presets() for result in run_checks(checks_of(preset))]
    assert [f"{result.subject} {result.name}: {result.error}" for result in results if result.error] == []


def write_family(folder: Path, files: dict[str, str]) -> Path:
    """Write the family `leaky` of CONTRIBUTING.md into a folder and return its path."""
    family = folder / "leaky"
    family.mkdir(parents=True)
    for name, source in files.items():
        (family / name).write_text(source)
    return family


def install(folder: Path, files: dict[str, str]) -> None:
    """Write a distribution with the family `leaky` like `pip install`."""
    write_family(folder / "leaky_package", files)
    (folder / "leaky_package" / "__init__.py").write_text("")
    info = folder / "leaky_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seqhub.models]\nleaky = leaky_package.leaky\n")


def run_code(code: str, folder: Path) -> tuple[str, str]:
    """Return both outputs of code in a new process whose path begins with the folder."""
    process = forked_process.Process(
        ["-c", f"import sys\nsys.path.insert(0, {str(folder)!r})\n{code}"], cwd=folder, env=dict(os.environ)
    )
    code_of_exit, out, errors = finish(process, 120)
    assert code_of_exit == 0, errors
    return out, errors


def results_of(target: str, preset: str, folder: Path) -> str:
    code = (
        "from seqhub.testing import checks_of, run_checks\n"
        f"for result in run_checks([check for check in checks_of({target!r}) if check.name in {QUICK}]):\n"
        "    print(result.name, result.error or 'passed')\n"
        "from transformers import AutoModel\n"
        "from seqhub.models.registry import build_config\n"
        f"assert type(AutoModel.from_config(build_config({preset!r}))).__name__ == 'LeakyModel'\n"
    )
    return run_code(code, folder)[0]


def test_installed_package_adds_a_family(tmp_path: Path) -> None:
    install(tmp_path, FILES)
    found = results_of("leaky", "leaky", tmp_path)
    assert found.splitlines() == [f"{name} passed" for name in QUICK]


def test_folder_adds_a_family(tmp_path: Path) -> None:
    """From training to a verified model in a process without seqhub; the record has the name as it was typed."""
    write_family(tmp_path, FILES)
    code = (
        "from seqhub.cli import main\n"
        "for line in ('train qrsu/easy --model ./leaky:leaky --max-sequences 64 --quiet',\n"
        "             'evaluate runs/qrsu-easy-leaky --num-examples 20 --sibling-examples 0 --quiet',\n"
        "             'verify runs/qrsu-easy-leaky --isolated --quiet', 'card runs/qrsu-easy-leaky --quiet'):\n"
        "    sys.argv = ['seqhub', *line.split()]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, line\n"
    )
    run_code(code, tmp_path)
    run = tmp_path / "runs" / "qrsu-easy-leaky"
    assert json.loads((run / "run.json").read_text())["model"] == "./leaky:leaky"
    assert (run / "modeling_leaky.py").is_file()
    text, _ = run_code(
        "import seqhub, transformers\n"
        "from seqhub.evaluation.load import load_model\n"
        f"print(type(load_model({str(run)!r})).__name__)",
        tmp_path,
    )
    assert text == "LeakyForSequenceClassification\n"


def test_unknown_preset_of_a_folder_is_a_user_error(tmp_path: Path) -> None:
    write_family(tmp_path, FILES)
    code = (
        "from seqhub.errors import UnknownNameError\n"
        "from seqhub.models.registry import build_config\n"
        "try:\n"
        "    build_config('leaky:leakier')\n"
        "except UnknownNameError as error:\n"
        "    print(error)\n"
    )
    assert run_code(code, tmp_path)[0] == "no model in leaky 'leakier'; known: leaky\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "model family leaky: no file __init__.py"),
        (
            FILES | {"__init__.py": "import nowhere"},
            "model family leaky: ModuleNotFoundError: No module",
        ),
        (FILES | {"__init__.py": ""}, "model family leaky: __init__.py has no PRESETS"),
    ],
    ids=["no files", "import fails", "no presets"],
)
def test_invalid_folder_is_a_user_error(
    files: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_family(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    ended = call("train", "qrsu/easy", "--model", "leaky:leaky")
    assert ended.code == 2
    assert ended.err.startswith(f"error: {message}")
    assert ended.err.count("\n") == 1


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
    write_family(tmp_path, FILES | {"modeling_leaky.py": source.replace(old, new)})
    found = results_of("./leaky", "./leaky:leaky", tmp_path)
    assert [line.split()[0] for line in found.splitlines() if not line.endswith(" passed")][:1] == (
        [failed] if failed else []
    )


def test_family_that_cannot_be_imported_is_ignored_with_a_warning(tmp_path: Path) -> None:
    install(tmp_path, FILES | {"__init__.py": "import nowhere_to_be_found"})
    code = (
        "from seqhub.models.registry import list_presets\n"
        "assert 'lstm' in list_presets() and 'leaky' not in list_presets()"
    )
    assert "nowhere_to_be_found" in run_code(code, tmp_path)[1]
