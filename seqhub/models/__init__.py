"""Model families, one package for each; see `seqhub.models.registry`."""
