"""Tasks as `datasets`: builder, registration, streams, batch feed, exports and their digests."""
