"""The original (1997) networks, as built by training."""

from pathlib import Path

import pytest

from seqhub.errors import UnknownNameError
from seqhub.experiments.hs97.recipes import AS_WRITTEN, CHANGED, network
from seqhub.models.registry import build_model
from seqhub.tasks.registry import resolve
from seqhub.training.config import TrainConfig
from seqhub.training.model_setup import model_config


@pytest.mark.parametrize("as_written", [True, False])
@pytest.mark.parametrize("task_id", AS_WRITTEN)
def test_a_network_fits_its_task_and_has_the_given_number_of_weights(
    task_id: str, as_written: bool, tmp_path: Path
) -> None:
    task, config = resolve(task_id)
    schema, found = task.schema(config), network(task_id, as_written=as_written)
    settings = TrainConfig(task=task_id, output_dir=tmp_path, **found.settings())
    model = build_model(model_config(settings, schema), schema.head)
    assert model.num_parameters() == found.weights
    recurrence = model.model.layers[0].recurrence
    assert recurrence.weight_ih_l0.abs().max() <= found.init_range
    if (biases := model.config.input_gate_bias) is not None:
        biases = biases if isinstance(biases, list) else [biases]
        assert recurrence.bias_l0[-model.config.num_gates :][: len(biases)].tolist() == biases


def test_changed_networks_describe_their_changes_and_keep_the_other_settings() -> None:
    for task_id, written in AS_WRITTEN.items():
        assert not written.changes
        found = network(task_id)
        assert (found != written) == (task_id in CHANGED) == bool(found.changes)
        for name in ("optimizer", "batch_size", "max_grad_norm", "model", "initialization"):
            assert found.settings()[name] == written.settings()[name]


def test_other_tasks_have_no_network() -> None:
    with pytest.raises(UnknownNameError, match="qrsu/easy"):
        network("qrsu/easy")
