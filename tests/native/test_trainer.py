"""Native training compared with the model in torch and torch.optim: weights and metrics of every row."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.metrics.per_example import example_metrics
from seqhub.models.registry import build_config, build_model
from seqhub.native.trainer import ErrorRate, NativeTrainer, Objective, OptimizerSettings, unsupported_reason
from seqhub.tasks.schema import NO_LABEL, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary
from tests.helpers.native_cases import CELLS, SETS

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")
HEADS = {"class": "sequence", "number": "sequence", "step_class": "token", "next_symbol": "causal"}
SYMBOLS, CLASSES, FEATURES, TOLERANCE = 6, 3, 2, 0.5


@dataclass
class Rows:
    """Sequences of different lengths with targets, as NumPy arrays and as batches of a torch model."""

    target: str = "class"
    values: bool = False
    count: int = 42
    steps: int = 9
    classes: int = CLASSES
    seed: int = 0
    features: int = FEATURES

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        self.lengths = random.integers(1, self.steps + 1, self.count)
        real = np.arange(self.steps) < self.lengths[:, None]
        if self.values:
            inputs = random.normal(size=(self.count, self.steps, self.features)).astype(np.float32)
            self.inputs: Any = inputs * real[..., None]
        else:
            self.inputs = random.integers(1, SYMBOLS + 1, (self.count, self.steps)).astype(np.uint8) * real
        self.labels: Any = random.integers(0, self.classes, self.count)
        if self.target == "number":
            self.labels = random.normal(size=self.count).astype(np.float32)
        if self.target == "step_class":
            self.labels = random.integers(0, self.classes, (self.count, self.steps))
            self.labels[~real | (random.random(real.shape) < 0.3)] = NO_LABEL
        if self.target == "next_symbol":
            self.labels = np.empty((self.count, 0), np.int64)
        self.real = real.astype(np.int64)

    def batch(self, rows: slice) -> dict[str, Tensor]:
        """Return a batch as in a data loader."""
        name = "input_values" if self.values else "input_ids"
        inputs = torch.from_numpy(self.inputs[rows] if self.values else self.inputs[rows].astype(np.int64))
        labels = torch.from_numpy(self.labels[rows])
        if self.target == "next_symbol":
            labels = inputs.masked_fill(inputs == 0, NO_LABEL)
        return {name: inputs, "attention_mask": torch.from_numpy(self.real[rows]), "labels": labels}


def network(rows: Rows, cell: str = "lstm", double: bool = False, outputs: int = CLASSES, **settings: Any) -> nn.Module:
    torch.manual_seed(0)
    given: dict[str, Any] = {"hidden_size": 5, "vocab_size": SYMBOLS + 1, **settings}
    if rows.values:
        given |= {"inputs": "values", "num_features": rows.features}
    if rows.target == "number":
        given |= {"num_labels": 1, "problem_type": "regression"}
    elif rows.target != "next_symbol":
        given |= {"num_labels": outputs}
        if outputs == 1:
            given |= {"problem_type": "multi_label_classification"}
    model = build_model(build_config(cell, **given), HEADS[rows.target])
    return model.double() if double else model


def objective(rows: Rows, outputs: int = CLASSES, logistic: bool = False) -> Objective:
    outputs = {"number": 1, "next_symbol": SYMBOLS}.get(rows.target, outputs)
    return Objective(target=rows.target, outputs=outputs, logistic=logistic, tolerance=TOLERANCE)  # type: ignore[arg-type]


def train_in_torch(
    model: nn.Module,
    rows: Rows,
    method: OptimizerSettings,
    size: int,
    rates: np.ndarray,
    error_rate: ErrorRate | None = None,
) -> np.ndarray:
    """Train with the loss of the model and torch.optim; return the metrics of each row."""
    optimizers: dict[str, Any] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "sgd": torch.optim.SGD,
    }
    settings: dict[str, Any] = {"lr": 1.0, "weight_decay": method.weight_decay}
    settings |= {"betas": method.betas} if method.name in ("adam", "adamw") else {"momentum": method.momentum}
    optimizer = optimizers[method.name](model.parameters(), **settings)
    schema = schema_of(rows)
    metrics, mean = [], 1.0
    for step, rate in enumerate(rates):
        batch = rows.batch(slice(step * size, (step + 1) * size))
        extra = {"num_items_in_batch": (batch["labels"] != NO_LABEL).sum()} if rows.target == "step_class" else {}
        dtype = next(model.parameters()).dtype
        given = {name: each.to(dtype) if each.is_floating_point() else each for name, each in batch.items()}
        output = model(**given, **extra)
        logistic = model.config.logistic_outputs  # type: ignore[union-attr]
        here = example_metrics(
            schema, output.logits.detach(), batch["labels"], batch["attention_mask"], logistic
        ).numpy()
        metrics.append(here)
        if rows.target == "step_class" and not extra["num_items_in_batch"]:
            continue
        if error_rate is not None:
            mean = 0.995 * mean + 0.005 * float(here[:, 0].max())
            rate = rate * max(error_rate.floor, min(1.0, mean / error_rate.reference))
        output.loss.backward()
        if method.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), method.max_grad_norm)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return np.concatenate(metrics)


def schema_of(rows: Rows) -> TaskSchema:
    options: dict[str, Any] = {"step_shape": (rows.features,)} if rows.values else {"vocabulary": Vocabulary("abcdef")}
    if rows.target == "number":
        options |= {"tolerance": TOLERANCE}
    elif rows.target != "next_symbol":
        options |= {"labels": tuple(f"c{n}" for n in range(rows.classes))}
    return TaskSchema(target=rows.target, **options)  # type: ignore[arg-type]


def check(
    rows: Rows,
    method: OptimizerSettings,
    size: int = 5,
    double: bool = False,
    outputs: int = CLASSES,
    rate: float = 0.02,
    error_rate: ErrorRate | None = None,
    instruction_set: str | None = None,
    **settings: Any,
) -> None:
    """Train natively and in torch, and compare weights and metrics."""
    native_model, torch_model = (network(rows, double=double, outputs=outputs, **settings) for _ in range(2))
    rates = np.linspace(rate, rate / 2, -(-rows.count // size))
    expected = train_in_torch(torch_model, rows, method, size, rates, error_rate)
    target = objective(rows, outputs, settings.get("logistic_outputs", False))
    fit = NativeTrainer(native_model, target, method, error_rate, instruction_set=instruction_set)
    found = fit.train(rows.inputs, rows.lengths, rows.labels, size, rates)
    fit.write_to(native_model)
    tolerance = 1e-10 if double else 1e-5
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6 if double else tolerance)
    for (name, one), two in zip(native_model.named_parameters(), torch_model.parameters(), strict=True):
        torch.testing.assert_close(
            one, two, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


ADAM = OptimizerSettings(name="adam", max_grad_norm=1.0)
METHODS = [
    ADAM,
    OptimizerSettings(name="adam", betas=(0.0, 0.9), weight_decay=0.1),
    OptimizerSettings(name="adamw", weight_decay=0.1, max_grad_norm=0.1),
    OptimizerSettings(name="rmsprop"),
    OptimizerSettings(name="rmsprop", momentum=0.5, weight_decay=0.1),
    OptimizerSettings(name="sgd"),
    OptimizerSettings(name="sgd", momentum=0.9, weight_decay=0.1, max_grad_norm=0.5),
]


@pytest.mark.fast_cases("*-baseline")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("target", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_and_target(cell: str, target: str, instruction_set: str) -> None:
    for layers, values in itertools.product((1, 2), (False, True)):
        if values and target == "next_symbol":
            continue
        options = {"cell": cell, "num_hidden_layers": layers, "instruction_set": instruction_set}
        check(Rows(target, values), ADAM, double=True, bidirectional=layers == 2 and target != "next_symbol", **options)
        check(Rows(target, values, count=19), ADAM, rate=0.005, **options)


@pytest.mark.fast_cases("lstm-*-avx512", "gru-*-baseline")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("target", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_small_batches_with_many_units(cell: str, target: str, instruction_set: str) -> None:
    """Vector lanes are units; six sequences run as four and two in parallel."""
    for layers, values, hidden, size in (
        (1, False, 11, 6),
        (2, False, 11, 6),
        (1, True, 18, 3),
        (2, True, 11, 6),
        (1, False, 5, 1),
    ):
        if values and target == "next_symbol":
            continue
        options = {"cell": cell, "num_hidden_layers": layers, "instruction_set": instruction_set, "hidden_size": hidden}
        rows = Rows(target, values, count=4 * size + 2)
        check(rows, ADAM, size=size, double=True, bidirectional=layers == 2 and target != "next_symbol", **options)
        check(rows, ADAM, size=size, rate=0.002, **options)


@pytest.mark.fast_cases("lstm-avx512", "gru-baseline")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("cell", CELLS)
def test_wide_inputs_of_small_batches(cell: str, instruction_set: str) -> None:
    """Inputs are multiplied before the recurrence, with whole and partial vectors of columns."""
    for target, features, hidden, size, steps in (
        ("class", 32, 12, 1, 9),
        ("step_class", 33, 18, 6, 9),
        ("number", 70, 11, 3, 1),
        ("class", 150, 9, 5, 30),
    ):
        options = {"cell": cell, "instruction_set": instruction_set, "hidden_size": hidden, "bidirectional": steps == 9}
        layers = 2 if features == 33 else 1
        rows = Rows(target, values=True, count=3 * size + 2, steps=steps, features=features)
        check(rows, ADAM, size=size, double=True, num_hidden_layers=layers, **options)
        check(rows, ADAM, size=size, rate=0.002, num_hidden_layers=layers, **options)


@pytest.mark.parametrize("values", [False, True])
def test_a_single_step(values: bool) -> None:
    """The recurrent weights are not read, and their gradient is zero."""
    for cell, layers, size in itertools.product(CELLS, (1, 2), (2, 20)):
        rows = Rows(values=values, count=2 * size, steps=1)
        check(rows, ADAM, size=size, double=True, cell=cell, num_hidden_layers=layers, bidirectional=layers == 2)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_optimizer(method: OptimizerSettings) -> None:
    for target in ("class", "number"):
        check(Rows(target), method, double=True)
        check(Rows(target), method, rate=0.005)


def test_a_single_logit_for_two_classes() -> None:
    check(Rows(classes=2), ADAM, double=True, outputs=1)


@pytest.mark.parametrize("target", HEADS)
def test_logistic_outputs(target: str) -> None:
    check(Rows(target), ADAM, double=True, logistic_outputs=True)
    check(Rows(target), ADAM, rate=0.005, logistic_outputs=True)
    if target == "class":
        check(Rows(classes=2), ADAM, double=True, outputs=1, logistic_outputs=True)


@pytest.mark.parametrize("target", HEADS)
def test_batches_of_several_blocks(target: str) -> None:
    check(Rows(target, count=200, steps=30), ADAM, size=70, double=True)
    check(Rows(target, count=200, steps=30), ADAM, size=70, rate=0.005)


def test_readouts_with_many_steps_and_outputs() -> None:
    for size in (2, 20):
        rows = Rows("step_class", count=40, steps=300, classes=130)
        check(rows, ADAM, size=size, double=True, outputs=130, hidden_size=20)


def test_the_rate_depends_on_the_error() -> None:
    for reference, floor in ((0.99, 0.7), (0.9, 0.99)):
        check(Rows(), ADAM, double=True, error_rate=ErrorRate(reference, floor))


def test_steps_without_targets_do_not_change_the_state() -> None:
    rows = Rows("step_class", count=10)
    rows.labels[:] = NO_LABEL
    fit = NativeTrainer(network(rows), objective(rows), ADAM)
    before = fit.state()
    assert not fit.train(rows.inputs, rows.lengths, rows.labels, 5, np.ones(2)).any()
    assert fit.state() == before


def test_evaluation_equals_the_metrics_of_training() -> None:
    for target in HEADS:
        rows = Rows(target, count=30)
        fit = NativeTrainer(network(rows), objective(rows), ADAM)
        before = fit.state()
        evaluated = fit.evaluate(rows.inputs, rows.lengths, rows.labels)
        assert fit.state() == before
        trained = fit.train(rows.inputs, rows.lengths, rows.labels, 30, np.array([0.1]))
        np.testing.assert_array_equal(evaluated, trained)
        assert not np.array_equal(fit.evaluate(rows.inputs, rows.lengths, rows.labels), evaluated)


def test_training_continues_from_a_state() -> None:
    rows = Rows(count=40)
    fit, other = (
        NativeTrainer(network(rows, hidden_size=7), objective(rows), ADAM, ErrorRate(0.9, 0.1)) for _ in range(2)
    )
    halves = [(rows.inputs[part], rows.lengths[part], rows.labels[part], 4, np.full(5, 0.02))
              for part in (slice(20), slice(20, 40))]  # fmt: skip
    fit.train(*halves[0])
    middle = fit.state()
    expected = fit.train(*halves[1])
    end = fit.state()
    for each in (fit, other):
        each.restore(middle)
        np.testing.assert_array_equal(each.train(*halves[1]), expected)
        assert each.state() == end
    whole = NativeTrainer(network(rows, hidden_size=7), objective(rows), ADAM, ErrorRate(0.9, 0.1))
    whole.train(rows.inputs, rows.lengths, rows.labels, 4, np.full(10, 0.02))
    assert whole.state() == end
    with pytest.raises(InvalidInputError, match=f"a state of {len(end) - 1} bytes: must have {len(end)}"):
        fit.restore(end[:-1])


def test_threads_do_not_affect_results() -> None:
    model = network(Rows())  # a single one, since weights are from the global generator

    def run(seed: int) -> bytes:
        rows = Rows(count=300, steps=40, seed=seed)
        fit = NativeTrainer(model, objective(rows), ADAM)
        for _ in range(5):
            fit.train(rows.inputs, rows.lengths, rows.labels, 8, np.full(38, 0.01))
        return fit.state()

    alone = [run(seed) for seed in range(6)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(6), timeout=100)) == alone


def test_character_codes_are_looked_up() -> None:
    rows = Rows()
    codes = np.frombuffer(b"\0abcdef", np.uint8)[rows.inputs]
    columns = np.full(256, -2, np.int32)
    columns[np.frombuffer(b"abcdef", np.uint8)] = np.arange(SYMBOLS)
    by_id, by_code, wide = (
        NativeTrainer(network(rows), objective(rows), ADAM, columns=given) for given in (None, columns, columns)
    )
    for fit, inputs in ((by_id, rows.inputs), (by_code, codes), (wide, codes.astype(np.uint16))):
        fit.train(inputs, rows.lengths, rows.labels, 5, np.full(9, 0.02))
    assert by_id.state() == by_code.state() == wide.state()
    codes[3, 0] = ord("?")
    with pytest.raises(InvalidInputError, match="row 3 has id 63 at step 0"):
        by_code.train(codes, rows.lengths, rows.labels, 5, np.full(9, 0.02))


def test_read_only_arrays(tmp_path: Any) -> None:
    """Arrays are mapped from files opened for reading, so that writing would crash the process."""
    rows = Rows(count=20)
    expected = NativeTrainer(network(rows), objective(rows), ADAM)
    expected.train(rows.inputs, rows.lengths, rows.labels, 5, np.full(4, 0.02))
    mapped = []
    for name, array in (("inputs", rows.inputs), ("lengths", rows.lengths), ("labels", rows.labels)):
        np.save(tmp_path / f"{name}.npy", array)
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    fit = NativeTrainer(network(rows), objective(rows), ADAM)
    fit.train(*mapped, 5, np.full(4, 0.02))
    assert fit.state() == expected.state()


def changed(array: Any, where: Any, value: Any) -> Any:
    array = array.copy()
    array[where] = value
    return array


INVALID: dict[str, tuple[str, Any, str]] = {
    "id outside": ("class", lambda r: {"inputs": changed(r.inputs, (2, 0), 7)}, "row 2 has id 7 at step 0"),
    "ids of another type": ("class", lambda r: {"inputs": r.inputs.astype(np.int64)}, "int64; need ids"),
    "no rows": ("class", lambda r: {"inputs": r.inputs[:0]}, "0 sequences"),
    "no steps": ("class", lambda r: {"inputs": r.inputs[:, :0]}, "all sizes at least 1"),
    "length zero": ("class", lambda r: {"lengths": changed(r.lengths, 3, 0)}, "row 3 has 0 steps"),
    "length beyond": ("class", lambda r: {"lengths": changed(r.lengths, 3, 10)}, "row 3 has 10 steps"),
    "length negative": ("class", lambda r: {"lengths": changed(r.lengths, 3, -1)}, "row 3 has -1 steps"),
    "lengths of other rows": ("class", lambda r: {"lengths": r.lengths[:-1]}, r"lengths \(41,\)"),
    "class outside": (
        "class",
        lambda r: {"labels": changed(r.labels, 4, 3)},
        r"row 4 has label 3; must be in \[0, 3\)",
    ),
    "class missing": ("class", lambda r: {"labels": changed(r.labels, 4, -100)}, "row 4 has label -100"),
    "class of a step": ("step_class", lambda r: {"labels": changed(r.labels, (5, 0), 9)}, "row 5 has label 9"),
    "labels of another type": ("class", lambda r: {"labels": r.labels.astype(np.int32)}, "int32; need"),
    "no labels": ("class", lambda r: {"labels": None}, "labels=None"),
    "label NaN": ("number", lambda r: {"labels": changed(r.labels, 1, np.nan)}, "NaN or infinity"),
    "too few rates": ("class", lambda r: {"learning_rates": np.ones(8)}, r"must be \(9,\)"),
    "rate NaN": ("class", lambda r: {"learning_rates": np.full(9, np.nan)}, "finite"),
    "no batch": ("class", lambda r: {"batch_size": 0}, "batch_size=0: "),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_inputs_are_errors_before_any_step(name: str) -> None:
    target, change, message = INVALID[name]
    rows = Rows(target)
    given = {"inputs": rows.inputs, "lengths": rows.lengths, "labels": rows.labels}
    given |= {"batch_size": 5, "learning_rates": np.full(9, 0.02)}
    fit = NativeTrainer(network(rows), objective(rows), ADAM)
    before = fit.state()
    with pytest.raises(InvalidInputError, match=message) as error:
        fit.train(**given | change(rows))
    assert "\n" not in str(error.value)
    assert fit.state() == before
    fit.train(**given)


def test_values_of_another_width_or_type() -> None:
    rows = Rows(values=True)
    fit = NativeTrainer(network(rows), objective(rows), ADAM)
    for inputs in (rows.inputs[..., :1], rows.inputs[..., 0], rows.inputs.astype(np.int64)):
        with pytest.raises(InvalidInputError, match=r"need float values \(sequences, steps, 2\)"):
            fit.evaluate(inputs, rows.lengths, rows.labels)


def test_weights_that_are_not_finite() -> None:
    for value in (torch.nan, torch.inf):
        model = network(Rows())
        with torch.no_grad():
            model.classifier.weight[0, 0] = value
        with pytest.raises(InvalidInputError, match="have NaN or infinity"):
            NativeTrainer(model, objective(Rows()), ADAM)


def test_sizes_beyond_the_machine() -> None:
    rows = Rows()
    fit = NativeTrainer(network(rows), objective(rows), ADAM)
    inputs = np.lib.stride_tricks.as_strided(np.ones(1, np.uint8), (1, 2**40), (0, 0))
    with pytest.raises((MemoryError, InvalidInputError)):
        fit.evaluate(inputs, np.ones(1, np.int64), np.zeros(1, np.int64))


def test_metrics_of_diverging_training_are_not_finite() -> None:
    rows = Rows()
    fit = NativeTrainer(network(rows), objective(rows), OptimizerSettings(name="sgd", weight_decay=10))
    metrics = fit.train(rows.inputs, rows.lengths, rows.labels, 5, np.full(9, 1e38))
    assert not np.isfinite(metrics[-2:, 2]).any()


def test_unsupported_models(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    assert unsupported_reason(network(rows), objective(rows)) is None
    for model, message in (
        (network(rows, inputs="embedding", embedding_size=2), "embeddings"),
        (network(rows, pooling="mean"), "pooling='mean'"),
        (network(rows, num_hidden_layers=2, dropout=0.5), "dropout"),
        (network(rows, outputs=4), "4 outputs, not 3"),
        (network(rows).bfloat16(), "float32 or float64"),
        (network(Rows("step_class")), "RecurrentForTokenClassification does not have the target 'class'"),
        (nn.Linear(1, 1), "Linear is not a recurrent model"),
    ):
        assert message in (unsupported_reason(model, objective(rows)) or "")
        with pytest.raises(InvalidConfigError, match="cannot be trained natively"):
            NativeTrainer(model, objective(rows), ADAM)
    frozen = network(rows)
    next(frozen.parameters()).requires_grad_(False)
    assert unsupported_reason(frozen, objective(rows)) == "some weights have requires_grad=False"
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    assert unsupported_reason(network(rows), objective(rows)) == "turned off by SEQHUB_KERNELS=0"


def test_invalid_settings() -> None:
    for make in (
        lambda: Objective(target="classes", outputs=2),  # type: ignore[arg-type]
        lambda: Objective(target="number", outputs=2),
        lambda: OptimizerSettings(name="lion"),  # type: ignore[arg-type]
        lambda: OptimizerSettings(betas=(0.9, 1.0)),
        lambda: OptimizerSettings(momentum=-1),
        lambda: ErrorRate(0.0, 0.1),
        lambda: ErrorRate(0.1, 2.0),
    ):
        with pytest.raises(InvalidConfigError):
            make()


def test_weights_are_only_written_to_models_with_the_same_shapes() -> None:
    rows = Rows()
    with pytest.raises(InvalidInputError, match="other shapes"):
        NativeTrainer(network(rows), objective(rows), ADAM).write_to(network(rows, hidden_size=6))
