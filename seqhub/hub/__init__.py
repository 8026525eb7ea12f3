"""The client's side of a Hub: a folder to a repository and back, through huggingface_hub and nothing else."""
