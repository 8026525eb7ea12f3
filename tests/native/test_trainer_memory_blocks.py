"""Native training of memory cell blocks, as in 1997, against the plain model and torch.optim."""

import itertools
from typing import Any

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.experiments.hs97.recipes import AS_WRITTEN, CHANGED
from seqhub.native.trainer import ErrorRate, NativeTrainer, OptimizerSettings, unsupported_reason
from tests.helpers.native_cases import BLOCKS, SETS
from tests.native.test_trainer import HEADS, METHODS, PLAIN, Rows, changed, check, network, objective

pytestmark = pytest.mark.skipif(not SETS, reason="the native library was not built")

ONLINE = OptimizerSettings(name="sgd")


def distinct_rows() -> dict[str, dict[str, Any]]:
    """Networks of the paper and changed ones that differ in more than their input and rate, by one address of each."""
    found: dict[str, dict[str, Any]] = {}
    for kind, networks in (("as written", AS_WRITTEN), ("changed", CHANGED)):
        for task_id, row in networks.items():
            settings = row.settings()
            model = {name: settings[name] for name in ("hidden_size", "initialization")} | settings["model_options"]
            if model not in found.values():
                found[f"{task_id} {kind}"] = model
    return found


PAPER = distinct_rows()


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("name", PAPER)
def test_every_network_of_the_paper_after_each_sequence(name: str, instruction_set: str) -> None:
    how = {"cell": "lstm_hs97", "size": 1, "instruction_set": instruction_set, **PAPER[name]}
    for target, values in (("class", False), ("class", True), ("number", True), ("next_symbol", False)):
        rows = Rows(target, values, count=20)
        check(rows, ONLINE, double=True, rate=0.5, **how)
        check(rows, ONLINE, rate=0.5, **how)
    check(Rows(values=True, classes=2), ONLINE, outputs=1, double=True, rate=1.0, **how)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("target", HEADS)
@pytest.mark.parametrize("variant", BLOCKS)
def test_every_option_and_target(variant: str, target: str, instruction_set: str) -> None:
    how = {"cell": "lstm_hs97", "instruction_set": instruction_set, **BLOCKS[variant]}
    for values, logistic in itertools.product((False, True), (False, True)):
        if values and target == "next_symbol":
            continue
        check(Rows(target, values), PLAIN, double=True, logistic_outputs=logistic, **how)
        check(Rows(target, values, count=19), PLAIN, rate=0.005, logistic_outputs=logistic, **how)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_optimizer(method: OptimizerSettings) -> None:
    how = {"cell": "lstm_hs97", **BLOCKS["blocks"]}
    check(Rows(), method, double=True, error_rate=ErrorRate(0.9, 0.1), **how)
    check(Rows("number"), method, rate=0.005, **how)


def test_long_sequences() -> None:
    """More steps than the readout takes at once."""
    for target in ("class", "next_symbol"):
        check(Rows(target, count=5, steps=3_000), ONLINE, size=1, double=True, cell="lstm_hs97", **BLOCKS["blocks"])


def test_a_state_is_gone_back_to_bit_by_bit() -> None:
    rows = Rows("next_symbol", count=40)
    fit = NativeTrainer(network(rows, "lstm_hs97", **BLOCKS["many"]), objective(rows), PLAIN)
    first, rates = slice(20), np.full(20, 0.02)
    fit.train(rows.inputs[first], rows.lengths[first], None, 1, rates)
    middle = fit.state()
    wanted = fit.train(rows.inputs[20:], rows.lengths[20:], None, 1, rates)
    end = fit.state()
    fit.restore(middle)
    np.testing.assert_array_equal(fit.train(rows.inputs[20:], rows.lengths[20:], None, 1, rates), wanted)
    assert fit.state() == end
    judged = fit.evaluate(rows.inputs, rows.lengths, None)
    np.testing.assert_array_equal(fit.evaluate(rows.inputs[7:9], rows.lengths[7:9], None), judged[7:9])
    assert fit.state() == end


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: {"inputs": changed(r.inputs, (2, 0), 7)}, "row 2 has id 7 at step 0"),
        (lambda r: {"lengths": changed(r.lengths, 3, 0)}, "row 3 has 0 steps"),
        (lambda r: {"lengths": changed(r.lengths, 3, 10)}, "row 3 has 10 steps"),
        (lambda r: {"labels": changed(r.labels, 4, 3)}, r"row 4 has label 3; need .* \[0, 3\)"),
    ],
)
def test_one_clear_error_and_nothing_trained(change: Any, message: str) -> None:
    rows = Rows()
    fit = NativeTrainer(network(rows, "lstm_hs97"), objective(rows), ONLINE)
    before = fit.state()
    given = {"inputs": rows.inputs, "lengths": rows.lengths, "labels": rows.labels} | change(rows)
    with pytest.raises(InvalidInputError, match=message) as error:
        fit.train(**given, batch_size=1, learning_rates=np.full(42, 0.5))
    assert "\n" not in str(error.value)
    assert fit.state() == before


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"gradient": "full"}, "gradient 'full'"),
        ({"num_hidden_layers": 2}, "one layer and one direction"),
        ({"bidirectional": True}, "one layer and one direction"),
    ],
)
def test_what_is_trained_by_torch_only(settings: dict[str, Any], wanted: str) -> None:
    rows = Rows()
    model = network(rows, "lstm_hs97", **settings)
    assert wanted in (unsupported_reason(model, objective(rows)) or "")
    with pytest.raises(InvalidConfigError, match=wanted):
        NativeTrainer(model, objective(rows), ONLINE)
