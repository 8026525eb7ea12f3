"""The path of a new user, from the clone to the own architecture in a table: 15 minutes of reading and typing.

The code on the path runs in `test_readme`. Reading is counted at 200 words a minute, typing at 150 characters a minute.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
WORDS, CHARACTERS, MINUTES = 200, 150, 15
# page -> the heading at which the path leaves it
PATH = {"README.md": "## Results", "docs/own_architecture.md": "## Train it on a task"}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def of_the_path(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert PATH[page] in text
    return text.partition(PATH[page])[0]


def read_and_typed() -> tuple[int, int]:
    """Return the number of words to read, and of characters to type, with the indentation that an editor adds."""
    words = characters = 0
    for page in PATH:
        text = of_the_path(page)
        words += len(BLOCK.sub("", text).split())
        for language, code in BLOCK.findall(text):
            if language != "text":
                characters += sum(len(line.strip()) + 1 for line in code.splitlines() if line.strip())
    return words, characters


def test_the_path_takes_fifteen_minutes_of_reading_and_typing() -> None:
    words, characters = read_and_typed()
    minutes = words / WORDS + characters / CHARACTERS
    assert words > 300
    assert characters > 1000
    assert minutes < MINUTES, f"{words} words and {characters} characters: {minutes:.1f} minutes"


def test_the_first_page_leads_to_the_second() -> None:
    assert "(docs/own_architecture.md)" in of_the_path("README.md")
