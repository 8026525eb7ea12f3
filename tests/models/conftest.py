collect_ignore = ["common_suite"]  # transformers' own tests, fetched when asked for: `make transformers-suite`
