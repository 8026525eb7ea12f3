"""Models: one folder per family, found by `seqhub.models.registry`; torch and transformers only."""
