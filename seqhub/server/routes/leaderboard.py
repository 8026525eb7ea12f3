"""Route of leaderboards: the models with results on a dataset, ranked."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from seqhub.server import serializers
from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext, is_true
from seqhub.server.routing import Route
from seqhub.server.store.results import Entry, Group

MAX_ENTRIES = 1000


def leaderboard(context: RequestContext) -> Response:
    """Return the models with results on a dataset, the best one first; each model once.

    The results are those of one config, split and metric: given ones, or those with the most models.
    """
    if context.repo.repo_type != "dataset":
        raise HubHTTPError(404, f"{context.repo.repo_id} is not a dataset, so it has no leaderboard.")
    viewer, query = context.identity.viewer, context.request.query_params
    group = chosen_group(context.store.results.groups(context.repo, viewer), query)
    if group is None:
        raise HubHTTPError(
            404, f"{context.repo.repo_id} has no leaderboard: no model that you can see has such results."
        )
    entries = context.store.results.of_dataset(
        context.repo,
        viewer,
        config=group.config,
        split=group.split,
        metric=group.metric,
        base_models_only=is_true(query.get("base_model", "true")),
        descending=not group.is_lower_better,
        limit=MAX_ENTRIES,
    )
    best: dict[int, Entry] = {}
    for entry in entries:
        best.setdefault(entry.model.id, entry)
    return JSONResponse([_shape(context, rank, entry) for rank, entry in enumerate(best.values(), 1)])


def chosen_group(groups: list[Group], given: Mapping[str, str]) -> Group | None:
    """Return the first group with the config, split and metric in a query, of those that are given."""
    wanted = {name: given[name] for name in ("config", "split", "metric") if name in given}
    matching = (group for group in groups if all(getattr(group, name) == value for name, value in wanted.items()))
    return next(matching, None)


def _shape(context: RequestContext, rank: int, entry: Entry) -> serializers.Shape:
    account = context.store.accounts.find(entry.model.namespace)
    author = serializers.author(entry.model.namespace)
    if account is not None:
        author = {name: value for name, value in serializers.account_item(account).items() if name != "user"}
    source = entry.details.get("source")
    shape: serializers.Shape = {
        "rank": rank,
        "modelId": entry.model.repo_id,
        "value": entry.value,
        "filename": entry.file,
        "verified": False,
        "author": author,
    }
    if source:
        shape["source"] = {"url": source["url"], "name": source["name"], "isExternal": True}
    if entry.details.get("notes"):
        shape["notes"] = entry.details["notes"]
    return shape


routes = [Route("GET", "/api/{kinds}/{repo}/leaderboard", "info", leaderboard, "`get_dataset_leaderboard`")]
