"""Xet ingest: files from clients with hf_xet, stored as blobs named by their SHA-256.

A client cuts a file into *chunks* of 8 to 128 KiB, sends those that it has not sent before in *xorbs* of up to 64 MiB,
and then a *shard*, which lists the chunk ranges of xorbs that make up each file. Downloads are plain HTTP, so
afterwards only the place of each chunk in a blob is kept (see `xorb_store`).

    hashes        BLAKE3 keys, the tree over chunks, text form of hashes
    xorb          incremental reader of xorbs
    shard         reader of shards
    xorb_store    xorbs of each user, first as bytes, then as places in blobs
    stored_xorb   a stored xorb
    ingest        rebuilds the files of a shard

Source of the formats: the Xet protocol specification, https://huggingface.co/docs/xet (hashing, xorb, shard, api).
"""
