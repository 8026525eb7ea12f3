"""The leaderboard: grouped by task id, fastest run first, independent of the order of the records."""

import re

from seqhub.cards.leaderboard import render
from tests.cards.test_model_card import assert_tables_are_well_formed
from tests.helpers.run_records import run_record

RUNS = [
    run_record(model="gru", criteria={"accuracy>=0.999": None, "st3": None}, evaluation={}),
    run_record(),
    run_record(model="rnn_tanh", criteria={"accuracy>=0.99": 320, "st3": None}),
    run_record(model="lstm_wide", num_parameters=2_180, criteria={"accuracy>=0.999": 1_600, "st3": 4_000}),
    run_record(task="qrsu/easy", evaluation={}),
]


def test_groups_and_rows_are_in_order() -> None:
    page = render(RUNS)
    assert re.findall(r"^## (.+)$", page, flags=re.MULTILINE) == ["qrsu/easy", "qrsu/hard"]
    assert re.findall(r"^\| \[(.+?)\]\((.+?)\)", page, flags=re.MULTILINE) == [
        (name, f"{name}/")
        for name in ("qrsu-easy-lstm", "qrsu-hard-lstm_wide", "qrsu-hard-lstm", "qrsu-hard-rnn_tanh", "qrsu-hard-gru")
    ]
    assert render(RUNS[::-1]) == page
    assert_tables_are_well_formed(page)


def test_a_row_agrees_with_the_record() -> None:
    run = run_record()
    accuracy, (low, high) = run.evaluation["test"]["accuracy"], run.evaluation["test"]["interval"]
    page = render([run])
    assert f"| 5,088 | 2,560 | {accuracy:.4f} | {low:.4f} to {high:.4f} | 580 | 7 |" in page
    assert "needed 31,390 sequences" in page
    assert "Chance level is 0.2500" in page


def test_not_met_and_not_measured_are_distinct() -> None:
    page = render(RUNS)
    assert "| not met | 320 | – | 0." in page  # st3, accuracy>=0.99, accuracy>=0.999
    assert "| not met | – | not met | – | – | 580 | 7 |" in page


def test_a_page_without_runs_says_so() -> None:
    assert render([]).endswith("No runs yet.\n")
