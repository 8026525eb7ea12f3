"""What every part of the Store shares."""

import time
from datetime import UTC, datetime
from pathlib import Path

from seqhub.server.store.database import Database
from seqhub.server.store.limits import Limits
from seqhub.server.store.token_uses import TokenUses


class Base:
    """The root folder, its database and its limits."""

    root: Path
    limits: Limits
    database: Database
    token_uses: TokenUses


def now() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
