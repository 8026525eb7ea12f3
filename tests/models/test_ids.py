"""Model ids: parsing, canonical form, and errors of one line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.models.ids import ModelId
from seqhub.models.registry import build_config, family_of
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe

value = st.one_of(
    st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
values = st.one_of(value, st.lists(value, max_size=3))


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), values, max_size=4))
def test_the_canonical_form_is_parsed_to_the_same_id(options: dict[str, Any]) -> None:
    model = ModelId.of("transformers:mamba", options)
    assert ModelId.parse(str(model)) == model
    assert str(ModelId.parse(str(model))) == str(model)


def test_the_order_and_spelling_of_options_do_not_matter() -> None:
    one = ModelId.parse("lstm?num_hidden_layers=2&hidden_size=64&bidirectional=True")
    assert str(one) == "lstm?bidirectional=true&hidden_size=64&num_hidden_layers=2"
    assert one == ModelId.parse(str(one))


@pytest.mark.parametrize(
    ("text", "scheme", "place", "target", "short"),
    [
        ("lstm", "preset", "", "lstm", "lstm"),
        ("transformers:mamba?hidden_size=8", "transformers", "transformers", "mamba", "mamba"),
        ("hub:me/net@v1", "hub", "hub", "me/net@v1", "net"),
        ("hub:me/net@refs/pr/1", "hub", "hub", "me/net@refs/pr/1", "net"),
        ("nets/delta.py:Delta", "file", "nets/delta.py", "Delta", "Delta"),
        ("torch.nn:LSTM", "module", "torch.nn", "LSTM", "LSTM"),
        ("nets/leaky:leaky_rnn", "family", "nets/leaky", "leaky_rnn", "leaky_rnn"),
    ],
)
def test_parts(text: str, scheme: str, place: str, target: str, short: str) -> None:
    model = ModelId.parse(text)
    assert (model.scheme, model.place, model.target, model.short) == (scheme, place, target, short)


def test_a_folder_is_not_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaky").mkdir()
    monkeypatch.chdir(tmp_path)
    assert ModelId.parse("leaky:leaky_rnn").scheme == "family"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be an id such as"),
        ("transformers:", "must be an id such as"),
        (":mamba", "must be an id such as"),
        ("lstm?", "option '' must be NAME=VALUE"),
        ("lstm?hidden_size", "option 'hidden_size' must be NAME=VALUE"),
        ("lstm?=3", "option '=3' must be NAME=VALUE"),
        ("lstm?a=1&a=2", "option a is given twice"),
    ],
)
def test_text_that_is_not_an_id(text: str, message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message) as caught:
        ModelId.parse(text)
    assert "\n" not in str(caught.value)


def test_options_of_a_preset_are_settings_of_the_run(tmp_path: Path) -> None:
    config = TrainConfig(task="qrsu/easy", output_dir=tmp_path, model="lstm?hidden_size=5&pooling=mean")
    same = TrainConfig(
        task="qrsu/easy", output_dir=tmp_path, model="lstm", hidden_size=5, model_options={"pooling": "mean"}
    )
    assert config == same
    assert config.model_id == "lstm?hidden_size=5&pooling=mean"
    with pytest.raises(InvalidConfigError, match="hidden_size=4: is 5 in the model id lstm"):
        TrainConfig(task="qrsu/easy", output_dir=tmp_path, model="lstm?hidden_size=5", hidden_size=4)
    with pytest.raises(UnknownNameError, match="no setting of model 'lstm' named 'hiden'"):
        build_config("lstm?hiden=3")


def test_options_of_an_id_replace_those_of_the_recipe() -> None:
    settings = recipe("qrsu/hard", "lstm?hidden_size=5")
    assert "hidden_size" not in settings
    assert settings["initialization"] == "chrono"
    assert recipe("qrsu/hard", "transformers:mamba") == recipe("parity/every", "torch.nn:LSTM")


def test_family_of_an_id() -> None:
    assert family_of("transformers:mamba?hidden_size=8") == family_of("a/b.py:Net") == "wrapped"
    with pytest.raises(UnknownNameError, match=r"no model 'lsmt'; known: .*lstm.*transformers:TYPE"):
        family_of("lsmt")
