"""Definitions of the tasks, one file for each, with NumPy as the only dependency."""
