"""Notebooks of the documentation, made from the scripts beside them, see `build`."""
