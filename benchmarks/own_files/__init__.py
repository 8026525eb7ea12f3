"""Real files put through `seqhub train FILE`, each from a package on the package index.

    python -m benchmarks.own_files                       all files, five seeds; continues where it stopped
    python -m benchmarks.own_files gun_point co2_gaps    some of them

The settings of every run are `seqhub train FILE --seed N`, with no other option than those that say what the columns
are (see `FileCase.options`). They were fixed before the seeds of the table were run; the default recipe was tuned on
other seeds, by the validation rows. `docs/own_files.md` shows the results.
"""
