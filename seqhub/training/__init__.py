"""One Accelerate loop for every task, model and machine, with recipes, checkpoints and records."""
