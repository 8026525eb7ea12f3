"""Routes, one file per group; each exports `routes`, rows of the table in `seqhub.server.app`."""
