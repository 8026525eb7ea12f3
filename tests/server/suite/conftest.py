collect_ignore_glob = ["*"]  # used for tests of other projects by `make hub-suite`
