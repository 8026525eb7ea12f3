"""Common model tests of transformers for every preset with real values only; see suite.py."""

import unittest

import torch
from transformers.models.auto import modeling_auto

from seqhub.models import registry
from seqhub.models.registry import build_config, list_heads, list_presets

from ...test_configuration_common import ConfigTester
from ...test_modeling_common import ModelTesterMixin, floats_tensor

STEPS = 6
SETTINGS = {
    "convolutional": {"num_features": 4, "kernel_size": 2},
    "conv_recurrent": {"num_features": 12, "num_hidden_layers": 2, "hidden_size": 8},
    "locally_connected": {"num_steps": STEPS, "num_features": 2, "kernel_size": 4},
    "sequence_autoencoder": {"step_shape": [3], "num_hidden_layers": 2, "hidden_size": 8},
}
# The mixin selects labels by these tables of names, not by registered classes. Without an entry, loss tests run without
# labels and test nothing.
TABLES = {
    "base": modeling_auto.MODEL_MAPPING_NAMES,
    "sequence": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "token": modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
}


def family_of(preset: str) -> str:
    return build_config(preset).model_type.removeprefix("seqhub_")


class Tester:
    """A small config and a batch for the mixin."""

    batch_size, seq_length, is_training = 5, STEPS, True

    def __init__(self, preset: str) -> None:
        self.preset, self.settings = preset, SETTINGS[family_of(preset)]
        self.hidden_size = self.settings.get("hidden_size", 8)
        self.num_hidden_layers = self.settings.get("num_hidden_layers", 1)

    def get_config(self):
        return build_config(self.preset, num_labels=3, **self.settings)

    def prepare_config_and_inputs_for_common(self):
        width = self.settings["step_shape"][0] if "step_shape" in self.settings else self.settings["num_features"]
        mask = torch.ones(self.batch_size, STEPS, dtype=torch.long)
        if "num_steps" not in self.settings:
            for row in range(self.batch_size):
                mask[row, STEPS - row :] = 0
        values = floats_tensor([self.batch_size, STEPS, width])
        return self.get_config(), {"input_values": values, "attention_mask": mask}


class CommonTests(ModelTesterMixin):
    preset: str
    has_attentions = False
    test_resize_embeddings = False
    test_can_init_all_missing_weights_before_2023 = True  # otherwise files without a copyright year are skipped

    def setUp(self):
        self.model_tester = Tester(self.preset)
        self.config_tester = ConfigTester(
            self, type(self.model_tester.get_config()), has_text_modality=False, common_properties=[]
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    # Not applicable to these families; tests/models/test_families.py compares tuples with dictionaries
    _no_states = unittest.skip("The models do not return hidden states: layers are fused, or there is only one.")
    test_hidden_states_output = _no_states(lambda self: None)
    test_model_outputs_equivalence = _no_states(lambda self: None)
    test_retain_grad_hidden_states_attentions = _no_states(lambda self: None)
    _no_vocabulary = unittest.skip("Models of real values have no embedding.")
    test_model_get_set_embeddings = _no_vocabulary(lambda self: None)
    test_load_with_mismatched_shapes = _no_vocabulary(lambda self: None)


for _preset in list_presets("input_values"):
    if _preset in list_presets("input_ids"):
        continue
    _family = family_of(_preset)
    _classes = {head: registry._load(_family, registry.HEADS[head]) for head in list_heads(_family)}
    for _head, _class in _classes.items():
        TABLES[_head][f"seqhub_{_family}"] = _class.__name__
    _fields = {"preset": _preset, "all_model_classes": tuple(_classes.values())}
    globals()[f"Test_{_preset}"] = type(f"Test_{_preset}", (CommonTests, unittest.TestCase), _fields)
