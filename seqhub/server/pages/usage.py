"""Lines of code that use a repository from this Hub."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from seqhub.server.pages.links import repo_url
from seqhub.server.types import Repo

_TASKS: Final = (
    "audio-classification automatic-speech-recognition feature-extraction fill-mask image-classification "
    "question-answering summarization text-classification text-generation text2text-generation token-classification "
    "translation zero-shot-classification"
)
_PIPELINES: Final = frozenset(_TASKS.split())
_AUTO_CLASS: Final = re.compile(r"AutoModel\w{0,60}")
_ARCHITECTURE: Final = re.compile(r"\w{1,80}?(For\w{1,60})")


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of code with a title."""

    title: str
    language: str
    code: str


def usage(base_url: str, repo: Repo, card: Mapping[str, Any], config: Mapping[str, Any]) -> list[Lines]:
    """Return the lines of code of a repository.

    Args:
        base_url: URL of this Hub, as the client knows it.
        repo: The repository.
        card: Fields of its card.
        config: Fields of its config.json by which clients choose classes.
    """
    repo_id = repo.repo_id
    found = [Lines("Set the address of this Hub", "bash", f"export HF_ENDPOINT={base_url}")]
    type_option = "" if repo.repo_type == "model" else f" --repo-type {repo.repo_type}"
    if repo.repo_type == "dataset":
        name = _config_name(card)
        arguments = json.dumps(repo_id) + (f", {json.dumps(name)}" if name else "")
        code = f"from datasets import load_dataset\n\ndataset = load_dataset({arguments})"
        found.append(Lines("Load it with datasets", "python", code))
    elif repo.repo_type == "model" and (config or card.get("library_name") == "transformers"):
        found += _transformers(repo_id, card, config)
    found.append(Lines("Download the files", "bash", f"hf download {repo_id}{type_option}"))
    found.append(Lines("Clone with git", "bash", f"git clone {base_url}{repo_url(repo)}"))
    return found


def _transformers(repo_id: str, card: Mapping[str, Any], config: Mapping[str, Any]) -> list[Lines]:
    auto_map = config.get("auto_map") or {}
    remote = ", trust_remote_code=True" if auto_map else ""
    title = "Load it with transformers" + (" (runs the code in this repository)" if remote else "")
    name = _auto_class(config)
    code = f'from transformers import {name}\n\nmodel = {name}.from_pretrained("{repo_id}"{remote})'
    found = [Lines(title, "python", code)]
    task = card.get("pipeline_tag")
    if isinstance(task, str) and task in _PIPELINES:
        code = f'from transformers import pipeline\n\npredict = pipeline("{task}", model="{repo_id}"{remote})'
        found.append(Lines("Use a pipeline", "python", code))
    return found


def _auto_class(config: Mapping[str, Any]) -> str:
    """Return the class of transformers that loads a model: by its `auto_map`, then by the name of its architecture."""
    auto_map = config.get("auto_map") or {}
    named: list[str] = [name for name in auto_map if _AUTO_CLASS.fullmatch(name)]
    specific = [name for name in named if name != "AutoModel"]
    if named:
        return (specific or named)[0]
    for architecture in config.get("architectures") or []:
        found = _ARCHITECTURE.fullmatch(architecture)
        if found is not None:
            head = found[1].replace("ForConditionalGeneration", "ForSeq2SeqLM").replace("ForLMHead", "ForCausalLM")
            return f"AutoModel{head}"
    return "AutoModel"


def _config_name(card: Mapping[str, Any]) -> str | None:
    """Return the config of a dataset that its card lists first, or marks as the default one."""
    configs = card.get("configs")
    named = [item for item in configs if isinstance(item, dict)] if isinstance(configs, list) else []
    names = [item["config_name"] for item in named if isinstance(item.get("config_name"), str)]
    if not names or "default" in names or any(item.get("default") is True for item in named):
        return None
    name: str = names[0]
    return name if len(name) <= 100 else None
