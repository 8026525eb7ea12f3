"""Dataset viewer: configs and splits of a dataset repository, and pages, filters and statistics of its rows.

`discovery` finds the data files, `process` runs each query in a child process with limits on memory and time, and
`child`, `engine` and the modules that they import use pyarrow and run only there.
"""
