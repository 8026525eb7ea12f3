"""The networks of 1997, as training builds them."""

from pathlib import Path

import pytest

from seqhub.errors import UnknownNameError
from seqhub.models.registry import build_model
from seqhub.tasks.registry import list_tasks, resolve
from seqhub.training.config import TrainConfig
from seqhub.training.fitting import model_config
from seqhub.training.recipes.hs97 import NETWORKS, network

THERE = [address for address in NETWORKS if address.partition("/")[0] in list_tasks()]


@pytest.mark.parametrize("address", THERE)
def test_a_network_fits_its_task_and_has_the_weights_of_the_paper(address: str, tmp_path: Path) -> None:
    task, config = resolve(address)
    layout = task.layout(config)
    settings = TrainConfig(address=address, output_dir=tmp_path, **network(address).settings())
    model = build_model(model_config(settings, layout), layout.head)
    assert model.num_parameters() == network(address).weights
    recurrence = model.model.layers[0].recurrence
    assert recurrence.weight_ih_l0.abs().max() <= network(address).init_range
    if (biases := model.config.input_gate_bias) is not None:
        assert recurrence.bias_l0[model.config.hidden_size :][: len(biases)].tolist() == biases


def test_other_tasks_have_none() -> None:
    with pytest.raises(UnknownNameError, match="qrsu/easy"):
        network("qrsu/easy")
