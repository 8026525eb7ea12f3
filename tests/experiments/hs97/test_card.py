"""The page with the results of a paper, compared with its record."""

from pathlib import Path

import pytest

from seqhub.errors import CorruptFileError
from seqhub.experiments.hs97.card import render
from seqhub.records import PaperRecord
from tests.helpers.hs97_record import paper_record


def section(page: str, title: str) -> list[str]:
    """Return the rows of the table under a title."""
    return [line for line in page.partition(f"## {title}\n")[2].partition("\n## ")[0].splitlines() if line[:1] == "|"][
        2:
    ]


def test_each_row_has_the_number_of_the_paper_and_the_one_of_the_solved_seeds() -> None:
    page = render(paper_record())
    assert section(page, "Training sequences to the stopping criterion") == [
        "| 3a-t100-n3 | `two_sequence/3a-t100-n3` | 39,850 | 3 of 5 | 1,000 (800–1,400) | 1,067 | 37.4 "
        "| 2 of 2 | 2,500 (2,000–3,000) | 2,500 |",
        "| 2c-q50-p50 | `long_lag/2c-q50-p50` | 30,000 | 2 of 2 | 89 (0–178) | 89 | 337.1 | – | – | – |",
    ]
    assert section(page, "Wrong test sequences") == [
        "| 3a-t100-n3 | 2,560 | 0.5 | 0–7, mean 3.3 | 0 | 1 |",
        "| 2c-q50-p50 | 2,560 | – | 0 | – | 0 |",
    ]
    assert section(page, "The original (1997) LSTM") == [
        "| 3a-t100-n3 | 39,850 | 102 | 1 of 1 | 41,200 (41,200–41,200) | 41,200 | – | – | – | – | – |",
        "| 2c-q50-p50 | 30,000 | 364 | 0 of 2 | – | – | 368 | 2 of 2 | 5,000 (4,000–6,000) | 5,000 | softmax |",
    ]
    assert "- 3a-t100-n3, lstm, seed 4: `RuntimeError: out of \\| luck`" in page
    assert "`seqhub paper hs97` on" in page


def test_sections_without_runs_are_omitted() -> None:
    record = paper_record()
    del record.rows["3a-t100-n3"]
    record.rows["2c-q50-p50"]["results"] = {"lstm": record.rows["2c-q50-p50"]["results"]["lstm"]}
    page = render(record)
    assert "## The original (1997) LSTM" not in page
    assert "## Seeds that failed" not in page


def test_a_row_without_solved_seeds_has_no_numbers() -> None:
    record = paper_record()
    record.rows["2c-q50-p50"]["results"]["lstm"]["paper"]["sequences"] = [None, None]
    (row,) = [line for line in section(render(record), "Training sequences to the stopping criterion") if "2c" in line]
    assert row.split(" | ")[3:7] == ["0 of 2", "–", "–", "–"]


def test_a_record_with_wrong_fields_is_rejected(tmp_path: Path) -> None:
    record = paper_record()
    record.save(tmp_path)
    assert PaperRecord.load(tmp_path) == record
    del record.rows["2c-q50-p50"]["results"]["lstm"]["paper"]["test_wrong"]
    record.rows["2c-q50-p50"]["results"]["lstm"]["paper"]["native"] = "yes"
    record.save(tmp_path)
    with pytest.raises(CorruptFileError, match=r"rows\.2c-q50-p50\.results\.lstm\.paper\.test_wrong, .*\.native"):
        PaperRecord.load(tmp_path)
