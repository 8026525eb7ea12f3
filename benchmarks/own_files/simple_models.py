"""Simple models of scikit-learn and aeon on the rows of a file, in the splits of `seqhub train FILE`.

    texts, classes            logistic regression on TF-IDF of n-grams: 1 to 4 characters, or 1 to 2 words
    texts, numbers            ridge regression on the same
    texts, classes per step   logistic regression on a symbol, its first and last two characters and its neighbours
    texts to be continued     the most frequent successor of the last two symbols, or of the last one
    series, equal lengths     ROCKET (Dempster et al., 2020) with 10,000 kernels
    series, other lengths     the nearest neighbour by dynamic time warping
    series with gaps, numbers ridge regression on the filled values
    series, numbers           ridge regression on the values or ROCKET, the better one on the validation rows
    series, classes per step  logistic regression on a step and its neighbours

Penalties are chosen on the validation rows, among five. The model is then fitted on the training and validation rows,
so that it has seen more rows than seqhub, which does not train on the validation rows.
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.source import DataSource
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import NO_LABEL, Batch

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
SEED = 0

Parts = dict[str, Batch]
Found = tuple[str, float]  # name of the model; accuracy, or mean squared error of standardised numbers


def measure(source: DataSource) -> Found:
    """Return the name and the test result of the simple model for the rows of a source."""
    parts = {name: source.split(name).blocks(0, -(-size // 1024)) for name, size in source.sizes.items()}
    target = source.schema.target
    if target == "next_symbol":
        return trigrams(parts)
    if source.schema.vocabulary is not None:
        return tagged_steps(source, parts) if target == "step_class" else bag_of_ngrams(source, parts)
    if target == "step_class":
        return neighbouring_steps(parts)
    gaps = source.file_rows is not None and "missing" in source.file_rows.found
    if target == "number" and gaps:
        return ridge_on_values(parts)
    equal = len({int(length) for part in parts.values() for length in part.lengths}) == 1
    if target == "number":
        return better_for_numbers(parts)
    return rocket(parts, target) if equal else nearest_neighbour(parts)


def _symbols(source: DataSource, part: Batch) -> list[list[str]]:
    assert source.schema.vocabulary is not None
    names = ["", *source.schema.vocabulary.symbols, "<unknown>"]
    return [[names[id] for id in row[:length]] for row, length in zip(part.inputs, part.lengths, strict=True)]


def _chosen(
    parts: Parts,
    fit: Callable[[Any, Any, float], Any],
    score: Callable[[Any, Any, Any], float],
    rows: Callable[[Batch], Any],
    labels: Callable[[Batch], Any],
    joined: Callable[[Any, Any], Any],
) -> Any:
    """Return the model with the best penalty on the validation rows, fitted on them and the training rows."""
    train, validation = parts["train"], parts["validation"]
    found = {
        penalty: score(fit(rows(train), labels(train), penalty), rows(validation), labels(validation))
        for penalty in PENALTIES
    }
    best = max(found, key=found.__getitem__)
    both = np.concatenate([labels(train), labels(validation)])
    return fit(joined(rows(train), rows(validation)), both, best)


def bag_of_ngrams(source: DataSource, parts: Parts) -> Found:
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge

    words = source.file_rows is not None and source.file_rows.reading["tokens"] != "characters"
    longest = 2 if words else 4
    vectorizer = TfidfVectorizer(
        analyzer=lambda row: [
            tuple(row[n : n + size]) for size in range(1, longest + 1) for n in range(len(row) - size + 1)
        ],
        min_df=2, sublinear_tf=True,
    )  # fmt: skip
    texts = {name: _symbols(source, part) for name, part in parts.items()}
    vectorizer.fit(texts["train"])
    columns = {id(parts[name]): vectorizer.transform(rows) for name, rows in texts.items()}
    number = source.schema.target == "number"

    def fit(rows: Any, labels: Any, penalty: float) -> Any:
        if number:
            return Ridge(alpha=100 / penalty, random_state=SEED).fit(rows, labels)
        return LogisticRegression(C=penalty, max_iter=500, random_state=SEED).fit(rows, labels)

    model = _chosen(
        parts, fit, lambda model, rows, labels: float(model.score(rows, labels)),
        lambda part: columns[id(part)], lambda part: part.labels, lambda a, b: vstack([a, b]),
    )  # fmt: skip
    test = parts["test"]
    predicted = model.predict(columns[id(test)])
    kind = f"1 to {longest} {'words' if words else 'characters'}"
    if number:
        return f"ridge regression, {kind}", float(np.square(predicted - test.labels).mean())
    return f"logistic regression, {kind}", float((predicted == test.labels).mean())


def _steps(part: Batch) -> list[tuple[int, int]]:
    """Return row and step of all steps with a label."""
    found = np.argwhere(part.labels != NO_LABEL)
    return [(int(row), int(step)) for row, step in found]


def tagged_steps(source: DataSource, parts: Parts) -> Found:
    from scipy.sparse import vstack
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import SGDClassifier

    hasher = FeatureHasher(2**20, input_type="string")

    def features(part: Batch) -> Any:
        texts = _symbols(source, part)

        def of(row: int, step: int) -> list[str]:
            words, word = texts[row], texts[row][step]
            before = words[step - 1] if step else "<s>"
            after = words[step + 1] if step + 1 < len(words) else "</s>"
            return [f"w{word}", f"b{before}", f"a{after}", f"1{word[:1]}", f"2{word[-1:]}", f"3{word[:2]}",
                    f"4{word[-2:]}", f"bw{before} {word}", f"wa{word} {after}"]  # fmt: skip

        return hasher.transform(of(row, step) for row, step in _steps(part))

    columns = {id(part): features(part) for part in parts.values()}

    def fit(rows: Any, labels: Any, penalty: float) -> Any:
        return SGDClassifier("log_loss", alpha=1e-5 / penalty, random_state=SEED, max_iter=20, tol=1e-3).fit(
            rows, labels
        )

    model = _chosen(
        parts, fit, lambda model, rows, labels: float(model.score(rows, labels)),
        lambda part: columns[id(part)], lambda part: part.labels[part.labels != NO_LABEL],
        lambda a, b: vstack([a, b]),
    )  # fmt: skip
    test = parts["test"]
    name = "logistic regression, word, its ends and neighbours"
    return name, float(model.score(columns[id(test)], test.labels[test.labels != NO_LABEL]))


def trigrams(parts: Parts) -> Found:
    one: defaultdict[int, Counter[int]] = defaultdict(Counter)
    two: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    for part in (parts["train"], parts["validation"]):
        for row, length in zip(part.inputs.tolist(), part.lengths, strict=True):
            for step in range(1, int(length)):
                one[row[step - 1]][row[step]] += 1
                two[(row[step - 2] if step > 1 else 0, row[step - 1])][row[step]] += 1
    right = seen = 0
    for row, length in zip(parts["test"].inputs.tolist(), parts["test"].lengths, strict=True):
        for step in range(1, int(length)):
            known = two.get((row[step - 2] if step > 1 else 0, row[step - 1])) or one.get(row[step - 1])
            right += known is not None and known.most_common(1)[0][0] == row[step]
            seen += 1
    return "last two symbols", right / seen


def _channels(part: Batch) -> NDArray[np.float64]:
    """Return series of equal lengths as (rows, channels, steps)."""
    return np.ascontiguousarray(part.inputs.transpose(0, 2, 1), dtype=np.float64)


def _both(parts: Parts, values: Callable[[Batch], Any]) -> tuple[Any, Any]:
    both = (parts["train"], parts["validation"])
    return np.concatenate([values(part) for part in both]), np.concatenate([part.labels for part in both])


def rocket(parts: Parts, target: str) -> Found:
    from aeon.transformations.collection.convolution_based import Rocket
    from sklearn.linear_model import RidgeClassifierCV, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    series, labels = _both(parts, _channels)
    alphas = np.logspace(-3, 3, 10)
    last = RidgeCV(alphas) if target == "number" else RidgeClassifierCV(alphas)
    model = make_pipeline(Rocket(n_kernels=10_000, random_state=SEED), StandardScaler(with_mean=False), last)
    model.fit(series, labels)
    predicted = model.predict(_channels(parts["test"]))
    if target == "number":
        return "ROCKET, ridge regression", float(np.square(predicted - parts["test"].labels).mean())
    return "ROCKET", float((predicted == parts["test"].labels).mean())


def nearest_neighbour(parts: Parts) -> Found:
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    def series(part: Batch) -> list[NDArray[np.float64]]:
        return [row[:length].T.astype(np.float64) for row, length in zip(part.inputs, part.lengths, strict=True)]

    model = KNeighborsTimeSeriesClassifier(distance="dtw", n_neighbors=1)
    model.fit(series(parts["train"]) + series(parts["validation"]), _both(parts, lambda part: part.labels)[1])
    return "nearest neighbour, DTW", float((model.predict(series(parts["test"])) == parts["test"].labels).mean())


def ridge_on_values(parts: Parts) -> Found:
    from sklearn.linear_model import RidgeCV

    flat, labels = _both(parts, lambda part: part.inputs.reshape(len(part), -1).astype(np.float64))
    model = RidgeCV(np.logspace(-3, 3, 10)).fit(flat, labels)
    test = parts["test"]
    predicted = model.predict(test.inputs.reshape(len(test), -1).astype(np.float64))
    return "ridge regression on the values", float(np.square(predicted - test.labels).mean())


def better_for_numbers(parts: Parts) -> Found:
    """Return the result of ROCKET or of ridge regression on the values, whichever has the lower validation error.

    ROCKET normalises each series, and a number may depend on the level that is lost.
    """
    train = parts["train"]
    chosen = {"train": train[:-1], "validation": train[-1:], "test": parts["validation"]}  # models join the first two
    best = min((lambda rows: rocket(rows, "number"), ridge_on_values), key=lambda model: model(chosen)[1])
    return best(parts)


def neighbouring_steps(parts: Parts) -> Found:
    from sklearn.linear_model import LogisticRegression

    def windows(part: Batch) -> NDArray[np.float64]:
        padded = np.pad(part.inputs.astype(np.float64), ((0, 0), (1, 1), (0, 0)))
        joined = np.concatenate([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], axis=2)
        return joined[part.labels != NO_LABEL]

    def fit(rows: Any, labels: Any, penalty: float) -> Any:
        return LogisticRegression(C=penalty, max_iter=2000, random_state=SEED).fit(rows, labels)

    model = _chosen(
        parts, fit, lambda model, rows, labels: float(model.score(rows, labels)), windows,
        lambda part: part.labels[part.labels != NO_LABEL], lambda a, b: np.concatenate([a, b]),
    )  # fmt: skip
    test = parts["test"]
    name = "logistic regression, step and neighbours"
    return name, float(model.score(windows(test), test.labels[test.labels != NO_LABEL]))


def main() -> None:
    """Print the result for a file as JSON; called by `run`."""
    parser = argparse.ArgumentParser(description="Print the result of a simple model for a file, as JSON.")
    parser.add_argument("file", type=Path)
    parser.add_argument("task", type=TaskRef.parse, help="kind of the rows, as in file/text-class")
    parser.add_argument("options", type=json.loads, help="options for reading the file, as JSON")
    given = parser.parse_args()
    source = DataSource(given.task, given.file, given.options)
    started = time.perf_counter()
    name, value = measure(source)
    print(json.dumps({"name": name, "value": value, "seconds": round(time.perf_counter() - started, 1)}))


if __name__ == "__main__":
    main()
