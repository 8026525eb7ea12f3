"""Build the documentation site: `python -m docs.site`, as in `make site`.

The pages are the Markdown files of the repository. They are copied, with all files that they link to, to the same paths
below build/site/source, so that their links stay valid; the reference of Python and of the tasks is generated. Then
mkdocs builds the site, and every warning is an error. The site works without a server and without a network.
"""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

import seqhub
from docs import config_pictures
from seqhub.cli.errors import script
from seqhub.errors import SeqhubError
from seqhub.models.registry import model_classes
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task, list_tasks

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "site"
SHIM = BUILD / "package" / "shim" / "index.js"  # of the npm package iframe-worker
STYLE = """/* wider than the theme, and names of tasks on one line */
.md-grid { max-width: 76rem; }
.md-typeset td code, .md-typeset th code { white-space: nowrap; word-break: normal; }
.md-typeset table:not([class]) th, .md-typeset table:not([class]) td { min-width: 0; padding: .5em .9em; }
"""
EXAMPLE = 200  # characters of a column of an example row
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")

Navigation = list[Any]

HOME = "README.md"
TUTORIALS = {
    "First steps": "docs/first_steps.md",
    "Which symbol came first": "docs/tasks/qrsu.md",
    "Squares, drawn in two directions": "docs/tasks/square.md",
    "Echo: an output at each step": "docs/tasks/echo.md",
    "Images, read row by row": "docs/tasks/row_images.md",
    "Complete a phrase": "docs/tasks/char_completion.md",
    "Good or bad: sentiment": "docs/tasks/sentiment.md",
    "Long documents": "docs/tasks/documents.md",
    "Chirps in a spectrogram": "docs/tasks/chirps.md",
    "Ramps: a sequence in one vector": "docs/tasks/ramps.md",
    "Windows of a sequence": "docs/tasks/windows.md",
    "The sign at the start: two sequences": "docs/tasks/two_sequence.md",
    "The sum of two marked numbers": "docs/tasks/adding.md",
    "The product of two marked numbers": "docs/tasks/multiplication.md",
    "The first of many symbols: long time lags": "docs/tasks/long_lag.md",
    "The order of three symbols": "docs/tasks/temporal_order_3bit.md",
    "A grammar with memory": "docs/tasks/embedded_reber.md",
    "From one sequence to another": "docs/tasks/sequence_to_sequence.md",
    "Your own architecture": "docs/own_architecture.md",
    "Your own data": "docs/own_data.md",
    "Your own cell": "docs/cells.md",
    "A Hub for a class": "docs/hub-for-a-class.md",
    "Notebooks": "docs/notebooks/README.md",
}
GUIDES = {
    "Install seqhub": "docs/install.md",
    "Load and build datasets": "docs/data.md",
    "Use models": "docs/models.md",
    "Train": "docs/training.md",
    "Train on several machines": "docs/several-machines.md",
    "Train with the Trainer of transformers": "docs/trainer.md",
    "Compare models on tasks": "docs/bench.md",
    "Deploy a model": "docs/deploy.md",
    "Run a Hub": "docs/hub.md",
    "A Hub for colleagues": "docs/hub-for-colleagues.md",
    "Teach a course": "docs/teaching.md",
    "Add a task or a model": "CONTRIBUTING.md",
}
EXPLANATIONS = {
    "Concepts: shapes and gradients": "docs/concepts.md",
    "Initialisation": "docs/initialisation.md",
    "Truncated gradients": "docs/truncated_gradients.md",
    "Length generalisation and state tracking": "docs/tasks/state_tracking.md",
    "Recall": "docs/tasks/recall.md",
    "The LSTM paper reproduced": "docs/paper.md",
    "How a comparison is fair": "docs/fair_comparison.md",
    "The published comparison": "model_cards/bench/README.md",
    "The table of cells": "model_cards/cells/README.md",
    "How the Hub stores files": "docs/hub_storage.md",
    "Speed": "docs/performance.md",
    "Security": "SECURITY.md",
}
REFERENCE = {
    "Command line": "docs/cli.md",
    "Tasks": "docs/tasks/README.md",
    "Types of other models": "docs/model_types.md",
    "Released models": "model_cards/README.md",
    "Routes of the Hub": "docs/hub-compatibility.md",
    "Tests of the official clients": "docs/hub-suite.md",
    "Versions and compatibility": "docs/versions.md",
    "Changes": "CHANGELOG.md",
}
GROUPS = {  # of the public names
    "Datasets": "load_dataset get_builder stream DataCollator get_tokenizer get_task list_tasks resolve",
    "Models": "build_config build_model pretrained predict_label predict_logits predict_proba compile_cell",
    "Training and evaluation": "train TrainConfig evaluate predict verify export push",
    "Registration": "register unregister register_auto_classes",
}


def build(output: Annotated[Path, typer.Option(help="Folder of the site")] = BUILD / "html") -> None:
    """Build the documentation site."""
    if not SHIM.exists():
        raise SeqhubError(f"{SHIM} is missing; run `make site`, which fetches it")
    source = BUILD / "source"
    shutil.rmtree(source, ignore_errors=True)
    navigation: Navigation = [
        {"seqhub": HOME},
        {"Tutorials": _entries(TUTORIALS)},
        {"How-to guides": _entries(GUIDES)},
        {"Reference": [*_entries(REFERENCE), {"Python": python_pages(source)}, {"Configs": task_pages(source)}]},
        {"Explanation": _entries(EXPLANATIONS)},
    ]
    for path in linked([HOME, *TUTORIALS.values(), *GUIDES.values(), *REFERENCE.values(), *EXPLANATIONS.values()]):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    _write(source / "extra.css", STYLE)
    configuration = BUILD / "mkdocs.yml"
    configuration.write_text(yaml.safe_dump(settings(source, navigation), sort_keys=False), encoding="utf-8")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(configuration)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # advice of the theme on its successor
    subprocess.run([*line, "--site-dir", str(output.absolute())], check=True, env=environment)
    _localise_search(output)
    typer.echo(output / "index.html")


def _localise_search(output: Path) -> None:
    """Copy the script with which the search works in files, which the theme would load from another site."""
    shutil.copy(SHIM, output / "assets" / "javascripts" / "iframe-worker.js")
    for page in output.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        local = f"{'../' * (len(page.relative_to(output).parts) - 1)}assets/javascripts/iframe-worker.js"
        page.write_text(text.replace("https://unpkg.com/iframe-worker/shim", local), encoding="utf-8")


def settings(source: Path, navigation: Navigation) -> dict[str, Any]:
    """Return the configuration of mkdocs."""
    handler = {"docstring_style": "google", "show_source": False, "show_root_heading": True, "heading_level": 2}
    handler |= {"show_root_full_path": False, "members_order": "source", "filters": ["!^_"]}
    python = {"paths": [str(ROOT)], "options": handler}
    return {
        "site_name": "seqhub",
        "site_description": "Datasets, models and a Hub for sequence memory",
        "docs_dir": str(source),
        "use_directory_urls": False,  # so that links work in files, without a server
        "extra_css": ["extra.css"],
        "nav": navigation,
        "theme": {
            "name": "material",
            "font": False,  # fonts of this machine: nothing is loaded from other sites
            "features": ["navigation.tabs", "navigation.top", "content.code.copy", "search.highlight"],
            "palette": [
                {
                    "media": f"(prefers-color-scheme: {scheme})",
                    "scheme": name,
                    "toggle": {"icon": icon, "name": f"Use {other} colours"},
                }
                for scheme, name, icon, other in (
                    ("light", "default", "material/weather-night", "dark"),
                    ("dark", "slate", "material/weather-sunny", "light"),
                )
            ],
        },
        "plugins": ["search", "offline", {"mkdocstrings": {"handlers": {"python": python}}}],
        "markdown_extensions": ["tables", "attr_list", "pymdownx.superfences", {"toc": {"permalink": True}}],
        "validation": {"links": {"anchors": "warn", "unrecognized_links": "warn"}, "nav": {"omitted_files": "ignore"}},
    }


def linked(pages: list[str]) -> Iterator[str]:
    """Yield pages and all files to which they link, directly or over other pages, as paths from the root."""
    waiting, known = list(pages), set(pages)
    while waiting:
        path = waiting.pop()
        yield path
        if not path.endswith(".md"):
            continue
        for target in LINK.findall((ROOT / path).read_text(encoding="utf-8")):
            found = (ROOT / path).parent / target
            name = found.resolve().relative_to(ROOT).as_posix() if found.is_file() else ""
            if name and name not in known:
                known.add(name)
                waiting.append(name)


def python_pages(source: Path) -> Navigation:
    """Write the reference of the public names; return its entries."""
    groups = GROUPS | {"Model classes": " ".join(sorted(model_classes()))}
    missing = set(seqhub.__all__) - {"__version__"} - {name for names in groups.values() for name in names.split()}
    if missing:
        raise SeqhubError(f"in no group of docs/site.py: {', '.join(sorted(missing))}")
    entries: Navigation = []
    for title, names in groups.items():
        path = f"reference/{title.lower().replace(' ', '-')}.md"
        objects = [getattr(seqhub, name) for name in names.split()]
        blocks = "\n\n".join(f"::: {each.__module__}.{each.__qualname__}" for each in objects)
        _write(
            source / path, f"# {title}\n\nAll names are in `seqhub`, as in `seqhub.{names.split()[0]}`.\n\n{blocks}\n"
        )
        entries.append({title: path})
    return entries


def task_pages(source: Path) -> Navigation:
    """Write a page for each task, from the card of its dataset, with a picture and example rows of each config."""
    entries: Navigation = []
    for name in list_tasks():
        card = (ROOT / "dataset_scripts" / "cards" / f"{name}.md").read_text(encoding="utf-8")
        intro, _, rest = card.partition("\n---\n")[2].strip().partition("\n## ")
        task = get_task(name)
        summary = inspect.getdoc(type(task)) or ""
        parts = [intro.strip(), "## Rows of each config"]
        for config in task.configs:
            ref = TaskRef(name, config.name)
            picture = f"{name}-{config.name}.svg"
            _write(source / "reference" / "tasks" / picture, config_pictures.draw(ref))
            parts.append(f"### {config.name}\n\n![The first test rows of {ref}]({picture})")
            parts += [_example(row) for row in config_pictures.first_rows(ref)[:1]]
        parts += [f"## {rest.strip()}", f"## Definition\n\n{_as_text(summary)}"]
        path = f"reference/tasks/{name}.md"
        _write(source / path, "\n\n".join(parts) + "\n")
        entries.append({name: path})
    return entries


def _example(row: dict[str, Any]) -> str:
    """Return a row as a block of JSON, with long texts and lists cut off."""
    lines = []
    for column, value in row.items():
        text = json.dumps(value, ensure_ascii=False)
        lines.append(f"{column}: {text if len(text) <= EXAMPLE else f'{text[:EXAMPLE]} ...'}")
    return "\n".join(["```text", *lines, "```"])


def _as_text(docstring: str) -> str:
    """Return the part of a docstring before its sections and doctests."""
    return re.split(r"^(?:>>>|Args:|Attributes:|Raises:)", docstring, maxsplit=1, flags=re.MULTILINE)[0].strip()


def _entries(pages: dict[str, str]) -> Navigation:
    return [{title: path} for title, path in pages.items()]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    script(build)
