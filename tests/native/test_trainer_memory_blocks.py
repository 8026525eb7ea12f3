"""Native training of memory cell blocks compared with the model in torch and torch.optim."""

import itertools
from typing import Any

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.experiments.hs97.recipes import AS_WRITTEN, CHANGED
from seqhub.native.trainer import ErrorRate, NativeTrainer, OptimizerSettings, unsupported_reason
from tests.helpers.native_cases import BLOCKS, SETS
from tests.native.test_trainer import ADAM, HEADS, METHODS, Rows, changed, check, network, objective

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")

SGD = OptimizerSettings(name="sgd")


def distinct_rows() -> dict[str, dict[str, Any]]:
    """Return networks of the paper and modified ones that differ in more than input and rate, by one task id each."""
    found: dict[str, dict[str, Any]] = {}
    for variant, networks in (("as written", AS_WRITTEN), ("changed", CHANGED)):
        for task_id, row in networks.items():
            settings = row.settings()
            model = {name: settings[name] for name in ("hidden_size", "initialization")} | settings["model_options"]
            if model not in found.values():
                found[f"{task_id} {variant}"] = model
    return found


PAPER = distinct_rows()


@pytest.mark.fast_cases("* as written-baseline")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("name", PAPER)
def test_every_network_of_the_paper_after_each_sequence(name: str, instruction_set: str) -> None:
    options = {"cell": "lstm_hs97", "size": 1, "instruction_set": instruction_set, **PAPER[name]}
    for target, values in (("class", False), ("class", True), ("number", True), ("next_symbol", False)):
        rows = Rows(target, values, count=20)
        check(rows, SGD, double=True, rate=0.5, **options)
        check(rows, SGD, rate=0.5, **options)
    check(Rows(values=True, classes=2), SGD, outputs=1, double=True, rate=1.0, **options)


@pytest.mark.fast_cases("*-baseline")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("target", HEADS)
@pytest.mark.parametrize("variant", BLOCKS)
def test_every_option_and_target(variant: str, target: str, instruction_set: str) -> None:
    options = {"cell": "lstm_hs97", "instruction_set": instruction_set, **BLOCKS[variant]}
    for values, logistic in itertools.product((False, True), (False, True)):
        if values and target == "next_symbol":
            continue
        check(Rows(target, values), ADAM, double=True, logistic_outputs=logistic, **options)
        check(Rows(target, values, count=19), ADAM, rate=0.005, logistic_outputs=logistic, **options)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_optimizer(method: OptimizerSettings) -> None:
    options = {"cell": "lstm_hs97", **BLOCKS["blocks"]}
    check(Rows(), method, double=True, error_rate=ErrorRate(0.9, 0.1), **options)
    check(Rows("number"), method, rate=0.005, **options)


def test_long_sequences() -> None:
    """Sequences have more steps than the readout processes together."""
    for target in ("class", "next_symbol"):
        check(Rows(target, count=5, steps=3_000), SGD, size=1, double=True, cell="lstm_hs97", **BLOCKS["blocks"])


def test_restoring_a_state_is_exact() -> None:
    rows = Rows("next_symbol", count=40)
    fit = NativeTrainer(network(rows, "lstm_hs97", **BLOCKS["many"]), objective(rows), ADAM)
    first, rates = slice(20), np.full(20, 0.02)
    fit.train(rows.inputs[first], rows.lengths[first], None, 1, rates)
    middle = fit.state()
    expected = fit.train(rows.inputs[20:], rows.lengths[20:], None, 1, rates)
    end = fit.state()
    fit.restore(middle)
    np.testing.assert_array_equal(fit.train(rows.inputs[20:], rows.lengths[20:], None, 1, rates), expected)
    assert fit.state() == end
    metrics = fit.evaluate(rows.inputs, rows.lengths, None)
    np.testing.assert_array_equal(fit.evaluate(rows.inputs[7:9], rows.lengths[7:9], None), metrics[7:9])
    assert fit.state() == end


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: {"inputs": changed(r.inputs, (2, 0), 7)}, "row 2 has id 7 at step 0"),
        (lambda r: {"lengths": changed(r.lengths, 3, 0)}, "row 3 has 0 steps"),
        (lambda r: {"lengths": changed(r.lengths, 3, 10)}, "row 3 has 10 steps"),
        (lambda r: {"labels": changed(r.labels, 4, 3)}, r"row 4 has label 3; must be in \[0, 3\)"),
    ],
)
def test_invalid_inputs_are_errors_before_any_step(change: Any, message: str) -> None:
    rows = Rows()
    fit = NativeTrainer(network(rows, "lstm_hs97"), objective(rows), SGD)
    before = fit.state()
    given = {"inputs": rows.inputs, "lengths": rows.lengths, "labels": rows.labels} | change(rows)
    with pytest.raises(InvalidInputError, match=message) as error:
        fit.train(**given, batch_size=1, learning_rates=np.full(42, 0.5))
    assert "\n" not in str(error.value)
    assert fit.state() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradient": "full"}, "gradient='full'"),
        ({"num_hidden_layers": 2}, "one layer in one direction"),
        ({"bidirectional": True}, "one layer in one direction"),
    ],
)
def test_unsupported_settings(settings: dict[str, Any], message: str) -> None:
    rows = Rows()
    model = network(rows, "lstm_hs97", **settings)
    assert message in (unsupported_reason(model, objective(rows)) or "")
    with pytest.raises(InvalidConfigError, match=message):
        NativeTrainer(model, objective(rows), SGD)
