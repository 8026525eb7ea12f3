"""Routes of all pages, in the order in which they are tried."""

from seqhub.server.pages import files, history, lists, repository, static, viewer

routes = [*static.routes, *lists.routes, *files.routes, *history.routes, *repository.routes]
routes += viewer.routes  # behind those of repositories, so that a namespace may be called "viewer"
