"""Endings of files that loaders unpickle by habit; loading a pickle runs code."""

PICKLE_SUFFIXES = (".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
