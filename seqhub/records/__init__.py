"""JSON records that each stage writes for the next one; cards, plots and tables are rendered from records only."""

from seqhub.records.bench import BenchRecord
from seqhub.records.dataset import DatasetRecord
from seqhub.records.environment import command_line, environment
from seqhub.records.folders import CHECKPOINT
from seqhub.records.hs97 import PaperRecord
from seqhub.records.run import RunRecord
from seqhub.records.sweep import SweepRecord

__all__ = [
    "CHECKPOINT",
    "BenchRecord",
    "DatasetRecord",
    "PaperRecord",
    "RunRecord",
    "SweepRecord",
    "command_line",
    "environment",
]
