"""Routes of all pages, in the order in which they are tried."""

from seqhub.server.pages import (
    bench,
    explorer,
    files,
    history,
    leaderboard,
    lists,
    operator,
    repository,
    runs,
    static,
    viewer,
)

routes = [
    *static.routes,
    *operator.routes,
    *lists.routes,
    *explorer.routes,
    *files.routes,
    *history.routes,
    *runs.routes,
    *bench.routes,
    *leaderboard.routes,
    *viewer.routes,
    *repository.routes,
]
