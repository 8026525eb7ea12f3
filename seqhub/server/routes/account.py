"""Routes of accounts: whoami, users, organisations; validation of cards."""

from starlette.responses import JSONResponse, PlainTextResponse, Response

from seqhub.server import cards, serializers
from seqhub.server.auth import RANK
from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.types import REPO_TYPES, Account, RepoType


def whoami(call: RequestContext) -> Response:
    """Return the account of the token, with its organisations."""
    user, token = call.user, call.identity.token
    orgs = []
    for name, role in sorted(call.store.accounts.roles_of(user.name).items()):
        org = call.store.accounts.find(name)
        if org is not None:
            orgs.append({**serializers.person(org), "id": f"{org.id:024x}", "roleInOrg": role, "isEnterprise": False})
    answer = {
        **serializers.person(user),
        "id": f"{user.id:024x}",
        "email": user.email,
        "emailVerified": True,
        "isPro": False,
        "canPay": False,
        "periodEnd": None,
        "orgs": orgs,
    }
    if token is not None:
        described = {"displayName": token.name, "role": token.role, "createdAt": serializers.timestamp(token.created)}
        answer["auth"] = {"type": "access_token", "accessToken": described}
    return JSONResponse(answer)


def validate_yaml(call: RequestContext) -> Response:
    """Validate a card: errors with 400, warnings with 200, in the shape that the client expects."""
    fields = call.json()
    content = fields.text("content", limit=cards.MAX_README)
    repo_type = fields.text("repoType", "model")
    if repo_type not in REPO_TYPES:
        raise HubHTTPError(400, f'Field "repoType" must be one of {", ".join(REPO_TYPES)}.')
    errors, warnings = cards.validate(content, repo_type)
    if "text/plain" in call.request.headers.get("accept", ""):  # `RepoCard.validate` shows the body as it is
        text = "\n".join(f"- {line}" for line in errors or warnings)
        return PlainTextResponse(text, 400 if errors else 200)
    answer = {"errors": [{"message": e} for e in errors], "warnings": [{"message": w} for w in warnings]}
    if errors:
        raise HubHTTPError(400, "; ".join(errors), body=dict(answer))
    return JSONResponse(answer)


def overview(call: RequestContext) -> Response:
    """Return a user or an organisation with counts."""
    account = known_account(call)
    counts = {f"num{repo_type.capitalize()}s": count_repos(call, repo_type, account.name) for repo_type in REPO_TYPES}
    answer = {
        **serializers.person(account),
        "isPro": False,
        "isFollowing": False,
        "createdAt": serializers.timestamp(account.created),
        "numLikes": 0 if account.is_org else len(call.store.likes.repos_of(account, call.identity.viewer)),
        **counts,
    }
    if account.is_org:
        answer |= {"numUsers": len(call.store.accounts.members(account.name)), "isVerified": False}
    else:
        names = sorted(call.store.accounts.roles_of(account.name))
        answer["orgs"] = [serializers.person(org) for org in map(call.store.accounts.find, names) if org is not None]
    return JSONResponse(answer)


def members(call: RequestContext) -> Response:
    """List the members of an organisation."""
    org = known_account(call)
    roles = call.store.accounts.members(org.name)
    found = [(call.store.accounts.find(name), role) for name, role in sorted(roles.items())]
    return JSONResponse([{**serializers.person(user), "role": role} for user, role in found if user is not None])


def likes(call: RequestContext) -> Response:
    """List the likes of an account, without private repositories that the viewer may not see."""
    account = known_account(call)
    items = []
    for repo, liked in call.store.likes.repos_of(account, call.identity.viewer):
        items.append(
            {"createdAt": serializers.timestamp(liked), "repo": {"name": repo.repo_id, "type": repo.repo_type}}
        )
    return JSONResponse(items)


def own_repositories(call: RequestContext) -> Response:
    """List the repositories of a namespace with their storage, for its members."""
    name = call.params.get("name") or call.user.name
    same = name.casefold() == call.user.name.casefold()
    roles = {org.casefold(): role for org, role in call.store.accounts.roles_of(call.user.name).items()}
    if not same and RANK[roles.get(name.casefold())] < RANK["read"]:
        raise HubHTTPError(403, f"You are not a member of {name!r}.")
    items = []
    for repo_type in REPO_TYPES:
        found, _ = call.store.listing.repos(repo_type, author=name, viewer=call.identity.viewer, limit=1000)
        for repo in found:
            items.append(
                {
                    "id": repo.repo_id,
                    "type": repo_type,
                    "updatedAt": serializers.timestamp(repo.updated),
                    "visibility": "private" if repo.private else "public",
                    "storage": call.store.repos.used_bytes(repo),
                }
            )
    return JSONResponse(items)


def agent_harnesses(call: RequestContext) -> Response:
    """Return an empty table: the client's agent detection fetches it once a day."""
    return JSONResponse({})


def known_account(call: RequestContext) -> Account:
    """Return the account that the path names."""
    account = call.store.accounts.find(call.params["name"])
    if account is None:
        raise HubHTTPError(404, f"No user or organisation is called {call.params['name'][:100]!r}.")
    return account


def count_repos(call: RequestContext, repo_type: RepoType, name: str) -> int:
    """Return the number of repositories of an account that the viewer may see."""
    found, _ = call.store.listing.repos(repo_type, author=name, viewer=call.identity.viewer, limit=1000)
    return len(found)


routes = [
    Route("GET", "/api/whoami-v2", "account", whoami, "`whoami`, `hf auth whoami`"),
    Route(
        "POST",
        "/api/validate-yaml",
        "public",
        validate_yaml,
        "`create_commit` of a README.md, `ModelCard.validate`",
        work="light",
    ),
    Route("GET", "/api/users/{name}/overview", "public", overview, "`get_user_overview`"),
    Route("GET", "/api/users/{name}/likes", "public", likes, "`list_liked_repos`"),
    Route("GET", "/api/organizations/{name}/overview", "public", overview, "`get_organization_overview`"),
    Route("GET", "/api/organizations/{name}/members", "public", members, "`list_organization_members`"),
    Route("GET", "/api/settings/repositories", "account", own_repositories, "`list_user_repos`"),
    Route(
        "GET",
        "/api/organizations/{name}/settings/repositories",
        "account",
        own_repositories,
        "`list_user_repos` of one",
    ),
    Route("GET", "/api/agent-harnesses", "public", agent_harnesses, "the client's agent detection; always `{}`"),
]
