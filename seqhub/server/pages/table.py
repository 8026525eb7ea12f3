"""Routes of all pages, in the order in which they are tried."""

from seqhub.server.pages import explorer, files, history, leaderboard, lists, repository, runs, static

routes = [
    *static.routes,
    *lists.routes,
    *explorer.routes,
    *files.routes,
    *history.routes,
    *runs.routes,
    *leaderboard.routes,
    *repository.routes,
]
