"""The rows of a run: those it learns from, and those its checks look at."""

from pathlib import Path

from seqhub.data.feed import Feed, StreamFeed, TableFeed, feed_of
from seqhub.data.own import Source
from seqhub.evaluation.loading import quiet_datasets
from seqhub.training.config import SPLITS, STREAM, TrainConfig

_CHECK_BATCH = 1024  # sequences of a check that are looked at before the next ones


def training_rows(config: TrainConfig, source: Source, rank: int = 0, world_size: int = 1) -> Feed:
    """The batches that a run learns from, of which each process takes its slice."""
    if config.data == STREAM:
        return StreamFeed(config.address, "train", config.seed, config.batch_size, rank, world_size)
    if config.file is not None:
        rows = source.table()
    elif config.data == SPLITS:
        from seqhub.data.builder import load_dataset

        with quiet_datasets():
            rows = load_dataset(config.address, split="train")
    else:
        from seqhub.data.export import load_folder

        rows = load_folder(Path(config.data), config.address, "train")
    return TableFeed(
        rows, source.layout, config.batch_size, shuffle=True, seed=config.seed,
        order_seed=config.order_seed, rank=rank, world_size=world_size,
        drop_last=len(rows) % config.batch_size < world_size,
    )  # fmt: skip


def fresh_rows(config: TrainConfig, source: Source, rank: int = 0, world_size: int = 1) -> Feed:
    """What checks look at: other draws than the training's, or all validation rows where they are given."""
    drawn = source.split("validation").size is None
    batch_size = min(_CHECK_BATCH, max(config.evaluate_size, world_size))
    return feed_of(source.split("validation", config.seed if drawn else 0), batch_size, rank, world_size)


def length_of(config: TrainConfig, feed: Feed) -> tuple[int, int]:
    """Sequences that a run presents unless it is solved before, and how many make an epoch, 0 where there is none."""
    if not isinstance(feed, TableFeed):
        return config.max_sequences, 0
    return min(config.max_sequences, config.epochs * feed.rows_per_epoch), feed.rows_per_epoch


def wrong_allowed(config: TrainConfig) -> int:
    """Wrong answers after which a check cannot reach the threshold any more, and ends."""
    return int((1 - config.accuracy) * config.evaluate_size)
