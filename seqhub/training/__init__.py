"""Training: one Accelerate loop for all tasks, models and machines, with recipes, checkpoints and records."""
