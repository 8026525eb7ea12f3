"""Reference generators of the tasks: plain functions that make one example, called in a loop.

They are written like a careful tutorial: symbols by `random.choices`, real values by a NumPy generator, vectorised
within one example but not across examples. tests/test_reference_generators.py checks every example with the definition
of its task. QRSU is not here: the generator of its course is in `baselines`.
"""

import random as python_random
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import sequence_generators
from seqhub.tasks import chirps, documents, embedded_reber, ramps, sentiment, square, temporal_order_3bit, windows
from seqhub.tasks.schema import Example, TaskConfig

Generator = Callable[[Any, python_random.Random, np.random.Generator], Example]


def generate_square(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    base, clockwise = symbols.randrange(4), symbols.randrange(2)
    length = symbols.randint(*config.length)
    order = [(base + i) % 4 for i in range(4)] if clockwise else [(base - i) % 4 for i in range(4)]
    points = square.CORNERS[order[:length]] + values.standard_normal((length, 2)).astype(np.float32) * square.NOISE
    return Example(points, square.TASK.labels[clockwise])


def generate_echo(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    text = "".join(symbols.choices("01", k=symbols.randint(*config.length)))
    return Example(text, [None] * config.echo_step + list(text[: -config.echo_step]))


def generate_sentiment(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    negated, damned = symbols.randrange(2), symbols.randrange(2)
    clauses = []
    for other in (0, 1):
        subject = symbols.choice(sentiment.NEGATING if negated ^ other else sentiment.AFFIRMING)
        occasions = symbols.choices(sentiment.OCCASIONS, k=symbols.randint(*config.occasions))
        topic = symbols.choice(sentiment.OTHERS) if other else sentiment.TOPIC
        adjective = symbols.choice(sentiment.DAMNING if damned ^ other else sentiment.PRAISING)
        verb = symbols.choice(sentiment.VERBS)
        clauses.append(" ".join([subject, *occasions, verb, "that the", topic, "was", adjective]))
    if symbols.randrange(2):
        clauses.reverse()
    return Example(f" {symbols.choice(sentiment.LINKS)} ".join(clauses), sentiment.TASK.labels[negated ^ damned])


def generate_documents(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    length = symbols.randint(*config.length)
    topics = values.integers(2, documents.TOPICS, length)
    one, other = sorted(symbols.sample(range(length), 2))
    answer_first = symbols.randrange(2)
    topics[one], topics[other] = (1, 0) if answer_first else (0, 1)
    noise = values.standard_normal((length, config.width), dtype=np.float32) * documents.NOISE
    chunks = documents.topic_vectors(config.width)[topics] + noise
    return Example(np.round(chunks * 32) / 32, documents.TASK.labels[answer_first])


def generate_windows(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    k, count = config.window, config.windows
    label = symbols.randrange(k)
    agree = set(symbols.sample(range(count), count // 2 + 1))
    row = values.random(count * k, dtype=np.float32) / 2
    for number in range(count):
        vote = label if number in agree else (label + symbols.randrange(1, k)) % k
        row[number * k + (vote - number) % k] = 0.75 + symbols.random() / 4
    return Example(row[:, None], windows.TASK.schema(config).labels[label])


def generate_ramps(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    length = symbols.randint(*config.length)
    shape = (1,) if config.image else config.step_shape
    start, rise = values.uniform(-1, 1, shape), values.uniform(-1 / 8, 1 / 8, shape)
    if config.image:
        tilt = values.uniform(-1 / 4, 1 / 4, 2)
        rows, columns = np.indices(config.step_shape)
        start = start + tilt[0] * rows + tilt[1] * columns
    steps = np.arange(length).reshape(-1, *(1,) * len(config.step_shape))
    whole = np.broadcast_to(start, config.step_shape) + np.broadcast_to(rise, config.step_shape) * steps
    return Example((np.round(whole * ramps.GRID) / ramps.GRID).astype(np.float32).reshape(length, -1), None)


def generate_chirps(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    steps, onset = symbols.randint(*config.length), symbols.randint(*config.onset)
    duration, falling = symbols.randint(*config.duration), symbols.randrange(2)
    low, glide = symbols.uniform(80, 144), symbols.uniform(192, 256)
    audio = values.standard_normal((steps + 1) * chirps.HOP) * symbols.uniform(chirps.QUIETEST, chirps.LOUDEST)
    seconds = np.arange(duration * chirps.HOP) / chirps.RATE
    rate = glide / (duration * chirps.HOP / chirps.RATE) * (1 - 2 * falling)
    phase = 2 * np.pi * ((low + glide * falling) * seconds + rate * seconds**2 / 2) + symbols.uniform(0, 2 * np.pi)
    first = onset * chirps.HOP
    audio[first : first + len(seconds)] += chirps.LOUDNESS * np.sin(phase)
    audio = audio.round()
    frames = np.lib.stride_tricks.sliding_window_view(audio, 2 * chirps.HOP)[:: chirps.HOP][:steps]
    power = np.abs(np.fft.rfft(frames * np.hanning(2 * chirps.HOP + 1)[:-1])[:, 1 : chirps.BINS + 1]) ** 2
    quietest = chirps.QUIETEST**2 * (np.hanning(2 * chirps.HOP + 1)[:-1] ** 2).sum()
    values_of = np.maximum(np.log10(np.maximum(power, 1e-9) / quietest), -1).astype(np.float32)
    target = onset * chirps.HOP / chirps.RATE if config.target == "number" else chirps.TASK.directions[falling]
    return Example(values_of, target)


def generate_adding(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    length = symbols.randint(*config.length)
    pairs = np.zeros((length, 2), dtype=np.float32)
    if config.rules == "hs97":
        pairs[:, 0] = values.uniform(-1, 1, length)
        first, second = _paper_marks(config.length[0], symbols)
    else:
        pairs[:, 0] = values.random(length)
        half = length // 2
        first, second = (
            (symbols.randrange(half), symbols.randrange(half, length))
            if config.rules == "urnn"
            else symbols.sample(range(length), 2)
        )
    pairs[[first, second], 1] = 1
    total = float(pairs[first, 0]) * bool(first or config.rules != "hs97") + float(pairs[second, 0]) * bool(
        second or config.rules != "hs97"
    )
    if config.rules != "hs97":
        return Example(pairs, total)
    pairs[[0, -1], 1] = -1
    return Example(pairs, 0.5 + total / 4)


def generate_multiplication(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    length = symbols.randint(*config.length)
    pairs = np.zeros((length, 2), dtype=np.float32)
    pairs[:, 0] = values.random(length)
    first, second = _paper_marks(config.length[0], symbols)
    pairs[[first, second], 1] = 1
    pairs[[0, -1], 1] = -1
    product = (float(pairs[first, 0]) if first else 1.0) * (float(pairs[second, 0]) if second else 1.0)
    return Example(pairs, product)


def _paper_marks(shortest: int, symbols: python_random.Random) -> tuple[int, int]:
    first = symbols.randrange(10)
    second = symbols.randrange(shortest // 2 - 1)
    while second == first:
        second = symbols.randrange(shortest // 2 - 1)
    return first, second


def generate_two_sequence(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    from seqhub.tasks.two_sequence import NOISE, TARGETS, TASK

    length, plus = symbols.randint(*config.length), symbols.randrange(2)
    numbers = values.normal(0, NOISE, length)
    numbers[: config.signal] = (2 * plus - 1) + numbers[: config.signal] * config.noisy_signal
    sequence = numbers.astype(np.float32)[:, None]
    schema = TASK.schema(config)
    return Example(sequence, schema.labels[plus] if schema.labels else TARGETS[plus])


def generate_embedded_reber(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    outer = symbols.choice("TP")
    text = ["B", outer]
    state: int | None = 0
    while state is not None:
        symbol, state = symbols.choice(embedded_reber.GRAMMAR[state])
        text.append(symbol)
    return Example("".join([*text, outer, "E"]), None)


def generate_long_lag(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    answer = symbols.choice("xy")
    if config.kind == "2a":
        return Example(" ".join([answer, *(f"a{k}" for k in range(1, config.p)), answer]), None)
    if config.kind == "2b":
        noise = symbols.choices([f"a{k}" for k in range(1, config.p)], k=config.p - 1)
        return Example(" ".join([answer, *noise]), answer)
    distractors = [f"a{k}" for k in range(1, config.p + 1)]
    noise = symbols.choices(distractors, k=config.q)
    while len(noise) < config.length[1] - 3 and symbols.random() < 0.9:
        noise.append(symbols.choice(distractors))
    return Example(" ".join(["b", answer, *noise, "e"]), answer)


def generate_temporal_order_3bit(config: Any, symbols: python_random.Random, values: np.random.Generator) -> Example:
    characters = symbols.choices("abcd", k=symbols.randint(*config.length))
    characters[0], characters[-1] = "B", "E"
    marks = "".join(symbols.choices("XY", k=3))
    for steps, mark in zip((config.first, config.second, config.third), marks, strict=True):
        characters[symbols.randint(*steps)] = mark
    return Example("".join(characters), temporal_order_3bit.CLASS_OF[marks])


GENERATORS: dict[str, Generator] = {
    name.removeprefix("generate_"): function
    for name, function in [*globals().items(), *vars(sequence_generators).items()]
    if name.startswith("generate_")
}


def generate(task: str, config: TaskConfig, count: int, seed: int = 0) -> list[Example]:
    """Generate examples one by one."""
    symbols, values = python_random.Random(seed), np.random.default_rng(seed)
    return [GENERATORS[task](config, symbols, values) for _ in range(count)]
