"""Tasks as `datasets`: builder, registration, streams, data loaders, exports and their digests."""
