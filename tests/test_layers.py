"""The layers: a module imports from its own package and from lower layers, never sideways or up."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"errors", "pickles", "_lazy", "_import_hooks", "_distributions"},
    {"io", "_logging"},
    {"tasks", "models", "native", "hub", "server"},
    {"records", "cells"},
    {"data", "cards", "plots"},
    {"metrics"},
    {"evaluation"},
    {"verification", "baselines", "training", "deployment"},
    {"sweeps"},
    {"experiments"},
    {"testing"},
    {"cli"},
    {"dataset_scripts", "model_cards"},
]
LAYER_OF = {package: number for number, packages in enumerate(LAYERS) for package in packages}
PUBLIC = {"seqhub/__init__.py", "seqhub/_hooks.py"}  # the public names, looked up lazily in every layer
ENTRY = {"seqhub/training/__main__.py": {"cli"}}  # `accelerate launch -m seqhub.training` is a command

LIBRARIES = {  # that a package may import, besides the standard library and lower layers
    "errors": set(),
    "pickles": set(),
    "_lazy": set(),
    "_import_hooks": set(),
    "_distributions": set(),
    "io": {"filelock"},  # on Windows
    "_logging": {"transformers", "datasets"},
    "records": set(),
    "tasks": {"numpy"},
    "models": {"torch", "transformers", "huggingface_hub", "tokenizers", "safetensors", "wrapt"},
    "native": {"numpy", "torch"},
    "cells": {"torch"},
    "hub": {"huggingface_hub"},
    "server": {
        *{"starlette", "uvicorn", "httptools", "anyio", "itsdangerous", "prometheus_client"},
        *{"yaml", "lz4", "blake3", "picklescan", "pytest", "psutil"},
        *{"numpy", "pyarrow"},  # in the process of the dataset viewer
        *{"jinja2", "markupsafe", "markdown_it", "nh3", "pygments"},
    },
    "data": {"numpy", "pyarrow", "datasets", "torch", "fsspec", "transformers"},
    "cards": {"jinja2", "huggingface_hub", "yaml"},
    "plots": {"numpy", "matplotlib", "safetensors"},
    "metrics": {"numpy", "torch", "transformers"},
    "evaluation": {"numpy", "torch", "transformers", "huggingface_hub", "safetensors", "datasets", "pyarrow"},
    "verification": {"numpy", "torch", "transformers", "huggingface_hub", "safetensors", "datasets", "pyarrow"},
    "baselines": {"numpy", "torch"},
    "deployment": {"numpy", "torch", "transformers", "onnxruntime", "onnxscript"},
    "training": {"numpy", "torch", "accelerate", "safetensors", "transformers"},
    "sweeps": {"torch", "submitit", "transformers"},
    "experiments": {"jinja2", "matplotlib", "numpy", "ray", "torch", "transformers"},
    "testing": {"numpy", "torch", "transformers"},
    "cli": {"typer", "rich", "torch"},
    "dataset_scripts": {"typer"},
    "model_cards": {"typer"},
}

TRAVELLING = (
    "modeling_*",
    "configuration_*",
    "feature_extraction_*",
    "memory_blocks",
    "recurrent_cell",
    "scan",
    "tracing",
)  # saved beside the weights


def package_of(path: str) -> str:
    """Return the package of seqhub that a file belongs to, or its top-level folder."""
    parts = Path(path).with_suffix("").parts
    return parts[1] if parts[0] == "seqhub" else parts[0]


def imports(source: str) -> Iterator[str]:
    """Yield every module imported anywhere in a source, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            if node.module == "seqhub":
                yield from (f"seqhub.{alias.name}" for alias in node.names)


def offences(path: str, source: str) -> list[str]:
    """Return what a file imports although its layer may not."""
    here = package_of(path)
    if here not in LAYER_OF:
        return [f"{path}: the package {here} is in no layer; add it to LAYERS"]
    found = []
    for module in sorted(set(imports(source))):
        top, _, rest = module.partition(".")
        if top == "seqhub" and rest:
            package = rest.partition(".")[0]
            if package != here and LAYER_OF.get(package, -1) >= LAYER_OF[here] and package not in ENTRY.get(path, ()):
                found.append(f"{path}: {here} must not import {module}")
        elif top not in {"seqhub", here, *sys.stdlib_module_names} | LIBRARIES[here]:
            found.append(f"{path}: {here} must not use the library {top}")
    return found


def test_imports_go_down_and_packages_keep_to_their_libraries() -> None:
    paths = [path for folder in ("seqhub", "dataset_scripts", "model_cards") for path in (ROOT / folder).rglob("*.py")]
    names = {str(path.relative_to(ROOT)): path for path in sorted(paths)}
    assert len(names) > 200
    found = [each for name, path in names.items() if name not in PUBLIC for each in offences(name, path.read_text())]
    assert not found, "\n".join(found)


def test_travelling_files_import_their_siblings_only() -> None:
    """`save_pretrained` copies single-dot siblings only; any other import of seqhub breaks remote loading."""
    paths = [path for pattern in TRAVELLING for path in (ROOT / "seqhub" / "models").rglob(f"{pattern}.py")]
    assert len(paths) > 10
    found = []
    for path in [*paths, ROOT / "seqhub" / "verification" / "remote.py"]:
        source = path.read_text()
        found += [f"{path.name}: {module}" for module in imports(source) if module.partition(".")[0] == "seqhub"]
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        found += [f"{path.name}: line {node.lineno}" for node in nodes if node.level > 1]
    assert not found, "\n".join(found)


def test_no_script_is_named_like_its_folder() -> None:
    assert not [path for path in (ROOT / "dataset_scripts").rglob("*.py") if path.stem == path.parent.name]


def test_an_import_that_goes_up_is_found() -> None:
    source = "def f():\n    from seqhub.training.train import train\n    import torch\n"
    assert offences("seqhub/tasks/bad.py", source) == [
        "seqhub/tasks/bad.py: tasks must not import seqhub.training.train",
        "seqhub/tasks/bad.py: tasks must not use the library torch",
    ]
    assert offences("seqhub/new/module.py", "") == [
        "seqhub/new/module.py: the package new is in no layer; add it to LAYERS"
    ]
