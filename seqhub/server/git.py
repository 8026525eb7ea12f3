"""Bytes and ids of git objects: blobs, trees, commits, tags, and pointers to large files.

Sources: git, Documentation/technical (objects, "tree" and "commit" formats) and base_name_compare in tree.c for the
order of a tree; git-lfs, docs/spec.md for the pointer.
"""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

ObjectKind = Literal["blob", "tree", "commit", "tag"]

FILE_MODE = b"100644"
FOLDER_MODE = b"40000"
EMPTY_TREE = bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_WHOLE_ENTRY = re.compile(rb"[^\0]+\0.{20}", re.DOTALL)


class Edit(NamedTuple):
    """Replacement of bytes `start:end` of a tree by `text`."""

    start: int
    end: int
    text: bytes


def object_id(kind: ObjectKind, data: bytes) -> bytes:
    """Return the SHA-1 of an object, 20 bytes.

    >>> object_id("blob", b"").hex()
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    digest = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.digest()


def blob_id(data: bytes) -> str:
    """Return the id that `git hash-object` prints, 40 hexadecimal digits."""
    return object_id("blob", data).hex()


def pointer(sha256: str, size: int) -> bytes:
    """Return the LFS pointer of a large file of `size` bytes."""
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (sha256.encode(), size)


def parse_tree(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Return mode, name and id of each entry, in git's order.

    Raises:
        ValueError: The bytes are not a valid tree.
    """
    entries = [(match[1], match[2], match[3]) for match in _ENTRY.finditer(data)]
    if sum(len(mode) + len(name) + 22 for mode, name, _ in entries) != len(data):
        raise ValueError("not a git tree")
    return entries


def edit_tree(data: bytes, changes: Mapping[bytes, tuple[bytes, bytes] | None]) -> list[Edit]:
    """Return the edits that add, replace or (None) remove entries of a tree: name -> (mode, id).

    Only entries near a change are compared, so adding a file to a folder of 10,000 files costs one pass of a regular
    expression and a few dozen comparisons.
    """
    entries = _WHOLE_ENTRY.findall(data)
    starts = list(accumulate(map(len, entries), initial=0)) if len(changes) > 1 else []
    found: list[tuple[int, int, bytes, bytes]] = []

    def place(index: int) -> int:
        return starts[index] if starts else sum(map(len, entries[:index]))

    for name, change in changes.items():
        for key in (name, name + b"/"):  # a folder sorts as if its name ended in a slash
            index = bisect_left(entries, key, key=_entry_order)
            if index < len(entries) and _entry_order(entries[index]) == key:
                start = place(index)
                found.append((start, start + len(entries[index]), key, b""))
        if change is not None:
            mode, oid = change
            key = _order(mode, name)
            start = place(bisect_left(entries, key, key=_entry_order))
            found.append((start, start, key, b"%s %s\0%s" % (mode, name, oid)))
    return [Edit(start, end, text) for start, end, _, text in sorted(found)]


def apply_edits(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Apply edits to a tree; they must be sorted and must not overlap."""
    pieces: list[bytes] = []
    position = 0
    for start, end, text in edits:
        pieces += (data[position:start], text)
        position = end
    pieces.append(data[position:])
    return b"".join(pieces)


def commit_data(
    tree: bytes,
    parents: Sequence[bytes],
    author: str,
    seconds: int,
    title: str,
    message: str,
    committer: str = "seqhub",
) -> bytes:
    """Return the bytes of a commit object; `seconds` is Unix time."""
    lines = [f"tree {tree.hex()}"] + [f"parent {parent.hex()}" for parent in parents]
    lines += [f"author {_signature(author)} {seconds} +0000", f"committer {_signature(committer)} {seconds} +0000", ""]
    text = title if not message else f"{title}\n\n{message}"
    return ("\n".join(lines) + "\n" + text.replace("\0", "") + "\n").encode("utf-8", "replace")


def tag_data(commit: bytes, name: str, tagger: str, seconds: int, message: str) -> bytes:
    """Return the bytes of an annotated tag."""
    head = f"object {commit.hex()}\ntype commit\ntag {name}\ntagger {_signature(tagger)} {seconds} +0000\n\n"
    return (head + message.replace("\0", "") + "\n").encode("utf-8", "replace")


def _entry_order(entry: bytes) -> bytes:
    mode, _, name = entry[:-21].partition(b" ")
    return _order(mode, name)


def _order(mode: bytes, name: bytes) -> bytes:
    return name + b"/" if mode == FOLDER_MODE else name


def _signature(name: str) -> str:
    """Return a name and an e-mail address on one line, without the characters that git forbids."""
    clean = (
        " ".join("".join(" " if ord(c) < 32 or c in "<>" else c for c in name).split()).strip(".,:;\"'") or "unknown"
    )
    address = "".join(c for c in clean if c.isascii() and (c.isalnum() or c in "-_.")) or "unknown"
    return f"{clean} <{address}@users.noreply.seqhub>"
