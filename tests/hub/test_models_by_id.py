"""Prediction with a model of a Hub, and fine-tuning of it, by its repository id."""

import csv
import io
import json
from pathlib import Path

import pytest

import seqhub
from seqhub.errors import HubError, InvalidInputError
from seqhub.evaluation.predict import predict
from tests.helpers.hub_clients import Client
from tests.helpers.own_files import reviews, write_csv
from tests.helpers.served_hub import a_hub

PROGRAM = """

from seqhub.cli import main
sys.argv[0] = "seqhub"
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
PUSH = "from seqhub.hub.push import push\npush(sys.argv[1], sys.argv[2], private=True)"
TUNE = """
import seqhub
if __name__ == "__main__":
    seqhub.train(data=sys.argv[1], base_model=sys.argv[2], output_dir=sys.argv[3], epochs=1)
    from seqhub.cards.write import write_card
    write_card(Path(sys.argv[3]))
"""


def test_a_model_of_a_hub_predicts_and_is_fine_tuned(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "reviews.csv", ("text", "label"), reviews(80))
    seqhub.train(data=str(file), output_dir=tmp_path / "run", epochs=1, hidden_size=8)
    with a_hub(tmp_path / "hub") as hub:
        client = Client(hub.url, tmp_path / "home", hub.writer)
        client.run(PUSH, tmp_path / "run", "me/reviews-lstm")
        found = client.run(PROGRAM, "predict", "me/reviews-lstm", file)
        lines = list(csv.DictReader(io.StringIO(found)))
        expected = list(predict(tmp_path / "run", file))
        assert [line["prediction"] for line in lines] == [each.value for each in expected]
        client.run(TUNE, file, "me/reviews-lstm", tmp_path / "tuned")
    record = json.loads((tmp_path / "tuned" / "run.json").read_text(encoding="utf-8"))
    assert record["base_model"]["name"] == record["training"]["base_model"] == "me/reviews-lstm"
    assert record["base_model"]["new"] == []
    card = (tmp_path / "tuned" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nbase_model: me/reviews-lstm\n")
    assert "base_model_relation: finetune" in card


def test_neither_a_folder_nor_a_repository(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "reviews.csv", ("text", "label"), reviews(20))
    with pytest.raises(InvalidInputError, match="nowhere is neither a folder nor a repository"):
        predict("nowhere", file)
    with pytest.raises(InvalidInputError, match=r"reviews\.csv is a file"):
        predict(file, file)
    with pytest.raises(HubError, match="me/nowhere"):
        predict("me/nowhere", file)
