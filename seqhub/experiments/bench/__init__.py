"""Benchmark of models on tasks: equal budgets, chosen learning rates, new seeds, and one table of medians."""
