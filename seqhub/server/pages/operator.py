"""Page for the operator of a Hub: sizes, waiting uploads, last maintenance, limits, and the use of each account."""

from typing import Final

from starlette.responses import RedirectResponse, Response

from seqhub.server.pages.links import with_query
from seqhub.server.pages.templating import page
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.store.overview import TASKS

PAGE: Final = 100
_LAST_PAGE: Final = 10_000
# Browsers send the credentials of a page to all paths below its folder, which must not contain other routes.
PATH: Final = "/-/operator/"


def operator(context: RequestContext) -> Response:
    """Show the state of the Hub."""
    context.require_heavy_worker()  # it reads the sizes of all temporary files
    number = context.integer("page", 1, low=1, high=_LAST_PAGE)
    overview, limits = context.store.overview, context.store.limits
    uses = overview.uses((number - 1) * PAGE, PAGE + 1)
    maintained = overview.maintained()
    response = page(
        context,
        "operator.html",
        totals=overview.totals(),
        tasks=[(task, maintained.get(task)) for task in TASKS],
        limits=limits,
        uses=uses[:PAGE],
        next_url=with_query(PATH, page=str(number + 1)) if len(uses) > PAGE and number < _LAST_PAGE else None,
        previous_url=with_query(PATH, page=str(number - 1)) if number > 1 else None,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def without_slash(context: RequestContext) -> Response:
    """Redirect to the page."""
    return RedirectResponse(PATH, status_code=307)


routes = [
    Route("GET", PATH, "operator", operator, "page: state of the Hub", takes_basic=True, is_page=True),
    Route("GET", PATH.rstrip("/"), "public", without_slash, "page: state of the Hub (redirects)", is_page=True),
]
