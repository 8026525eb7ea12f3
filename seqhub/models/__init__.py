"""Model families, one package each, found by `seqhub.models.registry`."""
