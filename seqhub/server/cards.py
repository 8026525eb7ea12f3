"""Validation of the YAML front matter of a README.md, with the messages that clients expect."""

import re

import yaml

from seqhub.server.store.cards import parse_card
from seqhub.server.types import RepoType

MAX_README = 1_000_000  # characters
MAX_YAML = 256 * 1024
MAX_DEPTH = 32

_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)

LICENSES = frozenset(
    [
        "apache-2.0",
        "mit",
        "openrail",
        "bigscience-openrail-m",
        "creativeml-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigcode-openrail-m",
        "afl-3.0",
        "artistic-2.0",
        "bsl-1.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "c-uda",
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cdla-sharing-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "wtfpl",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "etalab-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "agpl-3.0",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "isc",
        "h-research",
        "intel-research",
        "lppl-1.3c",
        "ms-pl",
        "apple-ascl",
        "apple-amlr",
        "mpl-2.0",
        "odc-by",
        "odbl",
        "openmdw-1.0",
        "openrail++",
        "osl-3.0",
        "postgresql",
        "ofl-1.1",
        "ncsa",
        "unlicense",
        "zlib",
        "pddl",
        "lgpl-lr",
        "deepfloyd-if-license",
        "fair-noncommercial-research-license",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
        "llama4",
        "grok2-community",
        "gemma",
        "unknown",
        "other",
    ]
)


def validate(text: str, repo_type: RepoType) -> tuple[list[str], list[str]]:
    """Return errors and warnings, with the messages of the public Hub.

    >>> validate("# A model", "model")
    ([], ['empty or missing yaml metadata in repo card'])
    """
    found = _FRONT_MATTER.match(text.removeprefix("\ufeff"))
    if found is None or not found[1].strip():
        return [], ["empty or missing yaml metadata in repo card"]
    card = parse_card(text.encode(errors="replace"), MAX_YAML)
    if not card:
        return [f"Error: {_yaml_error(found[1])}"], []
    errors = []
    given = card.get("license")
    licenses = given if isinstance(given, list) else [given]
    if given is not None and not all(isinstance(name, str) and name in LICENSES for name in licenses):
        errors.append(f'Error: "license" must be one of [{", ".join(sorted(LICENSES))}]')
    if "model-index" in card and not _is_list_of(card["model-index"], dict):
        errors.append('Error: "model-index" must be an array')
    if card.get("tags") is not None and not _is_list_of(card["tags"], str, int, float):
        errors.append('Error: "tags" must be an array of strings')
    if repo_type == "dataset" and "configs" in card and not _is_list_of(card["configs"], dict):
        errors.append('Error: "configs" must be an array')
    return errors, []


def _yaml_error(block: str) -> str:
    """Return the error for YAML that is not a valid card. Only events are parsed, since YAML bombs expand in values."""
    if len(block) > MAX_YAML:
        return f"the YAML has {len(block)} characters; at most {MAX_YAML} are allowed"
    depth = 0
    try:
        for event in yaml.parse(block, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:  # deeper text is slow to parse
                return f"the YAML is nested deeper than {MAX_DEPTH}"
    except (yaml.YAMLError, ValueError) as problem:
        return f"invalid YAML: {' '.join(str(problem).split())}"[:300]
    return "the YAML must be a mapping of names to values, no deeper and no longer than a card"


def _is_list_of(value: object, *types: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, types) for item in value)
