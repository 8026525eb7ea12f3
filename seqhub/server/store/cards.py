"""YAML front matter of a README, parsed within limits, and the tags derived from it."""

import datetime
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from seqhub.server.strict_json import replace_surrogates
from seqhub.server.types import RepoType

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_EVENTS = 100_000
_DEPTH = 32
_ALIASES = 20
_EVENTS_WITH_ALIASES = 5_000  # limits the expansion of nested aliases
_VALUES = 100_000
_LONG_NUMBER = re.compile(r"[-+0-9_:.a-fA-FxoXO]{200,}")  # parsing long numbers in base 60 or 16 takes minutes
_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})|arxiv:(\d{4}\.\d{4,5})", re.IGNORECASE)
_UNREADABLE = {"self", "ignore_metadata_errors"}  # with these fields huggingface_hub cannot parse lists
_TAGS = 500
_TAG_LENGTH = 200

_PREFIXED = {  # field of the card -> prefix of its tags, as on huggingface.co
    "license": "license", "datasets": "dataset", "base_model": "base_model",
    "task_categories": "task_categories", "task_ids": "task_ids", "annotations_creators": "annotations_creators",
    "language_creators": "language_creators", "multilinguality": "multilinguality",
    "size_categories": "size_categories", "source_datasets": "source_datasets", "models": "model",
}  # fmt: skip


class _CardLimitError(ValueError):
    pass


def parse_card(readme: bytes, limit: int) -> dict[str, Any]:
    r"""Return the fields of a card as JSON values; {} if there is no card, or it is invalid or exceeds a limit.

    >>> parse_card(b"---\nlicense: mit\n---\n# Title", 1000)
    {'license': 'mit'}
    """
    text = _front_matter(readme[: limit + 16])
    if text is None or len(text) > limit:
        return {}
    card = parse_yaml(text)
    return {name: value for name, value in card.items() if name not in _UNREADABLE} if isinstance(card, dict) else {}


def parse_yaml(text: str) -> Any:
    """Return a YAML text as JSON values; None if it is invalid or exceeds a limit."""
    try:
        _check_events(text)
        return _plain(yaml.load(text, Loader=_Loader), iter(range(_VALUES)), _DEPTH)
    except Exception:  # PyYAML raises IndexError, AttributeError and others for invalid tags
        return None


def card_tags(repo_type: RepoType, card: dict[str, Any], readme: bytes) -> list[str]:
    """Return tags as on huggingface.co: library, pipeline, tags of the card, then tags with a prefix."""
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
    """Return all tags for filters: the displayed tags, and their variants in other clients."""
    languages = _texts(card.get("language"))
    found = {*shown, *languages, *(f"language:{language}" for language in languages)}
    found |= {f"library:{name}" for name in _texts(card.get("library_name"))}
    found |= {f"pipeline_tag:{name}" for name in _texts(card.get("pipeline_tag"))}
    if repo_type == "space":
        found |= {f"sdk:{name}" for name in _texts(card.get("sdk"))} | set(_texts(card.get("sdk")))
    return {tag.lower() for tag in found if len(tag) <= _TAG_LENGTH + 20}


def text_field(card: dict[str, Any], name: str) -> str | None:
    """Return a field with a short text; None if it has another type or is too long."""
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
    """Check the number of events and aliases, the depth, and the length of numbers before objects are built."""
    depth = aliases = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        aliases += isinstance(event, yaml.AliasEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        limit = _EVENTS_WITH_ALIASES if aliases else _EVENTS
        if depth > _DEPTH or aliases > _ALIASES or count > limit:
            raise _CardLimitError
        if isinstance(event, yaml.ScalarEvent) and _LONG_NUMBER.match(event.value):
            raise _CardLimitError


def _plain(value: Any, budget: Iterator[int], depth: int) -> Any:
    """Convert a value to JSON types. Each use of an alias is counted, so that a YAML bomb exceeds the budget."""
    if depth < 0 or next(budget, None) is None:
        raise _CardLimitError
    if isinstance(value, dict):
        return {replace_surrogates(str(key))[:1000]: _plain(item, budget, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(item, budget, depth - 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, (bool, int, float)) else replace_surrogates(str(value))


def _texts(value: Any) -> list[str]:
    """Return a text or a list of texts as a list; [] for anything else."""
    values = value if isinstance(value, list) else [value]
    return [item.strip() for item in values if isinstance(item, str) and item.strip() and item.isprintable()]
