"""Validation of `RecurrentConfig` and conversion to JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.models.recurrent.configuration_recurrent import RecurrentConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "rnn_relu", "initialization": "forget_bias"}, "initialization='forget_bias' .*, got cell='rnn_relu'"),
        ({"cell": "rnn_tanh", "initialization": "chrono", "chrono_max_steps": 9}, "gru.*lstm.*, got cell='rnn_tanh'"),
        ({"cell": "lstm", "initialization": "identity"}, "needs cell 'rnn_tanh' or 'rnn_relu', got cell='lstm'"),
        ({"initialization": "chrono"}, "needs chrono_max_steps >= 3, got chrono_max_steps=None"),
        ({"initialization": "chrono", "chrono_max_steps": 2}, "needs chrono_max_steps >= 3, got chrono_max_steps=2"),
        ({"chrono_max_steps": 9}, "chrono_max_steps is only for .*'chrono', .* initialization='default'"),
        ({"inputs": "values"}, "inputs='values' needs num_features >= 1, got num_features=None"),
        ({"num_features": 2}, "num_features is only for inputs='values', got num_features=2 with inputs='one_hot'"),
        ({"inputs": "embedding", "embedding_size": 0}, "needs embedding_size >= 1, got embedding_size=0"),
        ({"embedding_size": 2}, "embedding_size is only for inputs='embedding'"),
        ({"hidden_size": 0}, "hidden_size must be >= 1, got 0"),
        ({"num_hidden_layers": -1}, "num_hidden_layers must be >= 1, got -1"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"dropout": float("nan")}, r"dropout must be in \[0, 1\), got nan"),
        ({"forget_bias": float("inf")}, "forget_bias must be finite, got inf"),
        ({"latch": float("nan")}, "latch must be finite, got nan"),
        ({"latch": 1.0, "cell": "rnn_tanh"}, "latch is a weight .* 'gru' or 'lstm', got 1.0 with cell='rnn_tanh'"),
        ({"input_gate_bias": 1.0}, "needs cell='lstm' and .*'forget_bias', got cell='lstm' and .*='default'"),
        (
            {"input_gate_bias": 1.0, "cell": "gru", "initialization": "forget_bias"},
            "needs cell='lstm' and initialization='forget_bias', got cell='gru'",
        ),
        ({"input_gate_bias": float("inf"), "initialization": "forget_bias"}, "input_gate_bias must be finite, got inf"),
        ({"vocab_size": 1}, "vocab_size must be >= 2, got 1"),
        ({"pad_token_id": 9}, r"pad_token_id must be None or in \[0, 9\), got 9"),
        ({"model_type": "bert"}, "model_type='bert': must be 'seqhub_recurrent'"),
    ],
)
def test_inconsistent_fields_are_errors_of_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        RecurrentConfig(**settings)
    assert "\n" not in str(error.value)


@given(
    st.fixed_dictionaries(
        {
            "cell": st.sampled_from(["rnn_tanh", "rnn_relu", "gru", "lstm"]),
            "hidden_size": st.integers(1, 300),
            "num_hidden_layers": st.integers(1, 4),
            "bidirectional": st.booleans(),
            "dropout": st.one_of(st.just(0), st.floats(0, 1, exclude_max=True)),
            "pooling": st.sampled_from(["last", "mean", "max"]),
            "vocab_size": st.integers(2, 300),
            "pad_token_id": st.sampled_from([None, 0, 1]),
            "num_labels": st.integers(1, 5),
            "problem_type": st.sampled_from([None, "regression"]),
        }
    )
)
def test_config_to_json_and_back(settings):
    config = RecurrentConfig(**settings)
    again = RecurrentConfig.from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()
    for name, value in settings.items():
        assert getattr(again, name) == value
    assert again.output_size == settings["hidden_size"] * (1 + settings["bidirectional"])


def test_settings_of_ids_are_ignored_for_values():
    config = RecurrentConfig(inputs="values", num_features=3, vocab_size=1, pad_token_id=7)
    assert config.input_size == 3
