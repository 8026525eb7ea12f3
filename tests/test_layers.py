"""The floors: a module imports from its own room and from lower floors, never sideways or up."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "seqhub"
FLOORS = [
    {"errors", "pickle_suffixes"},
    {"console", "records", "tasks", "models", "kernels", "hub", "server"},
    {"data", "cards", "plots"},
    {"evaluation"},
    {"training", "deployment"},
    {"cli", "dataset_scripts", "model_cards"},  # whole journeys: above every stage that they join
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FACE = {"__init__", "_hooks"}  # the public face of the package looks down on everything, lazily

MAY_IMPORT = {  # besides the standard library and lower floors
    "errors": set(),
    "pickle_suffixes": set(),
    "console": {"rich", "typer"},
    "records": set(),
    "tasks": {"numpy"},
    "models": {"torch", "transformers", "huggingface_hub", "tokenizers", "safetensors", "wrapt"},
    "kernels": {"numpy", "torch"},
    "hub": {"huggingface_hub"},
    "server": {"starlette", "uvicorn", "httptools", "anyio", "yaml", "lz4", "blake3", "picklescan", "pytest"},
    "data": {"numpy", "pyarrow", "datasets", "torch", "fsspec", "transformers"},
    "cards": {"jinja2", "huggingface_hub", "yaml"},
    "plots": {"numpy", "matplotlib", "safetensors"},
    "evaluation": {"numpy", "torch", "transformers", "huggingface_hub", "safetensors", "datasets", "pyarrow"},
    "deployment": {"numpy", "torch", "transformers", "onnxruntime", "onnxscript"},
    "training": {"numpy", "torch", "accelerate", "safetensors", "submitit", "typer", "rich", "transformers"},
    "cli": {"typer", "rich"},
    "dataset_scripts": {"typer"},
    "model_cards": {"typer"},
}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT).with_suffix("").parts
    return parts[0]


def imported_room(module: str) -> str | None:
    """`seqhub.tasks.base` lies in room `tasks`; a module of another package in none."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] or None if package == "seqhub" else None


def imports(path: Path) -> set[str]:
    """Everything imported anywhere in the file, also inside functions and under TYPE_CHECKING."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
            if node.module == "seqhub":
                found |= {f"seqhub.{alias.name}" for alias in node.names}
    return found


MODULES = [
    path
    for folder in (PACKAGE, ROOT / "dataset_scripts", ROOT / "model_cards")
    for path in sorted(folder.rglob("*.py"))
    if not (path.parent == PACKAGE and path.stem in FACE)
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    here = room_of(path)
    assert here in FLOOR_OF, f"{here} stands on no floor yet: add it to FLOORS"
    used = {imported_room(module) for module in imports(path)} - {None, here}
    wrong = {room for room in used if room in FLOOR_OF and FLOOR_OF[room] >= FLOOR_OF[here]}
    assert not wrong, f"{here} (floor {FLOOR_OF[here]}) must not import {sorted(wrong)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_keep_to_their_libraries(path: Path) -> None:
    import sys

    here = room_of(path)
    outside = {module.partition(".")[0] for module in imports(path)} - {"seqhub", here} - sys.stdlib_module_names
    assert outside <= MAY_IMPORT[here], f"{here} has no business with {sorted(outside - MAY_IMPORT[here])}"


TRAVELLING = [
    *sorted((PACKAGE / "models").rglob("modeling_*.py")),
    *sorted((PACKAGE / "models").rglob("configuration_*.py")),
    *sorted(path for name in ("memory_blocks", "scan", "tracing") for path in (PACKAGE / "models").rglob(f"{name}.py")),
]


@pytest.mark.parametrize("path", [*TRAVELLING, PACKAGE / "evaluation" / "standalone.py"], ids=lambda path: path.stem)
def test_travelling_files_travel_alone(path: Path) -> None:
    """`save_pretrained` copies single-dot siblings only; any other import of seqhub breaks remote loading."""
    assert not {module for module in imports(path) if module.startswith("seqhub")}
    relative = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    assert all(node.level <= 1 for node in relative)


def test_no_script_has_the_layout_that_datasets_refuses() -> None:
    assert not [p for p in (ROOT / "dataset_scripts").rglob("*.py") if p.stem == p.parent.name]


def test_the_floors_catch_an_upward_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail: a task that imports training, and a modelling file that imports seqhub."""
    bad = tmp_path / "seqhub" / "tasks" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("def f():\n    from seqhub.training.train import train\n    import torch\n")
    monkeypatch.setattr(__import__(__name__, fromlist=["x"]), "PACKAGE", tmp_path / "seqhub")
    monkeypatch.setattr(__import__(__name__, fromlist=["x"]), "ROOT", tmp_path)
    with pytest.raises(AssertionError, match="must not import"):
        test_imports_go_down(bad)
    with pytest.raises(AssertionError, match="torch"):
        test_rooms_keep_to_their_libraries(bad)
