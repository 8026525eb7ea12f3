"""Random search: its results agree with the metrics and criteria of trained models, and with the cards.

The same weights are loaded into a model of seqhub and evaluated by `metrics.per_example` and the stopping criteria.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from seqhub.baselines.random_search import _errors, _illegal, random_guessing
from seqhub.baselines.random_weights import RANGE, UNITS, Networks, num_outputs
from seqhub.data.collate import collate_batch
from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.evaluation.inference import ModelScorer
from seqhub.metrics.grammar import count_illegal
from seqhub.records import DatasetRecord
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.splits import Split
from seqhub.tasks.stopping import stopping_rule_of
from seqhub.training.config import TrainConfig
from seqhub.training.model_setup import create_model
from seqhub.training.stopping import Criteria

TASK_IDS = [  # two classes, several classes, a number, and next symbols; symbols and real values
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
RELEASED = [name for name in list_tasks() if (CARDS / f"{name}.json").is_file()]
MEASURED = {
    f"{name}/{config}": recorded
    for name in RELEASED
    for config, recorded in DatasetRecord.read(CARDS / f"{name}.json").guessing.items()
}


def sample(task_id: str, seed: int, count: int) -> Networks:
    return Networks.sample(np.random.Generator(np.random.Philox(seed)), count, Split(task_id).schema)


def parts_of(networks: Networks) -> tuple[np.ndarray, ...]:
    """Return the weights and biases of networks."""
    return networks.weight_ih, networks.weight_hh, networks.bias, networks.weight_out, networks.bias_out


def with_small_weights(task_id: str, count: int) -> Networks:
    """Return networks with weights in [-1, 1], so that not all outputs are 0 or 1."""
    networks = sample(task_id, 0, count)
    parts = parts_of(networks)
    return Networks(*(part / RANGE for part in parts))


def as_model(networks: Networks, number: int, task_id: str, tmp_path: Path) -> ModelScorer:
    """Return one of the networks as a model of seqhub."""
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
        "model.layers.0.recurrence.weight_ih_l0": networks.weight_ih.T[number],
        "model.layers.0.recurrence.weight_hh_l0": networks.weight_hh.T[number],
        "model.layers.0.recurrence.bias_ih_l0": networks.bias.T[number],
        "model.layers.0.recurrence.bias_hh_l0": np.zeros(UNITS),
        f"{head}.weight": networks.weight_out[..., number],
        f"{head}.bias": networks.bias_out[..., number],
    }
    model.load_state_dict({name: torch.tensor(values, dtype=torch.float32) for name, values in weights.items()})
    return ModelScorer(model, schema)


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_errors_agree_with_the_metrics_of_models(task_id, tmp_path):
    networks, split = with_small_weights(task_id, 3), Split(task_id)
    (batch,) = split.batches(0, 20)
    worst, mean = _errors(networks, split, batch)
    for number in range(len(networks)):
        expected = as_model(networks, number, task_id, tmp_path).errors(batch)
        np.testing.assert_allclose(worst[:, number], expected[:, 0], atol=1e-5)
        padded = 1 + 1 / num_outputs(split.schema) if split.schema.target == "next_symbol" else 1
        np.testing.assert_allclose(
            mean[:, number], expected[:, 1] * padded, atol=1e-5
        )  # a model has an output for padding, too


def test_illegal_texts_agree_with_the_metrics_of_models(tmp_path, monkeypatch):
    """Use an easier grammar than the real one: any symbol except the second one is legal at every step."""
    task_id = "embedded_reber/hs97"
    networks, split = with_small_weights(task_id, 40), Split(task_id)
    monkeypatch.setattr(
        type(split.task), "legal_next_symbols", lambda self, text: ["BTPSXVE".replace(text[1], "")] * (len(text) - 1)
    )
    (batch,) = split.batches(0, 30)
    found = _illegal(networks, split, batch).sum(axis=0)
    models = [as_model(networks, number, task_id, tmp_path) for number in range(len(networks))]
    assert found.tolist() == [count_illegal(split, 30, model) for model in models]
    assert len(set(found.tolist())) > 2


@pytest.mark.parametrize("task_id", ["adding/hs97-t100", "temporal_order_3bit/easy", "long_lag/2c-q50-p50"])
def test_logits_agree_with_a_plain_loop(task_id):
    networks, split = with_small_weights(task_id, 3), Split(task_id)
    (batch,) = split.batches(0, 5)
    vocabulary = split.schema.vocabulary
    logits = networks.logits(list(networks.states(collate_batch(batch, split.schema)))[-1])
    for network in range(3):
        weight_ih, weight_hh, bias, weight_out, bias_out = (part[..., network].tolist() for part in parts_of(networks))
        for row, (inputs, _) in enumerate(split.examples(batch)):
            units = [0.0] * UNITS
            for step in inputs.tolist() if vocabulary is None else vocabulary.split(inputs):
                before, columns = (
                    units,
                    step if vocabulary is None else [float(step == s) for s in vocabulary.symbols],
                )
                units = [
                    math.tanh(
                        bias[unit]
                        + sum(value * weights[unit] for value, weights in zip(columns, weight_ih, strict=True))
                        + sum(value * weights[unit] for value, weights in zip(before, weight_hh, strict=True))
                    )
                    for unit in range(UNITS)
                ]
            expected = [
                sum(weight * unit for weight, unit in zip(weights, units, strict=True)) + constant
                for weights, constant in zip(weight_out, bias_out, strict=True)
            ]
            assert logits[row, :, network] == pytest.approx(expected, abs=1e-9)


def test_the_stream_of_networks_does_not_depend_on_the_number_sampled_at_a_time():
    whole, random = sample("qrsu/easy", 3, 10), np.random.Generator(np.random.Philox(3))
    for first, count in ((0, 1), (1, 7), (8, 2)):
        part = Networks.sample(random, count, Split("qrsu/easy").schema)
        np.testing.assert_array_equal(part.bias_out, whole[np.arange(first, first + count)].bias_out)
        np.testing.assert_array_equal(part.weight_ih, whole[np.arange(first, first + count)].weight_ih)
    assert np.abs(whole.weight_ih).max() <= RANGE


@pytest.mark.parametrize(
    ("task_id", "guesses"),
    [("two_sequence/3a-t100-n3", [219, 94, 720, 211]), ("two_sequence/3b-t100-n3", [3075, 985, 172, 289])],
)
def test_the_number_of_guesses_of_a_seed_does_not_change(task_id, guesses):
    """The result must not depend on the number of rows and networks evaluated at a time."""
    assert [random_guessing(task_id, seed) for seed in range(4)] == guesses
    assert random_guessing(task_id, 2, trials=guesses[2]) == guesses[2]
    assert random_guessing(task_id, 2, trials=guesses[2] - 1) is None


@pytest.mark.parametrize(
    ("task_id", "seed"), [("two_sequence/3a-t100-n3", 1), ("long_lag/2b-p100", 1), ("long_lag/2c-q200-p200", 0)]
)
def test_a_solution_meets_the_stopping_criterion_of_runs_on_new_rows(task_id, seed, tmp_path):
    guesses = MEASURED[task_id]["guesses"][MEASURED[task_id]["seeds"].index(seed)]
    stopping_rule = stopping_rule_of(task_id)
    for number, solves in ((guesses - 1, True), (guesses - 2, False)):
        model = as_model(sample(task_id, seed, guesses), number, task_id, tmp_path)
        criteria, seen = Criteria(task_id, accuracy=1.0, seed=100, stopping_rule=stopping_rule), 0
        for rows in Split(task_id, "train", 100).batches(0, stopping_rule.window):
            errors = model.errors(rows)
            criteria.update(errors[:, 0], errors[:, 1])
            seen += len(rows)
        criteria.check(seen, 0, seen, model)
        assert criteria.met("paper") == solves


def test_every_config_with_a_stopping_rule_has_a_recorded_result_that_can_be_reproduced():
    with_rule = [
        f"{name}/{config.name}"
        for name in RELEASED
        for config in get_task(name).configs
        if get_task(name).stopping_rule(config) is not None
    ]
    assert sorted(MEASURED) == sorted(with_rule)
    for task_id in ("long_lag/2b-p100", "two_sequence/3b-t100-n1", "qrsu/easy", "long_lag/2a-p4"):
        recorded = MEASURED[task_id]
        assert (recorded["units"], recorded["range"]) == (UNITS, RANGE)
        assert random_guessing(task_id, recorded["seeds"][1], recorded["trials"]) == recorded["guesses"][1]


@pytest.mark.parametrize(
    ("task_id", "given", "error", "message"),
    [
        ("adding/urnn-t100", {}, InvalidInputError, "adding/urnn-t100 has no stopping rule"),
        ("square/fixed", {}, InvalidInputError, "has no stopping rule"),
        ("embedded_reber/endless", {}, InvalidInputError, "has no stopping rule"),
        ("char_completion/custom", {}, InvalidInputError, "has no stopping rule"),
        (
            "two_sequence/3a-t100-n3",
            {"trials": 0},
            InvalidInputError,
            "trials=0: must be at least 1 .two_sequence/3a-t100-n3",
        ),
        ("qrsu/soft", {}, UnknownNameError, "no config of qrsu 'soft'"),
    ],
)
def test_invalid_tasks_and_trials_are_rejected(task_id, given, error, message):
    with pytest.raises(error, match=message):
        random_guessing(task_id, **given)
