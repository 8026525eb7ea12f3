"""Page of the state explorer: a recurrent model on a sequence, computed in the browser."""

from typing import Final

from starlette.responses import Response

from seqhub.server.pages.families import family_problem
from seqhub.server.pages.links import file_url
from seqhub.server.pages.repository import repository_values
from seqhub.server.pages.templating import page
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route

MAX_WEIGHTS: Final = 64_000_000  # bytes, which browsers load at once
_FILES: Final = {
    "config": "config.json",
    "weights": "model.safetensors",
    "tokenizer": "tokenizer.json",
    "run": "run.json",
}


def explorer(context: RequestContext) -> Response:
    """Show the page on which the browser runs a model."""
    revision, commit = context.params["revision"], context.commit()
    # The URLs name the commit, so that all files are of one version also if another commit arrives meanwhile.
    entries = {
        entry.path: entry for entry in context.store.revisions.entries(context.repo, commit, list(_FILES.values()))
    }
    urls = {
        name: file_url(context.repo, "resolve", commit.oid, path) if path in entries else None
        for name, path in _FILES.items()
    }
    problem = family_problem(context, commit)
    weights = entries.get("model.safetensors")
    if problem is None and (weights is None or weights.is_folder):
        problem = "It has no model.safetensors."
    elif problem is None and weights is not None and weights.size > MAX_WEIGHTS:
        problem = f"model.safetensors has {weights.size:,} bytes; the explorer loads at most {MAX_WEIGHTS:,}."
    values = repository_values(context, "explorer", revision)
    return page(context, "explorer.html", **values, urls=urls, problem=problem)


routes = [
    Route(
        "GET",
        "/{prefix}{repo}/-/explorer/{revision}",
        "read",
        explorer,
        "page: states of a recurrent model on a sequence",
        is_page=True,
    )
]
