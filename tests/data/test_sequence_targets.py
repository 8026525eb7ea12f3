"""Targets that are sequences: tables, loaders, the data collator and their tokenizer."""

from typing import Any

import pyarrow as pa
import pytest
import torch

from seqhub.data.arrow import rows_table, schema_of
from seqhub.data.collate import collate_table, to_tensors
from seqhub.data.data_collator import DataCollator
from seqhub.data.loader import DatasetLoader, StreamLoader
from seqhub.data.source import DataSource
from seqhub.data.tokenizers import get_tokenizer, tokenizer_of
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.schema import NO_LABEL, TaskSchema
from seqhub.tasks.splits import Split
from seqhub.tasks.vocabulary import Vocabulary

TASK = "reverse_words/short"
LETTERS = Vocabulary("abc")
SCHEMA = TaskSchema(vocabulary=LETTERS, target="sequence", target_vocabulary=LETTERS, max_target=3)
TABLE = pa.table({"text": ["ab", "cba"], "target": ["c", "aab"]})


def test_a_batch_has_the_target_with_its_end_and_what_the_decoder_reads() -> None:
    batch = to_tensors(collate_table(TABLE, SCHEMA), 4)
    assert batch["input_ids"].tolist() == [[1, 2, 0, 0], [3, 2, 1, 0]]
    assert batch["labels"].tolist() == [[3, 4, NO_LABEL, NO_LABEL], [1, 1, 2, 4]]
    assert batch["decoder_input_ids"].tolist() == [[0, 3, 0, 0], [0, 1, 1, 2]]
    collated = DataCollator(SCHEMA)(TABLE.to_pylist())
    assert collated.keys() == batch.keys()
    assert torch.equal(collated["labels"], batch["labels"])
    assert torch.equal(collated["decoder_input_ids"], batch["decoder_input_ids"])
    assert DataCollator(SCHEMA)([{"text": "ab"}]).keys() == {"input_ids", "attention_mask"}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "target of row 1: empty sequence"),
        ("abca", "target of row 1: 4 symbols; must be at most 3"),
        ("abx", "target of row 1: symbol 'x' at position 2 of 'abx'"),
        (5, "target of row 1: int; need a text"),
        (None, "no target in row 1"),
    ],
)
def test_invalid_targets_are_errors_with_their_row(target: Any, message: str) -> None:
    rows = [{"text": "a", "target": "b"}, {"text": "a", "target": target}]
    with pytest.raises(InvalidInputError, match=message) as error:
        DataCollator(SCHEMA)(rows)
    assert "\n" not in str(error.value)
    if not isinstance(target, int):
        table = pa.table({"text": ["a", "a"], "target": pa.array(["b", target], pa.string())})
        with pytest.raises(InvalidInputError, match=message):
            collate_table(table, SCHEMA)


def test_batches_of_a_table_and_of_a_stream_have_the_rows_of_the_task() -> None:
    split = Split(TASK)
    rows = split.examples(next(split.batches(0, 96)))
    table = rows_table(split, 0, 96)
    assert table.schema == schema_of(split.schema)
    assert table.to_pylist() == [{"text": text, "target": target} for text, target in rows]
    loaders = (DatasetLoader(table, split.schema, 32, shuffle=False), StreamLoader(TASK, batch_size=32))
    for loader in loaders:
        texts = []
        for number, batch in enumerate(loader):
            if number == 3:
                break
            labels = batch["labels"]
            assert (labels != NO_LABEL).any(dim=0).all()  # as wide as the longest target with its end
            assert (labels == split.schema.end_id).sum(dim=1).tolist() == [1] * 32
            kept = labels.masked_fill((labels == NO_LABEL) | (labels == split.schema.end_id), 0)
            texts += split.task.decode_batch(kept.numpy())
        assert texts == [target for _, target in rows]


def test_slices_of_processes_equal_the_batch_of_one() -> None:
    whole = next(iter(StreamLoader(TASK, batch_size=7)))
    parts = [next(iter(StreamLoader(TASK, batch_size=7, rank=rank, world_size=3))) for rank in range(3)]
    for name, tensor in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), tensor), name


def test_the_tokenizer_has_the_end_and_texts_are_encoded_without_it() -> None:
    tokenizer = get_tokenizer(TASK)
    split = Split(TASK)
    assert tokenizer.eos_token_id == split.schema.end_id
    text = split[0].inputs
    ids = tokenizer(text)["input_ids"]
    assert ids == split.schema.vocabulary.encode(text)
    assert tokenizer.decode([0, *ids, tokenizer.eos_token_id, 0], skip_special_tokens=True) == text
    letters = tokenizer_of(SCHEMA)
    assert letters.decode([0, 3, 1, 4], skip_special_tokens=True) == "ca"
    assert tokenizer_of(TaskSchema(vocabulary=LETTERS, labels=("x", "y"))).eos_token is None


def test_a_source_has_an_identity_and_statistics() -> None:
    one, other = (DataSource(TASK) for _ in range(2))
    assert one.identity == other.identity
    statistics = one.statistics
    assert statistics["majority"]["target"] in one.task.definition.symbols
    assert statistics["length"] == [2, 10]


@pytest.mark.parametrize(
    "settings",
    [
        {"vocabulary": LETTERS, "target": "sequence"},
        {"vocabulary": LETTERS, "target": "sequence", "target_vocabulary": LETTERS},
        {"vocabulary": LETTERS, "labels": ("x", "y"), "target_vocabulary": LETTERS, "max_target": 2},
        {"vocabulary": LETTERS, "target": "sequence", "target_vocabulary": Vocabulary("xy"), "max_target": 2},
    ],
)
def test_inconsistent_schemas_are_errors(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigError, match=r"a TaskSchema needs .*vocabulary"):
        TaskSchema(**settings)


def test_outputs_of_a_batch_are_limited() -> None:
    assert SCHEMA.num_outputs(100) == (3 + 1) * 5
    assert SCHEMA.head == "seq2seq"
    assert SCHEMA.columns == ("text", "target")
    assert SCHEMA.loss_unit == "nats"
