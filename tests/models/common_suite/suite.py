"""Common model tests of transformers for every preset. Runs inside its source tree, where run.py copies it."""

import unittest

import torch
from transformers import PreTrainedConfig
from transformers.models.auto import modeling_auto

from seqhub.models import registry
from seqhub.models.registry import HEADS, build_config, family_of, list_heads, list_presets

from ...test_configuration_common import ConfigTester
from ...test_modeling_common import ModelTesterMixin, ids_tensor

# The mixin selects labels by these tables of names, not by registered classes. Without an entry, loss tests run without
# labels and test nothing.
TABLES = {
    "base": modeling_auto.MODEL_MAPPING_NAMES,
    "sequence": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "token": modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
    "causal": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
}


class Tester:
    """A small config and a batch for the mixin."""

    batch_size, seq_length, num_hidden_layers, is_training = 5, 7, 2, True
    hidden_size = 100  # initial weights are then below 0.1, as a test of mismatched shapes requires of their mean

    def __init__(self, preset: str) -> None:
        self.preset = preset

    def get_config(self) -> PreTrainedConfig:
        # An embedding as wide as the states, since the mixin requires equally wide hidden states with a gradient in the
        # first one, and a padding id below 10, to which a test reduces the vocabulary
        return build_config(
            self.preset,
            inputs="embedding",
            embedding_size=self.hidden_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            vocab_size=40,
            num_labels=3,
        )

    def prepare_config_and_inputs_for_common(self):
        ids = ids_tensor([self.batch_size, self.seq_length], 40).clamp(min=1)
        mask = torch.ones_like(ids)
        for row in range(self.batch_size):
            mask[row, self.seq_length - row :] = 0
        return self.get_config(), {"input_ids": ids, "attention_mask": mask}


class CommonTests(ModelTesterMixin):
    preset: str
    has_attentions = False
    test_can_init_all_missing_weights_before_2023 = True  # otherwise files without a copyright year are skipped

    def setUp(self):
        self.model_tester = Tester(self.preset)
        self.config_tester = ConfigTester(
            self,
            type(self.model_tester.get_config()),
            common_properties=["hidden_size", "num_hidden_layers"],
            hidden_size=8,
        )

    def test_config(self):
        self.config_tester.run_common_tests()


class CausalTests(CommonTests):
    """Tests of the causal head, whose embedding cannot be resized because the vocabulary is part of its weights."""

    all_generative_model_classes = ()  # the release has no tests of `generate`; see tests/models/test_causal.py
    test_resize_embeddings = False


for _preset in list_presets("input_ids", head="causal"):
    _classes = {head: registry._load(family_of(_preset), HEADS[head]) for head in list_heads(family_of(_preset))}
    for _head, _class in _classes.items():
        TABLES[_head][_class.config_class.model_type] = _class.__name__
    _causal = (_classes.pop("causal"),)
    for _name, _tests, _models in (("", CommonTests, tuple(_classes.values())), ("_causal", CausalTests, _causal)):
        _name = f"Test_{_preset}{_name}"
        _fields = {"preset": _preset, "all_model_classes": _models}
        globals()[_name] = type(_name, (_tests, unittest.TestCase), _fields)
