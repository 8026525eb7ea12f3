"""Files of own rows for tests, of each kind."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seqhub.tasks.splits import Split

WORDS = ["the", "film", "was", "a", "long", "story", "with", "music", "and", "many", "actors", "in", "it"]


def reviews(rows: int = 200) -> list[tuple[str, str]]:
    """Return texts whose label is decided by one word, in both orders of the words around it."""
    found = []
    for n in range(rows):
        word = ("good", "bad")[n % 2]
        start = [WORDS[(n + step) % len(WORDS)] for step in range(3 + n % 5)]
        found.append(
            (" ".join([*start, word, *(f"{WORDS[n % 7]} {WORDS[n * 3 % 11]}".split())]), ("pos", "neg")[n % 2])
        )
    return found


def topics(rows: int = 240) -> list[dict[str, Any]]:
    """Return texts with any number of labels, each decided by a word."""
    words = {"sport": "goal", "money": "bank", "music": "song"}
    found = []
    for n in range(rows):
        held = [label for place, label in enumerate(words) if n * 7 % 8 >> place & 1]
        text = [WORDS[(n + step) % len(WORDS)] for step in range(3 + n % 5)] + [words[label] for label in held]
        found.append({"text": " ".join([*text, WORDS[n * 5 % 13]]), "labels": held})
    return found


def slopes(rows: int = 200) -> list[dict[str, Any]]:
    """Return straight lines with their level and slope, in units of their own."""
    random = np.random.default_rng(1)
    found = []
    for n in range(rows):
        level, slope = random.normal(), random.normal()
        steps = np.arange(8 + n % 5)
        found.append({
            "values": (level + slope * steps / 8).round(4).tolist(), "level": 100 + 10 * level, "slope": slope * 1e-3
        })  # fmt: skip
    return found


def series(rows: int = 200) -> list[dict[str, Any]]:
    """Return slow and fast waves of two channels with units of their own, and their classes."""
    random = np.random.default_rng(0)
    found = []
    for n in range(rows):
        steps = 12 + n % 9
        wave = np.sin(random.uniform(0, 6) + (0.4 + 0.8 * (n % 2)) * np.arange(steps))
        values = np.stack([1000 + 50 * wave, random.normal(3, 1, steps)], axis=1)
        found.append({"values": values.round(4).tolist(), "label": ("slow", "fast")[n % 2], "patient": n // 4})
    return found


def write_csv(file: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], separator: str = ",") -> Path:
    """Write a table with a header."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator).writerows([header, *rows])
    file.write_text(buffer.getvalue(), encoding="utf-8")
    return file


def write_json(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write one object in each line."""
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file


def captioned(folder: Path, rows: int = 60) -> Path:
    """Write images of handwritten digits side by side, and a table of their names in words."""
    folder.mkdir()
    split = Split("digit_captions/several", "train")
    table = []
    for number in range(rows):
        columns, caption = split[number]
        Image.fromarray(np.round(columns.T * 255).astype(np.uint8)).save(folder / f"{number}.png")
        table.append((f"{number}.png", caption))
    write_csv(folder / "metadata.csv", ("file_name", "caption"), table)
    return folder
