"""The numbers and figures of docs/tasks/sequence_to_sequence.md, and what the page says of them."""

import json
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from matplotlib.image import imread

from docs import sequence_to_sequence as page
from seqhub.training.configure import configure

NUMBERS = json.loads(page.NUMBERS.read_text(encoding="utf-8"))
RUNS = NUMBERS["runs"]


def test_the_figures_show_these_numbers(tmp_path: Path) -> None:
    page.draw(NUMBERS, tmp_path)
    for name in ("lengths.png", "exposure-bias.png"):
        difference = np.abs(imread(page.IMAGES / name) - imread(tmp_path / name))
        assert (difference > 0.2).mean() < 0.002  # fonts may differ on other machines


def test_every_sweep_has_all_seeds() -> None:
    assert set(RUNS) == set(page.runs())
    assert NUMBERS["seeds"] == list(page.SEEDS)
    for name, seeds in RUNS.items():
        assert [each["seed"] for each in seeds] == NUMBERS["seeds"]
        assert configure(page.runs()[name][0], **page.runs()[name][1]).max_sequences >= max(
            e["sequences"] for e in seeds
        )


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("date_translation/years1000-2999 additive", 0.995),
        ("number_words/to-words additive", 0.99),
        ("number_words/to-digits additive", 0.99),
        ("digit_captions/single additive", 0.97),
        ("reverse_words/short additive", 0.99),
    ],
)
def test_each_seed_reaches_what_the_page_promises(name: str, least: float) -> None:
    assert min(each["tested"]["test"]["accuracy"] for each in RUNS[name]) >= least


def test_without_attention_exact_match_falls_with_length() -> None:
    found = [page.exact_by_length(each["tested"]) for each in RUNS["reverse_words/short none"]]
    shares = [mean(line[length] for line in found) for length in range(2, 11)]
    assert all(longer <= shorter for shorter, longer in pairwise(shares))
    assert shares[0] > 0.99
    assert shares[-1] < 0.2


def test_scheduled_sampling_has_a_smaller_exposure_bias_on_each_seed() -> None:
    gaps = {}
    for name in page.FORCINGS:
        pairs = [(each["by_step"]["forced"], each["by_step"]["generated"]) for each in RUNS[name]]
        gaps[name] = [page._share(forced) - page._share(own) for forced, own in pairs]
        for forced, own in pairs:
            assert forced[0] == own[0]  # the first symbol is generated from the start in both
    assert max(gaps["scheduled sampling"]) < min(gaps["teacher forcing"])
