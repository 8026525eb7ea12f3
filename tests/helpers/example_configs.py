"""One config of the registry for each kind of row, and a small run of each."""

from pathlib import Path

from seqhub.records import RunRecord
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.train import train


def kind(task_id: str) -> str:
    """Return a description of a config's rows: texts or values, the target, fixed or generated."""
    split = Split(task_id)
    vocabulary = split.schema.vocabulary
    inputs = "values" if vocabulary is None else "words" if vocabulary.separator else "texts"
    return f"{inputs}-{split.schema.target}{'' if split.size is None else '-fixed'}"


def _values(task_id: str) -> int:
    """Return the number of values in the longest row."""
    split = Split(task_id)
    return split.config.length[1] * max(1, split.schema.num_features)


TASK_IDS = sorted(
    (f"{name}/{config.name}" for name in list_tasks() for config in get_task(name).configs), key=_values, reverse=True
)
"""All configs of the registry, by decreasing number of values in a row."""

KINDS = dict(sorted({kind(task_id): task_id for task_id in TASK_IDS}.items()))
"""Kind -> its config with the fewest values in a row."""

OF_EACH_TASK = sorted({TASK_IDS[0], *{(each.partition("/")[0], kind(each)): each for each in TASK_IDS}.values()})
"""For each task and kind the config with the fewest values in a row; and the config with the most values."""


def model_for(task_id: str) -> str:
    """Return a preset of recurrent models for the target of a config."""
    models = {"inputs": "lstm_autoencoder", "sequence": "lstm_seq2seq_additive"}
    return models.get(Split(task_id).schema.target, "lstm")


def small_run(task_id: str, folder: Path, **settings: object) -> RunRecord:
    """Train a recurrence of width 4 on 64 sequences, which writes all files of a run."""
    split = Split(task_id)
    model = model_for(task_id)
    given = {"data": "stream" if split.size is None else "splits", "max_sequences": 64, "stop_at": "none"}
    small = {"hidden_size": 4, "evaluate_every": 64, "evaluate_size": 32}
    record = train(TrainConfig(task=task_id, model=model, output_dir=folder, **(given | small | settings)))
    assert record is not None
    return record
