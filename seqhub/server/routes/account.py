"""Routes of accounts: whoami, users, organisations; validation of cards."""

from starlette.responses import JSONResponse, PlainTextResponse, Response

from seqhub.server import cards, serializers
from seqhub.server.auth import RANK
from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.types import REPO_TYPES, Account, RepoType


def whoami(context: RequestContext) -> Response:
    """Return the account of the token, with its organisations."""
    user, token = context.user, context.identity.token
    orgs = []
    for name, role in sorted(context.store.accounts.roles_of(user.name).items()):
        org = context.store.accounts.find(name)
        if org is not None:
            orgs.append(
                {**serializers.account_item(org), "id": f"{org.id:024x}", "roleInOrg": role, "isEnterprise": False}
            )
    answer = {
        **serializers.account_item(user),
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


def validate_yaml(context: RequestContext) -> Response:
    """Validate a card; errors return 400, warnings 200."""
    fields = context.json()
    content = fields.text("content", limit=cards.MAX_README)
    repo_type = fields.text("repoType", "model")
    if repo_type not in REPO_TYPES:
        raise HubHTTPError(400, f'Field "repoType" must be one of {", ".join(REPO_TYPES)}.')
    errors, warnings = cards.validate(content, repo_type)
    if "text/plain" in context.request.headers.get("accept", ""):  # `RepoCard.validate` displays the body
        text = "\n".join(f"- {line}" for line in errors or warnings)
        return PlainTextResponse(text, 400 if errors else 200)
    answer = {"errors": [{"message": e} for e in errors], "warnings": [{"message": w} for w in warnings]}
    if errors:
        raise HubHTTPError(400, "; ".join(errors), body=dict(answer))
    return JSONResponse(answer)


def overview(context: RequestContext) -> Response:
    """Return a user or an organisation, with numbers of repositories."""
    account = path_account(context)
    counts = {
        f"num{repo_type.capitalize()}s": count_repos(context, repo_type, account.name) for repo_type in REPO_TYPES
    }
    answer = {
        **serializers.account_item(account),
        "isPro": False,
        "isFollowing": False,
        "createdAt": serializers.timestamp(account.created),
        "numLikes": 0 if account.is_org else len(context.store.likes.repos_of(account, context.identity.viewer)),
        **counts,
    }
    if account.is_org:
        answer |= {"numUsers": len(context.store.accounts.members(account.name)), "isVerified": False}
    else:
        names = sorted(context.store.accounts.roles_of(account.name))
        answer["orgs"] = [
            serializers.account_item(org) for org in map(context.store.accounts.find, names) if org is not None
        ]
    return JSONResponse(answer)


def members(context: RequestContext) -> Response:
    """List the members of an organisation."""
    org = path_account(context)
    roles = context.store.accounts.members(org.name)
    found = [(context.store.accounts.find(name), role) for name, role in sorted(roles.items())]
    return JSONResponse([{**serializers.account_item(user), "role": role} for user, role in found if user is not None])


def likes(context: RequestContext) -> Response:
    """List the repositories that an account likes and the viewer may see."""
    account = path_account(context)
    items = []
    for repo, liked in context.store.likes.repos_of(account, context.identity.viewer):
        items.append(
            {"createdAt": serializers.timestamp(liked), "repo": {"name": repo.repo_id, "type": repo.repo_type}}
        )
    return JSONResponse(items)


def own_repositories(context: RequestContext) -> Response:
    """List the repositories of a namespace with their storage, for its members."""
    name = context.params.get("name") or context.user.name
    same = name.casefold() == context.user.name.casefold()
    roles = {org.casefold(): role for org, role in context.store.accounts.roles_of(context.user.name).items()}
    if not same and RANK[roles.get(name.casefold())] < RANK["read"]:
        raise HubHTTPError(403, f"You are not a member of {name!r}.")
    items = []
    for repo_type in REPO_TYPES:
        found, _ = context.store.listing.repos(repo_type, author=name, viewer=context.identity.viewer, limit=1000)
        for repo in found:
            items.append(
                {
                    "id": repo.repo_id,
                    "type": repo_type,
                    "updatedAt": serializers.timestamp(repo.updated),
                    "visibility": "private" if repo.private else "public",
                    "storage": context.store.repos.used_bytes(repo),
                }
            )
    return JSONResponse(items)


def agent_harnesses(context: RequestContext) -> Response:
    """Return an empty table, which the agent detection of the client requests once a day."""
    return JSONResponse({})


def path_account(context: RequestContext) -> Account:
    """Return the account in the path."""
    account = context.store.accounts.find(context.params["name"])
    if account is None:
        raise HubHTTPError(404, f"No user or organisation is called {context.params['name'][:100]!r}.")
    return account


def count_repos(context: RequestContext, repo_type: RepoType, name: str) -> int:
    """Return the number of repositories of an account that the viewer may see."""
    found, _ = context.store.listing.repos(repo_type, author=name, viewer=context.identity.viewer, limit=1000)
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
        "`list_user_repos` of an organisation",
    ),
    Route("GET", "/api/agent-harnesses", "public", agent_harnesses, "agent detection of the client; always `{}`"),
]
