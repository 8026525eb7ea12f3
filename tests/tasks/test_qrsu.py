"""QRSU: ranges, distributions, and the finite domain of easy."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.qrsu import TASK, QrsuConfig, tutorial_stream
from seqhub.tasks.splits import SPLITS, Split, split_indices
from tests.helpers.task_cases import assert_follows, assert_same_distribution, first_rows

# config -> length, step of the first mark, step of the second: the generator of the course, both ends included
RANGES = {
    "easy": ((7, 8), (1, 2), (4, 5)),
    "normal": ((30, 40), (2, 5), (20, 27)),
    "moderate": ((60, 80), (10, 20), (45, 54)),
    "hard": ((100, 110), (10, 20), (50, 60)),
    "nightmare": ((300, 500), (10, 80), (250, 290)),
    "hs97": ((100, 110), (10, 20), (50, 60)),
}
each_config = pytest.mark.parametrize("name", RANGES)
LARGE = [name for name in RANGES if name != "easy"]


def marks(characters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps of the two marks of each row."""
    is_mark = (characters == ord("X")) | (characters == ord("Y"))
    assert (is_mark.sum(axis=1) == 2).all()
    first = is_mark.argmax(axis=1)
    return first, characters.shape[1] - 1 - is_mark[:, ::-1].argmax(axis=1)


def test_configs_agree_with_the_course():
    assert {config.name: (config.length, config.first, config.second) for config in TASK.configs} == RANGES
    assert TASK.symbols == "XYabcdBE"
    assert TASK.labels == ("Q", "R", "S", "U")


@pytest.mark.parametrize("split", SPLITS)
@each_config
def test_ranges_are_kept_and_both_ends_reached(name, split):
    length, first, second = RANGES[name]
    batch = first_rows(f"qrsu/{name}", split, 20_000)
    one, two = marks(batch.inputs)
    assert (batch.lengths.min(), batch.lengths.max()) == length
    assert (one.min(), one.max()) == first
    assert (two.min(), two.max()) == second
    rows = np.arange(len(batch))
    begin, end = "EB" if name == "hs97" else "BE"
    assert set(batch.inputs[:, 0].tolist()) == {ord(begin)}
    assert set(batch.inputs[rows, batch.lengths - 1].tolist()) == {ord(end)}
    assert ((batch.inputs == ord("B")).sum(axis=1) == 1).all()
    assert ((batch.inputs == ord("E")).sum(axis=1) == 1).all()


@pytest.mark.parametrize("split", SPLITS)
@each_config
def test_lengths_and_steps_are_uniform_and_independent_of_the_label(name, split):
    batch = first_rows(f"qrsu/{name}", split, 32_000)
    one, two = marks(batch.inputs)
    fields = list(zip((batch.lengths, one, two), RANGES[name], strict=True))
    if name == "easy":  # its splits of few strings are stratified only by label and length
        fields = fields[:1]
    for values, (low, high) in fields:
        wide = min(high - low + 1, 40)  # nightmare has 201 lengths: in 40 bins
        bins = (values - low) * wide // (high - low + 1)
        counts = np.bincount(bins * 4 + batch.labels, minlength=4 * wide)
        widths = np.bincount(np.arange(high - low + 1) * wide // (high - low + 1))
        assert_follows(counts, np.repeat(widths, 4).astype(float))


@each_config
def test_noise_is_uniform_at_every_step(name):
    batch = first_rows(f"qrsu/{name}", rows=20_000)
    shortest = RANGES[name][0][0]
    counts = [(batch.inputs[:, :shortest] == ord(symbol)).sum(axis=0) for symbol in "abcd"]
    steps = np.stack(counts, axis=1)[1 : shortest - 1]
    for step in steps[steps.sum(axis=1) > 100]:
        assert_follows(step)


@pytest.mark.parametrize("name", LARGE)
def test_neighbouring_steps_are_independent(name):
    batch = first_rows(f"qrsu/{name}", rows=20_000)
    quiet = slice(RANGES[name][1][1] + 1, RANGES[name][2][0])  # between the marks: only noise
    noise = np.searchsorted(np.frombuffer(b"abcd", np.uint8), batch.inputs[:, quiet])
    for distance in (1, 8):  # within a word of noise, and between words
        pairs = noise[:, :-distance] * 4 + noise[:, distance:]
        assert_follows(np.bincount(pairs.ravel(), minlength=16))


def test_splits_of_easy_partition_its_finite_domain():
    config = next(config for config in TASK.configs if config.name == "easy")
    finite_domain = TASK.finite_domain(config)
    texts = finite_domain.batch.texts()
    assert len(set(texts)) == len(texts) == 1024 + 4096
    assert [TASK.labels[label] for label in finite_domain.batch.labels] == TASK.solve_batch(texts)
    indices = split_indices(finite_domain)
    assert np.bincount(indices).tolist() == [4096, 512, 512]
    for number, split in enumerate(SPLITS):
        members = {text for text, index in zip(texts, indices, strict=True) if index == number}
        for seed in (0, 1, -7):  # 102,400 rows include all members
            assert set(Split("qrsu/easy", split, seed).blocks(0, 100).texts()) == members


def test_strings_of_easy_are_generated_by_their_weight():
    """Both lengths are equally probable, so each of the 1,024 short strings is four times as probable as a long one."""
    texts, counts = np.unique(Split("qrsu/easy").blocks(0, 100).texts(), return_counts=True)
    short = np.array([len(text) == 7 for text in texts])
    assert_follows(counts[short])
    assert_follows(counts[~short])
    assert_follows(np.array([counts[short].sum(), counts[~short].sum()]))


@pytest.mark.parametrize("name", LARGE)
def test_large_configs_have_no_finite_domain(name):
    assert TASK.finite_domain(next(config for config in TASK.configs if config.name == name)) is None


@pytest.mark.parametrize("name", ["easy", "normal", "hard"])
def test_rows_follow_the_distribution_of_the_course(name):
    course_x, course_y = next(tutorial_stream(name, batch_size=4000))
    characters = np.frombuffer(b"XYabcdBE", np.uint8)[course_x.argmax(axis=2)] * course_x.any(axis=2)
    course_lengths = (characters != 0).sum(axis=1)
    pad = characters.shape[1] - course_lengths
    rows = first_rows(f"qrsu/{name}", rows=4000)
    one, two = marks(rows.inputs)
    course_one, course_two = marks(characters)
    low = RANGES[name][0][0]
    for found, expected in (
        (rows.lengths - low, course_lengths - low),
        (one, course_one - pad),
        (two, course_two - pad),
        (rows.labels, course_y.argmax(axis=1)),
    ):
        size = max(found.max(), expected.max()) + 1
        assert_same_distribution(np.bincount(found, minlength=size), np.bincount(expected, minlength=size))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("BXXE", "Q"),
        ("BXaYE", "R"),
        ("BaYbXE", "S"),
        ("BYYdE", "U"),
        ("BbXcXcbE", "Q"),
        ("BYdadYE", "U"),
        ("EXaYB", "R"),
    ],
)
def test_solve(text, label):
    assert TASK.solve(text) == label


@pytest.mark.parametrize(
    "text", ["", "B", "BE", "BXE", "BXYXE", "aXYE", "BXYa", "BXYBE", "BXEYE", "BXQYE", "XY", "bxye", "EXYE", "BXYB"]
)
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid qrsu sequence"):
        TASK.solve(text)


@pytest.mark.parametrize(
    "ranges",
    [
        {"length": (8, 7)},
        {"first": (2, 1)},
        {"second": (5, 4)},
        {"first": (0, 2)},  # step 0 is B
        {"first": (1, 4)},  # may equal the second
        {"second": (4, 6)},  # step 6 is E in the shortest
        {"length": (6, 8)},
    ],
)
def test_invalid_ranges_are_errors(ranges):
    good = {"length": (7, 8), "first": (1, 2), "second": (4, 5)}
    QrsuConfig(name="mine", **good)
    with pytest.raises(
        InvalidConfigError, match="config 'mine' needs low <= high in each range and 0 < first < second"
    ):
        QrsuConfig(name="mine", **(good | ranges))


def test_results_of_the_paper():
    assert TASK.paper_sequences == {"hard": 31_390, "hs97": 31_390}
    assert {name: 2560 * share for name, share in TASK.paper_wrong.items()} == {"hard": 1, "hs97": 1}


def test_only_hs97_has_the_parameter_ends():
    by_name = {config.name: config.parameters() for config in TASK.configs}
    assert [name for name, parameters in by_name.items() if "ends" in parameters] == ["hs97"]


def test_random_access_to_distant_examples():
    split = Split("qrsu/hard", "test", seed=2)
    assert split[10**12] == split[10**12]
    assert split[10**12] != split[10**12 + 1]
