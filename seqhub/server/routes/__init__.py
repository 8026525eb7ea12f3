"""Routes, grouped by file; each file exports `routes`, rows of the table in `seqhub.server.app`."""
