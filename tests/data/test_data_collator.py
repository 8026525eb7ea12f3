"""Tokenizers and data collator, compared with the batches of the data loaders."""

import pytest
import torch
from torch.utils.data import DataLoader

import seqhub
from seqhub.data.loader import DatasetLoader
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.schema import NO_LABEL, TaskSchema

ROWS = 3  # the number of rows of char_completion


def rows_of(task_id: str) -> list[dict]:
    name, config = task_id.split("/")
    return list(seqhub.load_dataset(name, config, split="test").select(range(ROWS)))


def assert_same(batch: dict, expected: dict) -> None:
    assert batch.keys() == expected.keys()
    for name, tensor in expected.items():
        assert batch[name].dtype == tensor.dtype
        assert torch.equal(batch[name], tensor), name


def loader_batch(task_id: str) -> dict:
    name, config = task_id.split("/")
    rows = seqhub.load_dataset(name, config, split="test").select(range(ROWS))
    schema = get_task(name).schema(seqhub.resolve(task_id)[1])
    return next(iter(DatasetLoader(rows, schema, batch_size=ROWS, shuffle=False)))


# one config for each target and kind of input
IDS = (
    "qrsu/easy", "sentiment/short", "echo/step3-ragged", "char_completion/tutorial", "adding/hs97-t100",
    "square/variable", "ramps/pair", "chirps/onset", "embedded_reber/hs97",
)  # fmt: skip


@pytest.mark.parametrize("task_id", IDS)
def test_batches_equal_batches_of_the_loader(task_id):
    assert_same(seqhub.DataCollator(task_id)(rows_of(task_id)), loader_batch(task_id))


@pytest.mark.parametrize("task_id", [each for each in IDS if seqhub.resolve(each)[0].symbols])
def test_tokenized_rows_give_the_same_batches(task_id):
    tokenizer = seqhub.get_tokenizer(task_id)
    dataset = seqhub.load_dataset(*task_id.split("/"), split="test").select(range(ROWS))
    mapped = dataset.map(lambda rows: tokenizer(rows["text"]), batched=True, remove_columns="text")
    assert_same(seqhub.DataCollator(task_id)(list(mapped)), loader_batch(task_id))


def test_every_text_task_has_a_tokenizer_with_the_ids_of_its_vocabulary():
    for name in list_tasks():
        task = get_task(name)
        for config in task.configs:
            vocabulary, ref = task.schema(config).text_vocabulary, f"{name}/{config.name}"
            if vocabulary is None:
                with pytest.raises(InvalidInputError, match=f"{ref}.*input_values"):
                    seqhub.get_tokenizer(ref)
            else:
                text = vocabulary.separator.join(vocabulary.symbols[:5])
                assert seqhub.get_tokenizer(ref)(text)["input_ids"] == vocabulary.encode(text)


def test_task_name_is_enough_if_configs_agree():
    assert seqhub.get_tokenizer("qrsu").get_vocab() == seqhub.get_tokenizer("qrsu/hard").get_vocab()
    with pytest.raises(InvalidInputError, match=r"long_lag: .*vocabulary.*long_lag/2a-p4"):
        seqhub.get_tokenizer("long_lag")
    with pytest.raises(InvalidInputError, match=r"chirps: .*chirps/direction, chirps/onset"):
        seqhub.DataCollator("chirps")
    assert seqhub.DataCollator("qrsu").schema == seqhub.DataCollator("qrsu/hard").schema


@pytest.mark.parametrize("make", [seqhub.get_tokenizer, seqhub.DataCollator])
@pytest.mark.parametrize("task", ["qrs", "qrsu/herd"])
def test_unknown_tasks_raise_one_line_errors(make, task):
    with pytest.raises(UnknownNameError, match="known: ") as raised:
        make(task)
    assert "\n" not in str(raised.value)


def test_custom_config_has_no_tokenizer_without_its_file():
    with pytest.raises(InvalidInputError, match=r"char_completion/custom.*your file"):
        seqhub.get_tokenizer("char_completion/custom")


def test_works_in_a_torch_data_loader_and_with_torch_format():
    for task_id in ("qrsu/easy", "square/variable"):
        dataset = seqhub.load_dataset(*task_id.split("/"), split="test").select(range(ROWS))
        for rows in (dataset, dataset.with_format("torch")):
            (batch,) = DataLoader(rows, batch_size=ROWS, collate_fn=seqhub.DataCollator(task_id))
            assert_same(batch, loader_batch(task_id))


def test_rows_without_labels_and_a_multiple_of_steps():
    batch = seqhub.DataCollator("qrsu/easy", pad_to_multiple_of=8)([{"text": "BXE"}, {"text": "BXaYaaaaE"}])
    assert batch.keys() == {"input_ids", "attention_mask"}
    assert batch["input_ids"].shape == (2, 16)
    assert batch["attention_mask"].sum(1).tolist() == [3, 9]
    with pytest.raises(InvalidConfigError, match="pad_to_multiple_of=0"):
        seqhub.DataCollator("qrsu", pad_to_multiple_of=0)


def test_padding_of_rows_is_moved_to_the_right():
    batch = seqhub.DataCollator("qrsu")([{"input_ids": [0, 0, 7, 8]}, {"input_ids": [7, 1, 8, 0]}])
    assert batch["input_ids"].tolist() == [[7, 8, 0], [7, 1, 8]]


def test_labels_of_ignored_steps():
    schema = TaskSchema(vocabulary=get_task("qrsu").vocabulary, target="step_class", labels=("a", "b"))
    batch = seqhub.DataCollator(schema)([{"text": "BXE", "labels": [0, None, 1]}, {"text": "B", "labels": [1]}])
    assert batch["labels"].tolist() == [[0, NO_LABEL, 1], [1, NO_LABEL, NO_LABEL]]


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        ("qrsu", [], "no rows"),
        ("qrsu", [{"label": 1}], "columns label; need text or input_ids.*remove_unused_columns=False"),
        ("qrsu", [{}], "no columns; need text or input_ids"),
        ("qrsu", [{"text": "BXE", "label": 0}, {"text": "B?E", "label": 0}], "'[?]' at position 1 of row 1"),
        ("qrsu", [{"text": ""}], "row 0"),
        ("qrsu", [{"text": "BXE"}, {"text": None}], "no text in row 1"),
        ("qrsu", [{"input_ids": [7, 9]}], "input_ids of row 0.*1 to 8"),
        ("qrsu", [{"input_ids": [0, 0]}], "input_ids of row 0"),
        ("qrsu", [{"text": "BXE", "label": 4}], "label of row 0: 4; must be class numbers from 0 to 3, for Q, R, S, U"),
        ("qrsu", [{"text": "BXE", "label": 0.5}], "label of row 0: 0.5"),
        ("qrsu", [{"text": "BXE", "label": 0}, {"text": "BXE"}], "no label in row 1"),
        ("adding", [{"input_values": [[1.0, 2.0], [float("nan"), 0.0]], "label": 0.0}], "row 0, step 1: .*finite"),
        ("adding", [{"input_values": [[1.0]], "label": 0.0}], "row 0: must be one or more steps of 2 numbers"),
        ("adding", [{"input_values": [[1.0, 0.0], [1.0]], "label": 0.0}], "row 0: must be one or more steps of 2"),
        ("adding", [{"text": "a", "label": 0.0}], "columns text, label; need input_values"),
        ("adding", [{"input_values": [[1.0, 2.0]], "label": "much"}], "label of row 0: much"),
        ("echo", [{"text": "1", "labels": [0, 1]}], "labels of row 0: 2; must be one for each of 1 steps"),
    ],
)
def test_invalid_rows_raise_one_line_errors(task, rows, message):
    with pytest.raises(InvalidInputError, match=message) as raised:
        seqhub.DataCollator(task)(rows)
    assert "\n" not in str(raised.value)
