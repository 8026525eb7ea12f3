"""Families of models that the state explorer knows."""

from typing import Any, Final

from seqhub.server import strict_json
from seqhub.server.errors import HubHTTPError
from seqhub.server.pages.content import beginning
from seqhub.server.request import RequestContext
from seqhub.server.types import Commit

FAMILIES: Final = ("seqhub_recurrent", "seqhub_hs97")  # as in static/cells.js
MAX_CONFIG: Final = 100_000  # bytes


def family_problem(context: RequestContext, commit: Commit) -> str | None:
    """Return why the explorer does not know the family of a model; None if it does."""
    if context.repo.repo_type != "model":
        return "The explorer runs models; this is not a model repository."
    config = read_config(context, commit)
    if config is None:
        return "It has no config.json that can be read."
    model_type = config.get("model_type")
    if model_type in FAMILIES:
        return None
    given = f"model_type is {str(model_type)[:60]!r}" if "model_type" in config else "config.json has no model_type"
    return f"{given}; the explorer knows the families {' and '.join(FAMILIES)}."


def read_config(context: RequestContext, commit: Commit) -> dict[str, Any] | None:
    """Return the fields of config.json; None if there is none that can be read."""
    entry = context.store.revisions.entry(context.repo, commit, "config.json")
    if entry is None or entry.is_folder or entry.size > MAX_CONFIG:
        return None
    try:
        config = strict_json.parse_content(beginning(context, commit, entry, MAX_CONFIG))
    except (ValueError, KeyError, HubHTTPError):  # not JSON; damaged; a large file that was deleted permanently
        return None
    return config if isinstance(config, dict) else None


def is_known(context: RequestContext, commit: Commit) -> bool:
    """Return whether the explorer knows the family of a model."""
    return family_problem(context, commit) is None
