collect_ignore = ["common_suite"]  # tests of transformers, downloaded by `make transformers-suite`
