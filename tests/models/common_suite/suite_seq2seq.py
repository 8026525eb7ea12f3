"""Common model tests of transformers for every preset of encoder-decoders; see suite.py.

Ids and real values have classes of their own. The release has no tests of `generate`, which are in
tests/models/test_recurrent_seq2seq.py.
"""

import unittest

import torch
from transformers import PreTrainedConfig
from transformers.models.auto import modeling_auto

from seqhub.models import registry
from seqhub.models.registry import HEADS, build_config, family_of, list_heads, list_presets

from ...test_configuration_common import ConfigTester
from ...test_modeling_common import ModelTesterMixin, floats_tensor, ids_tensor

FEATURES, IDS = 4, 40
# The mixin selects labels by these tables of names, not by registered classes. Without an entry, loss tests run without
# labels and test nothing.
TABLES = {
    "base": modeling_auto.MODEL_MAPPING_NAMES,
    "seq2seq": modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
}


class Tester:
    """A small config and a batch for the mixin."""

    batch_size, seq_length, num_hidden_layers, is_training = 5, 7, 2, True
    hidden_size = 100  # initial weights are then below 0.1, as a test of mismatched shapes requires of their mean

    def __init__(self, preset: str, inputs: str) -> None:
        self.preset, self.inputs = preset, inputs

    def get_config(self) -> PreTrainedConfig:
        # An embedding as wide as the states, since the mixin requires equally wide hidden states
        source = (
            {"inputs": "embedding", "embedding_size": self.hidden_size, "vocab_size": IDS}
            if self.inputs == "input_ids"
            else {"inputs": "values", "num_features": FEATURES}
        )
        return build_config(
            self.preset,
            **source,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_decoder_layers=self.num_hidden_layers,
            decoder_vocab_size=IDS,
        )

    def prepare_config_and_inputs_for_common(self):
        shape = [self.batch_size, self.seq_length]
        mask = torch.ones(shape, dtype=torch.long)
        for row in range(self.batch_size):
            mask[row, self.seq_length - row :] = 0
        source = (
            ids_tensor(shape, IDS).clamp(min=1) if self.inputs == "input_ids" else floats_tensor([*shape, FEATURES])
        )
        target = ids_tensor(shape, IDS).clamp(min=1)
        return self.get_config(), {self.inputs: source, "attention_mask": mask, "decoder_input_ids": target}


class CommonTests(ModelTesterMixin):
    preset: str
    inputs: str
    is_encoder_decoder = True
    has_attentions = False  # of the encoder to itself; cross attentions are in tests/models/test_recurrent_seq2seq.py
    test_resize_embeddings = False  # the vocabulary is part of the weights of the readout
    test_can_init_all_missing_weights_before_2023 = True  # otherwise files without a copyright year are skipped
    all_generative_model_classes = ()

    def setUp(self):
        self.model_tester = Tester(self.preset, self.inputs)
        self.config_tester = ConfigTester(
            self,
            type(self.model_tester.get_config()),
            common_properties=["hidden_size", "num_hidden_layers"],
            hidden_size=8,
        )

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_inputs_embeds_matches_input_ids(self):
        """As in the mixin, which assumes one embedding of source and target; here each has its own."""
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        model = self.all_model_classes[0](config).eval()
        embeds = {
            "inputs_embeds": model.get_input_embeddings()(inputs["input_ids"]),
            "decoder_inputs_embeds": model.base_model.embed_tokens(inputs["decoder_input_ids"]),
            "attention_mask": inputs["attention_mask"],
        }
        with torch.no_grad():
            torch.testing.assert_close(model(**embeds)[0], model(**inputs)[0])


class ValueTests(CommonTests):
    """Tests of models whose source has real values of another width than the states."""

    _values_first = unittest.skip("The first hidden states are the values, which are narrower and have no gradient.")
    test_hidden_states_output = _values_first(lambda self: None)
    test_retain_grad_hidden_states_attentions = _values_first(lambda self: None)
    _no_vocabulary = unittest.skip("Real values have no embedding.")
    test_inputs_embeds = _no_vocabulary(lambda self: None)
    test_inputs_embeds_matches_input_ids = _no_vocabulary(lambda self: None)


for _preset in list_presets(head="seq2seq"):
    _classes = {head: registry._load(family_of(_preset), HEADS[head]) for head in list_heads(family_of(_preset))}
    for _head, _class in _classes.items():
        if _head in TABLES:
            TABLES[_head][_class.config_class.model_type] = _class.__name__
    for _inputs, _tests in (("input_ids", CommonTests), ("input_values", ValueTests)):
        _name = f"Test_{_preset}_{_inputs.removeprefix('input_')}"
        _fields = {"preset": _preset, "inputs": _inputs, "all_model_classes": tuple(_classes.values())}
        globals()[_name] = type(_name, (_tests, unittest.TestCase), _fields)
