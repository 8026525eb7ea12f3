"""YAML front matter of a README, parsed within limits, and the tags that follow from it."""

import datetime
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from seqhub.server.strict_json import whole_text
from seqhub.server.types import RepoType

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_EVENTS = 100_000
_DEPTH = 32
_ALIASES = 20
_EVENTS_WITH_ALIASES = 5_000  # few enough that no nesting of aliases grows to anything
_VALUES = 100_000
_LONG_NUMBER = re.compile(r"[-+0-9_:.a-fA-FxoXO]{200,}")  # base 60 or 16 by the megabyte costs minutes
_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})|arxiv:(\d{4}\.\d{4,5})", re.IGNORECASE)
_UNREADABLE = {"self", "ignore_metadata_errors"}  # as fields they stop huggingface_hub from reading a whole list
_TAGS = 500
_TAG_LENGTH = 200

_PREFIXED = {  # field of the card -> prefix of its tags, as huggingface.co lists them
    "license": "license", "datasets": "dataset", "base_model": "base_model",
    "task_categories": "task_categories", "task_ids": "task_ids", "annotations_creators": "annotations_creators",
    "language_creators": "language_creators", "multilinguality": "multilinguality",
    "size_categories": "size_categories", "source_datasets": "source_datasets", "models": "model",
}  # fmt: skip


class _TooMuchError(ValueError):
    pass


def parse_card(readme: bytes, limit: int) -> dict[str, Any]:
    r"""Return the card's fields as plain JSON values; {} if there is no card, or it is broken, huge or malicious.

    >>> parse_card(b"---\nlicense: mit\n---\n# Title", 1000)
    {'license': 'mit'}
    """
    text = _front_matter(readme[: limit + 16])
    if text is None or len(text) > limit:
        return {}
    try:
        _check_events(text)
        card = _plain(yaml.load(text, Loader=_Loader), iter(range(_VALUES)), _DEPTH)
    except Exception:  # PyYAML raises IndexError, AttributeError and others for wrongly typed tags
        return {}
    return {name: value for name, value in card.items() if name not in _UNREADABLE} if isinstance(card, dict) else {}


def card_tags(repo_type: RepoType, card: dict[str, Any], readme: bytes) -> list[str]:
    """Return the tags that huggingface.co would show: library, pipeline, the card's own, then those with a prefix."""
    found: list[str] = []
    if repo_type == "model":
        found += _texts(card.get("library_name")) + _texts(card.get("pipeline_tag"))
    found += _texts(card.get("tags"))
    languages = _texts(card.get("language"))
    found += languages if repo_type == "model" else [f"language:{language}" for language in languages]
    for field, prefix in _PREFIXED.items():
        found += [f"{prefix}:{value}" for value in _texts(card.get(field))]
    found += [f"arxiv:{a or b}" for a, b in _ARXIV.findall(readme[: 2**20].decode("utf-8", "replace"))]
    return list(dict.fromkeys(tag for tag in found if 0 < len(tag) <= _TAG_LENGTH))[:_TAGS]


def search_tags(repo_type: RepoType, card: dict[str, Any], shown: list[str]) -> set[str]:
    """Return all tags that a filter may name: those shown, and the same under the names that other clients use."""
    languages = _texts(card.get("language"))
    found = {*shown, *languages, *(f"language:{language}" for language in languages)}
    found |= {f"library:{name}" for name in _texts(card.get("library_name"))}
    found |= {f"pipeline_tag:{name}" for name in _texts(card.get("pipeline_tag"))}
    if repo_type == "space":
        found |= {f"sdk:{name}" for name in _texts(card.get("sdk"))} | set(_texts(card.get("sdk")))
    return {tag.lower() for tag in found if len(tag) <= _TAG_LENGTH + 20}


def text_field(card: dict[str, Any], name: str) -> str | None:
    """Return a field that should hold one short text, or None."""
    value = card.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= _TAG_LENGTH else None


def _front_matter(readme: bytes) -> str | None:
    lines = readme.decode("utf-8", "replace").lstrip("\ufeff").lstrip().splitlines()
    if not lines or lines[0].rstrip() != "---":
        return None
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:number])
    return None


def _check_events(text: str) -> None:
    """Check counts of events, depth and aliases, and the length of numbers, before any object is built."""
    depth = aliases = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        aliases += isinstance(event, yaml.AliasEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        limit = _EVENTS_WITH_ALIASES if aliases else _EVENTS
        if depth > _DEPTH or aliases > _ALIASES or count > limit:
            raise _TooMuchError
        if isinstance(event, yaml.ScalarEvent) and _LONG_NUMBER.match(event.value):
            raise _TooMuchError


def _plain(value: Any, budget: Iterator[int], depth: int) -> Any:
    """Convert a value to JSON types. Each use of an alias counts, so that a YAML bomb exceeds the budget."""
    if depth < 0 or next(budget, None) is None:
        raise _TooMuchError
    if isinstance(value, dict):
        return {whole_text(str(key))[:1000]: _plain(item, budget, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item, budget, depth - 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, (bool, int, float)) else whole_text(str(value))


def _texts(value: Any) -> list[str]:
    """Return a text or a list of texts as a list; [] for anything else."""
    values = value if isinstance(value, list) else [value]
    return [item.strip() for item in values if isinstance(item, str) and item.strip() and item.isprintable()]
