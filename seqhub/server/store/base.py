"""Base class of the parts of a store, and conversion of times in the database."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from seqhub.server.store.database import Database
from seqhub.server.store.limits import Limits
from seqhub.server.store.token_uses import TokenUses


@dataclass(frozen=True, slots=True)
class StoreContext:
    """Root folder, limits and database of one store, shared by all its parts."""

    root: Path
    limits: Limits
    database: Database
    token_uses: TokenUses


class StorePart:
    """Part of a store: methods for one subject, based on the shared database and folder."""

    def __init__(self, context: StoreContext) -> None:
        self.context = context
        self.root = context.root
        self.limits = context.limits
        self.database = context.database


def now() -> int:
    """Return the time in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def moment(microseconds: int) -> datetime:
    """Return a time of the database as a datetime in UTC."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
