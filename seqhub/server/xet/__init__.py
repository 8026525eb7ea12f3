"""Xet uploads: files from clients with hf_xet, stored as blobs by their SHA-256.

A client splits a file into *chunks* of 8 to 128 KiB, sends new chunks in *xorbs* of up to 64 MiB, and then a *shard*,
which lists for each file its ranges of chunks in xorbs. Downloads use plain HTTP, so afterwards only the position of
each chunk in a blob is stored (see `xorb_store`).

    hashes        BLAKE3 keys, tree of chunks, text form of hashes
    xorb          incremental reader of xorbs
    shard         reader of shards
    xorb_store    xorbs of each user, first as bytes, then as positions in blobs
    stored_xorb   a stored xorb
    ingest        reconstruction of the files of a shard

Source of the formats: the Xet protocol specification, https://huggingface.co/docs/xet (hashing, xorb, shard, api).
"""
