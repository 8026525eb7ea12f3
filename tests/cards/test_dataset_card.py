"""Dataset cards: `datasets` loads the folder by them, and they agree with the record."""

import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from seqhub.cards.dataset_card import render
from seqhub.cards.rendering import file_size
from seqhub.cards.validate import validate
from seqhub.errors import CorruptFileError, InvalidInputError, UnknownNameError
from seqhub.records import DatasetRecord
from tests.cards.test_model_card import assert_tables_are_well_formed, body, leaves, prose
from tests.helpers.run_records import dataset_record, write_parquet


@pytest.fixture(scope="module")
def record() -> DatasetRecord:
    return dataset_record()


@pytest.fixture(scope="module")
def card(record: DatasetRecord) -> str:
    return render(record)


def plain(code: str, *arguments: object) -> None:
    """Run code in a process in which seqhub does not extend `datasets` and the network is off."""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        env=os.environ | {"SEQHUB_NO_HOOK": "1", "HF_HUB_OFFLINE": "1"},
        check=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(record: DatasetRecord, card: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset on disk, with its card."""
    folder = tmp_path_factory.mktemp("built") / "qrsu"
    folder.mkdir()
    write_parquet(record, folder)
    (folder / "README.md").write_text(card)
    record.save(folder)
    return folder


def test_a_folder_loads_by_its_card_with_plain_datasets(folder: Path, tmp_path: Path) -> None:
    plain(
        """
import sys
from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard

folder, cache = sys.argv[1:]
easy = load_dataset(folder, "easy", cache_dir=cache)
assert easy.num_rows == {"train": 24, "validation": 8, "test": 8}, easy.num_rows
assert easy["train"].features["label"].names == ["Q", "R", "S", "U"]
assert len(easy["test"][0]["text"]) in (7, 8)
hard = load_dataset(folder, split="test", cache_dir=cache)
assert 100 <= len(hard[0]["text"]) <= 110
assert sorted(get_dataset_config_names(folder)) == ["easy", "hard"]
assert get_dataset_default_config_name(folder) == "hard"

data = DatasetCard.load(folder + "/README.md").data
configs = MetadataConfigs.from_dataset_card_data(data)
assert configs.get_default_config_name() == "hard"
infos = DatasetInfosDict.from_dataset_card_data(data)
assert infos["easy"].features == easy["train"].features
assert infos["hard"].splits["train"].num_examples == 24
assert "seqhub" not in sys.modules
""",
        folder,
        tmp_path / "cache",
    )


def test_the_metadata_are_what_push_to_hub_would_write(folder: Path, tmp_path: Path) -> None:
    plain(
        """
import sys
from datasets import ClassLabel, DatasetInfo, Features, Value, load_dataset
from datasets.info import DatasetInfosDict
from datasets.splits import SplitDict, SplitInfo
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData

folder, cache = sys.argv[1:]
ours = DatasetCard.load(folder + "/README.md").data
splits = {"train": 24, "validation": 8, "test": 8}

def info(name):  # as in Dataset.push_to_hub
    rows = load_dataset(folder, name, cache_dir=cache)
    sizes = {split: rows[split]._estimate_nbytes() for split in splits}
    return DatasetInfo(
        features=Features({"text": Value("string"), "label": ClassLabel(names=["Q", "R", "S", "U"])}),
        splits=SplitDict({s: SplitInfo(s, num_bytes=sizes[s], num_examples=n) for s, n in splits.items()}),
        download_size=3120, dataset_size=sum(sizes.values()),
    )

theirs = DatasetCardData()
DatasetInfosDict({"easy": info("easy"), "hard": info("hard")}).to_dataset_card_data(theirs)
files = lambda name: {"data_files": [{"split": s, "path": f"{name}/{s}-*"} for s in splits]}
MetadataConfigs({"easy": files("easy"), "hard": files("hard") | {"default": True}}).to_dataset_card_data(theirs)
assert ours.dataset_info == theirs.dataset_info, (ours.dataset_info, theirs.dataset_info)
assert ours.configs == theirs.configs, (ours.configs, theirs.configs)
""",
        folder,
        tmp_path / "cache",
    )


def test_front_matter_and_numbers_are_those_of_the_record(record: DatasetRecord, card: str) -> None:
    validate(card, "dataset")
    data = DatasetCard(card).data
    assert (data.license, data.size_categories, data.task_categories) == (
        "apache-2.0",
        ["n<1K"],
        ["text-classification"],
    )
    values = leaves(asdict(record))
    texts = " ".join(str(value) for value in values if isinstance(value, str))
    for decimal in set(re.findall(r"\d+\.\d+", prose(card))):
        near = [v for v in values if isinstance(v, float) and abs(v - float(decimal)) <= 0.051]
        near += [v for v in values if isinstance(v, int) and abs(v / 1000 - float(decimal)) <= 0.051]  # in kB
        assert near or decimal in texts or decimal == "0.2500", decimal
    for name, content in record.configs.items():
        for split, facts in content["splits"].items():
            sizes = " | ".join([file_size(facts["bytes"]), *(str(facts["labels"][label]) for label in "QRSU")])
            assert f"| {name} | {split} | {facts['rows']} | {facts['mean_length']:.1f} | {sizes} |" in card
            assert f"| {name} | {split} | `{facts['digest']}` |" in card
    assert "| hard (default) | 100 to 110 | 10 to 20 | 50 to 60 |" in card
    assert "| easy | train, test | 0 |" in card


def test_five_examples_are_shown(record: DatasetRecord, card: str) -> None:
    for text, label in record.configs["easy"]["examples"]:
        assert f"| `{text}` | {label} |" in card


def test_tables_are_well_formed_and_no_placeholder_is_left(card: str) -> None:
    assert_tables_are_well_formed(body(card))
    assert not re.search(r"\{\{|\}\}|\{%|None|nan|undefined|TODO|More Information", prose(card))
    assert "\n\n\n" not in card
    assert "Made with seqhub 0.1.0.\n" in card


def test_sections_without_data_are_omitted(record: DatasetRecord, card: str) -> None:
    for section, key in (("Overlap between splits", "overlap"), ("Examples", "examples")):
        assert f"## {section}\n" in card
        bare = {name: content | {key: {}} for name, content in record.configs.items()}
        without = render(dataset_record(configs=bare))
        assert f"## {section}\n" not in without
        assert_tables_are_well_formed(body(without))


GUESSING = {"units": 2, "range": 100.0, "trials": 10_000, "seeds": [0, 3], "guesses": [1_234, None]}


def test_the_guessing_baseline_has_the_sequences_of_the_paper(record: DatasetRecord, card: str) -> None:
    title = "## Random weight guessing baseline\n"
    assert title not in card  # a record without this measurement
    for measured in (["hard"], ["easy", "hard"]):
        configs = {
            name: content | ({"guessing": GUESSING} if name in measured else {})
            for name, content in record.configs.items()
        }
        guessed = render(dataset_record(configs=configs))
        section = guessed.partition(title)[2].partition("\n## ")[0]
        assert guessed.replace(title + section + "\n", "") == card
        assert_tables_are_well_formed(section)
        assert "| config | seed 0 | seed 3 | in the paper |\n" in section
        assert "| hard | 1,234 | none in 10,000 | 31,390 |\n" in section
        assert ("| easy | 1,234 | none in 10,000 | – |\n" in section) == ("easy" in measured)
        assert "2 recurrent tanh units" in section
        assert "[−100, 100]" in section


def test_a_record_with_values_of_another_type_is_an_error(record: DatasetRecord) -> None:
    for key, value in (("guesses", [1, "2"]), ("trials", None), ("seeds", 3)):
        broken = {"hard": record.configs["hard"] | {"guessing": GUESSING | {key: value}}}
        with pytest.raises(CorruptFileError, match=rf"record of qrsu.*: guessing\.hard\.{key}"):
            render(dataset_record(configs=broken))


def test_the_only_config_is_the_default(record: DatasetRecord) -> None:
    card = render(dataset_record(configs={"easy": record.configs["easy"]}))
    assert [config["config_name"] for config in DatasetCard(card).data.configs if config.get("default")] == ["easy"]
    assert 'load_dataset("./qrsu", "easy", split="test")' in card


def test_the_repository_is_the_one_that_was_given(record: DatasetRecord) -> None:
    assert 'load_dataset("ada/numbers", "hard", split="test")' in render(record, repo_id="ada/numbers")
    with pytest.raises(InvalidInputError, match=r"'qrsu'.*namespace/name"):
        render(record, repo_id="qrsu")


def test_a_record_of_an_unknown_config_is_an_error(record: DatasetRecord) -> None:
    with pytest.raises(UnknownNameError, match="no config of qrsu 'soft'; known: easy, normal"):
        render(dataset_record(configs={"soft": record.configs["easy"]}))


def test_the_size_category_counts_all_rows(record: DatasetRecord) -> None:
    for rows, category in ((999, "n<1K"), (1_000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**8, "n>10M")):
        facts = record.configs["easy"]["splits"]["train"] | {"rows": rows}
        card = render(dataset_record(configs={"easy": {"splits": {"train": facts}}}))
        assert DatasetCard(card).data.size_categories == [category]


def test_configs_with_classes_and_with_numbers_share_one_table() -> None:
    """`chirps` has a class as target in one config and a number in the other."""
    splits = {"rows": 10, "digest": "ab" * 32, "bytes": 900, "mean_length": 50.0}
    classes = splits | {"labels": {"rising": 4, "falling": 6}}
    numbers = splits | {"labels": {}, "numbers": [0.1, 0.25, 0.5]}
    card = render(
        dataset_record(
            task="chirps", configs={"direction": {"splits": {"test": classes}}, "onset": {"splits": {"test": numbers}}}
        )
    )
    assert_tables_are_well_formed(body(card))
    assert "| direction | test | 10 | 50.0 | 900 B | 4 | 6 |  |  |  |" in card
    assert "| onset | test | 10 | 50.0 | 900 B |  |  | 0.100 | 0.250 | 0.500 |" in card
    assert "In `direction`: Classes: rising, falling. In `onset`: The target is one number" in card
    assert DatasetCard(card).data.task_categories == ["tabular-classification", "tabular-regression"]
