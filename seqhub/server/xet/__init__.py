"""Xet ingest: files from clients with hf_xet, stored as blobs named by their SHA-256.

A client cuts a file into *chunks* of 8 to 128 KiB, sends those that it has not sent before in *xorbs* of up to 64 MiB,
and then a *shard* which says of which chunk ranges of which xorbs each file consists. Downloads are plain HTTP, so
nothing of this is needed afterwards but a note where each chunk lies (see `xorbs`).

    hashes   BLAKE3 keys, the tree over chunks, the way hashes are written
    xorb     reads a xorb while it arrives
    shard    reads a shard
    xorbs    keeps xorbs per user, first as bytes, then as places in blobs
    stored   a xorb on the xorbs
    ingest   rebuilds the files of a shard

Source of the formats: the Xet protocol specification, https://huggingface.co/docs/xet (hashing, xorb, shard, api).
"""
