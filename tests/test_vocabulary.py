"""The vocabulary: words and phrases of an earlier private dialect, each with the standard one to use instead.

Checked are names of files, identifiers, docstrings, comments and other strings of Python code, and Markdown pages, card
templates and the help texts of the Makefile.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FOLDERS = ("seqhub", "tests", "benchmarks", "docs", "dataset_scripts", "model_cards")
PAGES = ("README.md", "CONTRIBUTING.md", "Makefile")

# Phrases in prose, also in names with their underscores as spaces -> the standard wording
PHRASES = {
    r"(?<!\bthere )\b(?:is|are|was|were) no (?!longer\b|more\b|less\b|other\b)": "is not a",
    r"\bwhoever\b": "a user who",
    r"\b(?:no|some|any|every)body\b": "a user, a person; or a sentence without one",
    r"\bstands? (?:on|in|at|above|below|beside|behind|there|apart|out)\b": "is in, is on",
    r"\b(?:comes?|came) to (?!an? )": "is, reaches, results in",
    r"\bheld against\b": "compared with",
    r"\bholds? \w+ against\b": "compares with",
    r"\bby hand of\b": "by",
    r"\bfresh(?:ly)?\b": "newly generated (rows), newly initialised (model), new",
    r"\balphabets?\b": "vocabulary",
    r"\bshel(?:f|ves)\b": "xorb store",
    r"\bdesks?\b": "xorb cache",
    r"\brefusals?\b": "HTTP error, error",
    r"\b(?:doors?|houses?|house form|rooms)\b": "package __init__, codebase, module",
    r"\basked models?\b": "batched inference",
    r"\bjudg(?:es?|ed|ing|ements?)\b": "per-example metrics",
    r"\btall(?:y|ies|ied)\b": "metric accumulator, computes",
    r"\bfeeds?\b": "data loader",
    r"\b(?:drawn|given) rows\b": "generated rows, fixed rows",
    r"\bof the users?'s?\b|\bof (?:yours|ours|one's own)\b": "that the user supplies, your own",
    r"\bwhat (?:came|comes) (?:of|out)\b": "the result of",
    r"\blike for like\b": "comparable",
    r"\bstrictness\b": "criterion_scale",
    r"\bon the spot\b": "locally",
    r"\banew\b": "again",
    r"\bgo(?:es)? on\b": "continues",
    r"\bas (?:it is|they are)\b(?! (?:by|in|on|the|what)\b)": "unchanged",
    r"\bleft out\b": "omitted, unsupported",
    r"\blooked at\b": "checked, measured",
    r"\bby heart\b": "memorised",
    r"\bbit by bit as if\b": "exactly like",
    r"\bwhat stands\b": "the text",
    r"\bnot (?:at )?hand\b": "not available",
    r"\bthe usual way\b": "the baseline",
    r"\bLSTM of today\b": "modern LSTM",
    r"\bnetworks? of 1997\b": "original (1997) LSTM",
    r"\bdata sets?\b": "dataset",
    r"\bfirst weights\b": "initial weights",
    r"\btold apart\b": "distinguished",
    r"\b(?:do|does) no harm\b": "is ignored, has no effect",
    r"\bby luck\b": "by chance",
}
ANY_PHRASE = re.compile("|".join(PHRASES), flags=re.IGNORECASE)
# Parts of identifiers and of file names -> the standard word
WORDS = {
    "alphabet": "vocabulary",
    "layout": "schema",
    "judge": "per_example",
    "tally": "accumulator",
    "asking": "inference",
    "asked": "requested, given",
    "shelf": "xorb_store",
    "desk": "xorb_cache",
    "refusal": "error",
    "feed": "loader",
    "fresh": "new",
    "canvas": "style",
    "strictness": "criterion_scale",
    "said": "message, sentence",
    "told": "message, output",
    "usual": "default, reference",
    "nobody": "no user",
    "somebody": "user",
}
FIRST_WORDS = {"What", "Who", "Whose", "How", "Where", "Whether", "Why", "Of", "Which"}  # of a docstring

# Path -> regular expression of text that may stay, with the reason
EXCEPTIONS = {
    "tests/test_vocabulary.py": (r".*", "it lists the words"),
    "docs/notebooks/sentiment.py": (r"nobody|everybody", "words of the task"),
    "docs/tasks/sentiment.md": (r"nobody|everybody", "words of the task"),
    "benchmarks/reference_generators.py": (r"nobody|everybody", "words of the task"),
    "seqhub/tasks/sentiment.py": (r"nobody|everybody|near the door", "words of the task"),
    "tests/tasks/test_sentiment.py": (r"nobody|everybody", "words of the task"),
    "tests/server/pages/test_security.py": (r"feed", "method of HTMLParser"),
    "seqhub/cli/data.py": (r"left_out", "key of the JSON output"),
    "seqhub/native/eligibility.py": (r"layout", "attribute of a tensor"),
    "seqhub/training/config.py": (r'"strictness"', "name of a setting in records"),
    "seqhub/training/torch_loop.py": (r'"feed"|"fresh"', "keys of checkpoints"),
    "seqhub/plots/states.py": (r"set_in_layout", "method of matplotlib"),
    "seqhub/plots/style.py": (r"(?i)layout|canvas", "argument and classes of matplotlib"),
}


class Text(NamedTuple):
    """A piece of a file."""

    line: int
    kind: str  # "prose", "name", or "first line" of a docstring
    text: str


def texts_of_code(source: str) -> Iterator[Text]:
    """Yield comments, strings, docstrings and identifiers of Python code."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], "prose", token.string)
        elif token.type == tokenize.STRING:
            for number, line in enumerate(token.string.splitlines()):
                yield Text(token.start[0] + number, "prose", line)
        elif token.type == tokenize.NAME:
            yield Text(token.start[0], "name", token.string)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield Text(node.body[0].lineno, "first line", docstring.splitlines()[0])


def texts_of_page(source: str) -> Iterator[Text]:
    """Yield the lines of a page; only the help texts of a Makefile."""
    for number, line in enumerate(source.splitlines(), 1):
        yield Text(number, "prose", line)


@cache  # most names occur many times
def faults_of_text(kind: str, text: str) -> list[tuple[str, str]]:
    """Return each word that should not be used, with the standard one."""
    return list(_faults(kind, text))


def _faults(kind: str, text: str) -> Iterator[tuple[str, str]]:
    if kind == "first line":
        if re.search(r"\bof which\b", text):
            yield "of which", "a second sentence"
        first = text.partition(" ")[0].strip(",.:")
        if first in FIRST_WORDS:
            yield f"docstring begins with {first!r}", "an imperative or a noun phrase"
        return
    prose = text
    if kind == "name":
        prose = text.replace("_", " ")
        parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower().strip("_").split("_")
        yield from ((part, WORDS[part]) for part in parts if part in WORDS)
        if len(parts) < 3:  # no phrase
            return
    if ANY_PHRASE.search(prose):
        for pattern, standard in PHRASES.items():
            for match in re.finditer(pattern, prose, flags=re.IGNORECASE):
                yield match[0].strip(), standard


def faults_of_file(path: str, source: str) -> Iterator[str]:
    """Yield the faults of a file as `path:line: word (use: standard)`."""
    allowed = re.compile(EXCEPTIONS[path][0]) if path in EXCEPTIONS else None
    for part in re.split(r"[/._]", path):
        if part in WORDS:
            yield f"{path}: {part} (use: {WORDS[part]})"
    for text in texts_of_code(source) if path.endswith(".py") else texts_of_page(source):
        if allowed and allowed.search(text.text):
            continue
        for word, standard in faults_of_text(text.kind, text.text):
            yield f"{path}:{text.line}: {word} (use: {standard})"


def checked_files() -> list[str]:
    """Return the files that are checked, relative to the root."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found += [*(ROOT / "docs").rglob("*.md"), *(ROOT / "seqhub" / "cards" / "templates").iterdir()]
    names = {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts} | set(PAGES)
    return sorted(names)


def test_code_and_pages_use_the_standard_vocabulary() -> None:
    files = checked_files()
    assert len(files) > 150
    faults = [fault for name in files for fault in faults_of_file(name, (ROOT / name).read_text(encoding="utf-8"))]
    assert not faults, "\n".join(dict.fromkeys(faults))


def test_exceptions_exist() -> None:
    assert all((ROOT / path).is_file() for path in EXCEPTIONS)


def test_every_kind_of_text_is_checked() -> None:
    code = '"""What it is."""\n# nobody asks\ndef the_alphabet(feed):\n    """Use fresh rows."""\n    "is no task"\n'
    words = {fault.partition(": ")[2].partition(" (")[0] for fault in faults_of_file("a.py", code)}
    assert words == {"docstring begins with 'What'", "nobody", "alphabet", "feed", "fresh", "is no"}
    assert list(faults_of_file("a.md", "There is no limit.\nIt is no limit.\n")) == ["a.md:2: is no (use: is not a)"]
