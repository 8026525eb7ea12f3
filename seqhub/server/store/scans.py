"""What scans for pickles found, by content, so that a restart forgets no warning."""

from seqhub.server.store.base import Base


class Scans(Base):
    """The part of the Store that remembers scans."""

    def scan_result(self, content: str, ending: str, scanner: str) -> str | None:
        """What this scanner, named with its version, said of a content under a file's ending; None if nothing."""
        query = "SELECT status FROM scans WHERE content = ? AND ending = ? AND scanner = ?"
        with self.database.reading() as connection:
            row = connection.execute(query, (content, ending, scanner)).fetchone()
            return row[0] if row else None

    def keep_scan_result(self, content: str, ending: str, scanner: str, status: str) -> None:
        """Remember what it said, in place of what another or an earlier one said."""
        with self.database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO scans VALUES (?, ?, ?, ?)", (content, ending, status, scanner))
