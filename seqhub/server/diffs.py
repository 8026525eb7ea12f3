"""Diffs of text files between two commits, within limits; a longer diff ends with a note."""

from collections.abc import Iterator, Mapping

from seqhub.server.request import RequestContext
from seqhub.server.text_diff import unified
from seqhub.server.types import Commit, Entry

Changes = Mapping[str, tuple[Entry | None, Entry | None]]  # path -> entries before and after
DIFF_FILE, DIFF_LINES = 128 * 1024, 4000  # maximum bytes and lines of a file
DIFF_TOTAL, DIFF_READ, DIFF_FILES = 2 * 2**20, 4 * 2**20, 300  # characters shown, bytes read, and files


def diff(
    context: RequestContext, base: Commit | None, head: Commit, changed: Changes, max_characters: int = DIFF_TOTAL
) -> Iterator[str]:
    """Yield the diff of changed files in the format of git, one file at a time."""
    total = read = 0
    for path, (before, after) in list(changed.items())[:DIFF_FILES]:
        sizes = [entry.size for entry in (before, after) if entry is not None and entry.lfs is None]
        read += sum(size for size in sizes if size <= DIFF_FILE)
        if total > max_characters or read > DIFF_READ:
            yield "# further changes are too large to show\n"
            return
        key = (path, *(None if entry is None else (entry.oid, entry.size) for entry in (before, after)))
        text = context.diffs.get(key, lambda p=path, b=before, a=after: file_diff(context, p, (base, b), (head, a)))  # type: ignore[misc]
        total += len(text)
        yield text
    if len(changed) > DIFF_FILES:
        yield f"# {len(changed) - DIFF_FILES} further changed files are not shown\n"


def file_diff(
    context: RequestContext, path: str, old: tuple[Commit | None, Entry | None], new: tuple[Commit, Entry | None]
) -> str:
    """Return the diff of one file."""
    entries = (old[1], new[1])
    shown = [f"diff --git a/{path} b/{path}\n"]
    if entries[0] is None:
        shown.append("new file mode 100644\n")
    if entries[1] is None:
        shown.append("deleted file mode 100644\n")
    ids = [(entry.oid if entry else "0" * 40)[:10] for entry in entries]
    shown.append(f"index {ids[0]}..{ids[1]}\n")
    if any(entry is not None and entry.lfs is None and entry.size > DIFF_FILE for entry in entries):
        return "".join([*shown, f"# {path} is too large to show\n"])
    texts = [text_of(context, commit, entry) for commit, entry in (old, new)]
    if texts[0] is None or texts[1] is None:
        return "".join([*shown, f"Binary files a/{path} and b/{path} differ\n"])
    names = ("/dev/null" if entries[0] is None else f"a/{path}", "/dev/null" if entries[1] is None else f"b/{path}")
    lines = [text.splitlines(keepends=True) for text in texts if text is not None]
    if max(len(side) for side in lines) > DIFF_LINES:
        return "".join([*shown, f"# {path} is too large to show\n"])
    for line in unified(lines[0], lines[1], *names):
        shown.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(shown)


def text_of(context: RequestContext, commit: Commit | None, entry: Entry | None) -> str | None:
    """Return the text of a small file; None for a file that is not text."""
    if entry is None or commit is None:
        return ""
    if entry.lfs is not None:
        return None
    content = context.store.revisions.content(context.repo, commit, entry)
    try:
        return (content if isinstance(content, bytes) else content.read_bytes()).decode()
    except UnicodeDecodeError:
        return None
