"""Guessing weights: what is found is right by the judge of every model, and what is on the cards is what is measured.

The judge is `metrics.per_example` and the criteria of runs, asked about the same weights in a model of the package.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from seqhub.baselines.random_search import _errors, _illegal, random_guessing
from seqhub.baselines.random_weights import RANGE, UNITS, Networks, num_outputs
from seqhub.data.collate import drawn_columns
from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.evaluation.inference import ModelScorer
from seqhub.metrics.grammar import illegal
from seqhub.records import DatasetRecord
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.splits import Split
from seqhub.tasks.stopping import stopping_rule_of
from seqhub.training.config import TrainConfig
from seqhub.training.model_setup import create_model
from seqhub.training.stopping import Criteria

KINDS = [  # two classes, several, a number, and next symbols; symbols and real values
    "two_sequence/3a-t100-n1",
    "long_lag/2b-p100",
    "long_lag/2c-q50-p50",
    "qrsu/easy",
    "temporal_order_3bit/easy",
    "adding/hs97-t100",
    "long_lag/2a-p10",
    "embedded_reber/hs97",
]
CARDS = Path(__file__).parents[2] / "dataset_scripts" / "cards"
MEASURED = {
    f"{name}/{config}": facts
    for name in list_tasks()
    for config, facts in DatasetRecord.read(CARDS / f"{name}.json").guessing.items()
}


def drawn(task_id: str, seed: int, count: int) -> Networks:
    return Networks.draw(np.random.Generator(np.random.Philox(seed)), count, Split(task_id).schema)


def gentle(task_id: str, count: int) -> Networks:
    """Networks with weights of [-1, 1], whose outputs are not all 0 or 1."""
    networks = drawn(task_id, 0, count)
    parts = (networks.into, networks.across, networks.bias, networks.out, networks.out_bias)
    return Networks(*(part / RANGE for part in parts))


def as_model(networks: Networks, number: int, task_id: str, tmp_path: Path) -> ModelScorer:
    """One of the networks as a model of this package."""
    schema = Split(task_id).schema
    config = TrainConfig(
        task=task_id,
        output_dir=tmp_path,
        model="rnn_tanh",
        hidden_size=UNITS,
        model_options={"logistic_outputs": True},
        single_logit=schema.target == "class" and len(schema.labels) == 2,
    )
    model = create_model(config, schema)
    head = "lm_head" if schema.target == "next_symbol" else "classifier"
    weights = {
        "model.layers.0.recurrence.weight_ih_l0": networks.into.T[number],
        "model.layers.0.recurrence.weight_hh_l0": networks.across.T[number],
        "model.layers.0.recurrence.bias_ih_l0": networks.bias.T[number],
        "model.layers.0.recurrence.bias_hh_l0": np.zeros(UNITS),
        f"{head}.weight": networks.out[..., number],
        f"{head}.bias": networks.out_bias[..., number],
    }
    model.load_state_dict({name: torch.tensor(values, dtype=torch.float32) for name, values in weights.items()})
    return ModelScorer(model, schema)


@pytest.mark.parametrize("task_id", KINDS)
def test_networks_are_judged_as_models_are(task_id, tmp_path):
    networks, split = gentle(task_id, 3), Split(task_id)
    (batch,) = split.batches(0, 20)
    worst, mean = _errors(networks, split, batch)
    for number in range(len(networks)):
        judged = as_model(networks, number, task_id, tmp_path).errors(batch)
        np.testing.assert_allclose(worst[:, number], judged[:, 0], atol=1e-5)
        padded = 1 + 1 / num_outputs(split.schema) if split.schema.target == "next_symbol" else 1
        np.testing.assert_allclose(mean[:, number], judged[:, 1] * padded, atol=1e-5)  # a model's output for it is 0


def test_a_grammar_is_judged_as_models_are(tmp_path, monkeypatch):
    """Of an easier grammar, as nobody guesses the real one: anything but the second symbol may follow."""
    task_id = "embedded_reber/hs97"
    networks, split = gentle(task_id, 40), Split(task_id)
    monkeypatch.setattr(
        type(split.task), "legal", lambda self, text: ["BTPSXVE".replace(text[1], "")] * (len(text) - 1)
    )
    (batch,) = split.batches(0, 30)
    found = _illegal(networks, split, batch).sum(axis=0)
    models = [as_model(networks, number, task_id, tmp_path) for number in range(len(networks))]
    assert found.tolist() == [illegal(split, 30, model) for model in models]
    assert len(set(found.tolist())) > 2


@pytest.mark.parametrize("task_id", ["adding/hs97-t100", "temporal_order_3bit/easy", "long_lag/2c-q50-p50"])
def test_a_network_answers_as_one_written_out(task_id):
    networks, split = gentle(task_id, 3), Split(task_id)
    (batch,) = split.batches(0, 5)
    vocabulary = split.schema.vocabulary
    logits = networks.logits(list(networks.states(drawn_columns(batch, split.schema)))[-1])
    for network in range(3):
        into, across, bias, out, out_bias = (
            part[..., network].tolist()
            for part in (networks.into, networks.across, networks.bias, networks.out, networks.out_bias)
        )
        for row, (inputs, _) in enumerate(split.examples(batch)):
            units = [0.0] * UNITS
            for given in inputs.tolist() if vocabulary is None else vocabulary.split(inputs):
                before, columns = (
                    units,
                    given if vocabulary is None else [float(given == s) for s in vocabulary.symbols],
                )
                units = [
                    math.tanh(
                        bias[unit]
                        + sum(value * weights[unit] for value, weights in zip(columns, into, strict=True))
                        + sum(value * weights[unit] for value, weights in zip(before, across, strict=True))
                    )
                    for unit in range(UNITS)
                ]
            answers = [
                sum(weight * unit for weight, unit in zip(weights, units, strict=True)) + constant
                for weights, constant in zip(out, out_bias, strict=True)
            ]
            assert logits[row, :, network] == pytest.approx(answers, abs=1e-9)


def test_the_same_networks_are_drawn_however_many_at_a_time():
    whole, random = drawn("qrsu/easy", 3, 10), np.random.Generator(np.random.Philox(3))
    for first, count in ((0, 1), (1, 7), (8, 2)):
        part = Networks.draw(random, count, Split("qrsu/easy").schema)
        np.testing.assert_array_equal(part.out_bias, whole[np.arange(first, first + count)].out_bias)
        np.testing.assert_array_equal(part.into, whole[np.arange(first, first + count)].into)
    assert np.abs(whole.into).max() <= RANGE


@pytest.mark.parametrize(
    ("task_id", "guesses"),
    [("two_sequence/3a-t100-n3", [219, 94, 720, 211]), ("two_sequence/3b-t100-n3", [3075, 985, 172, 289])],
)
def test_a_seed_keeps_its_guesses(task_id, guesses):
    """As they were when rows and networks were looked at in other numbers at a time."""
    assert [random_guessing(task_id, seed) for seed in range(4)] == guesses
    assert random_guessing(task_id, 2, trials=guesses[2]) == guesses[2]
    assert random_guessing(task_id, 2, trials=guesses[2] - 1) is None


@pytest.mark.parametrize(
    ("task_id", "seed"), [("two_sequence/3a-t100-n3", 1), ("long_lag/2b-p100", 1), ("long_lag/2c-q200-p200", 0)]
)
def test_what_is_guessed_meets_the_criterion_of_runs_on_fresh_rows(task_id, seed, tmp_path):
    guesses = MEASURED[task_id]["guesses"][MEASURED[task_id]["seeds"].index(seed)]
    stopping_rule = stopping_rule_of(task_id)
    for number, solves in ((guesses - 1, True), (guesses - 2, False)):
        model = as_model(drawn(task_id, seed, guesses), number, task_id, tmp_path)
        criteria, seen = Criteria(task_id, accuracy=1.0, seed=100, stopping_rule=stopping_rule), 0
        for rows in Split(task_id, "train", 100).batches(0, stopping_rule.window):
            errors = model.errors(rows)
            criteria.update(errors[:, 0], errors[:, 1])
            seen += len(rows)
        criteria.check(seen, 0, seen, model)
        assert criteria.met("paper") == solves


def test_it_was_measured_of_every_config_with_a_rule_and_is_measured_again():
    with_rule = [
        f"{name}/{config.name}"
        for name in list_tasks()
        for config in get_task(name).configs
        if get_task(name).stopping_rule(config) is not None
    ]
    assert sorted(MEASURED) == sorted(with_rule)
    for task_id in ("long_lag/2b-p100", "two_sequence/3b-t100-n1", "qrsu/easy", "long_lag/2a-p4"):
        facts = MEASURED[task_id]
        assert (facts["units"], facts["range"]) == (UNITS, RANGE)
        assert random_guessing(task_id, facts["seeds"][1], facts["trials"]) == facts["guesses"][1]


@pytest.mark.parametrize(
    ("task_id", "given", "error", "message"),
    [
        ("adding/urnn-t100", {}, InvalidInputError, "adding/urnn-t100, whose source has no rule for a success"),
        ("square/fixed", {}, InvalidInputError, "no rule for a success"),
        ("embedded_reber/endless", {}, InvalidInputError, "no rule for a success"),
        ("char_completion/custom", {}, InvalidInputError, "no rule for a success"),
        ("two_sequence/3a-t100-n3", {"trials": 0}, InvalidInputError, "0 trials for two_sequence/3a-t100-n3; need 1"),
        ("qrsu/soft", {}, UnknownNameError, "no config of qrsu 'soft'"),
    ],
)
def test_what_cannot_be_guessed_is_refused(task_id, given, error, message):
    with pytest.raises(error, match=message):
        random_guessing(task_id, **given)
