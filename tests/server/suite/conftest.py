collect_ignore_glob = ["*"]  # for another project's tests, fetched when asked for: `make hub-suite`
