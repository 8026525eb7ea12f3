"""Database schema as a list of migrations. A released migration must not be edited."""

import secrets
import sqlite3
from collections.abc import Callable

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.counting import STORED

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, is_org INTEGER NOT NULL,
    full_name TEXT NOT NULL, email TEXT, created INTEGER NOT NULL);       -- times are microseconds since 1970, UTC
CREATE TABLE members (
    org INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    user INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE, role TEXT NOT NULL,
    PRIMARY KEY (org, user)) WITHOUT ROWID;
CREATE INDEX members_user ON members (user, org);
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE, name TEXT NOT NULL,
    role TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, last4 TEXT NOT NULL, repos TEXT NOT NULL,
    created INTEGER NOT NULL, expires INTEGER, last_used INTEGER);
CREATE INDEX tokens_account ON tokens (account);

CREATE TABLE repos (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL,
    owner INTEGER NOT NULL REFERENCES accounts, name TEXT NOT NULL, private INTEGER NOT NULL, gated TEXT NOT NULL,
    sdk TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL, likes INTEGER NOT NULL DEFAULT 0,
    downloads INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    card TEXT NOT NULL DEFAULT '{}', tags TEXT NOT NULL DEFAULT '[]', pipeline_tag TEXT, library TEXT,
    UNIQUE (kind, key));
CREATE INDEX repos_updated ON repos (kind, updated, id);
CREATE INDEX repos_created ON repos (kind, created, id);
CREATE INDEX repos_likes ON repos (kind, likes, id);
CREATE INDEX repos_downloads ON repos (kind, downloads, id);
CREATE INDEX repos_owner ON repos (owner, kind, updated, id);
CREATE TABLE redirects (
    kind TEXT NOT NULL, key TEXT NOT NULL, repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE,
    PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE INDEX redirects_repo ON redirects (repo);
CREATE TABLE tags (
    tag TEXT NOT NULL, repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE, PRIMARY KEY (tag, repo)) WITHOUT ROWID;
CREATE INDEX tags_repo ON tags (repo);
CREATE VIRTUAL TABLE names USING fts5(name, tokenize='trigram');          -- rowid is the repository's
CREATE TABLE likes (
    repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE, created INTEGER NOT NULL,
    PRIMARY KEY (repo, account)) WITHOUT ROWID;
CREATE INDEX likes_account ON likes (account, created);
CREATE TABLE access_requests (
    repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE, status TEXT NOT NULL, fields TEXT NOT NULL,
    created INTEGER NOT NULL, PRIMARY KEY (repo, account)) WITHOUT ROWID;

CREATE TABLE objects (                                                    -- git's objects; packed: how data is kept
    id INTEGER PRIMARY KEY, repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE, oid BLOB NOT NULL,
    kind TEXT NOT NULL, packed INTEGER NOT NULL, base BLOB, data BLOB NOT NULL,
    UNIQUE (repo, oid));
CREATE TABLE lines (                                                      -- a line is one linear history
    id INTEGER PRIMARY KEY, repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE,
    parent INTEGER, fork INTEGER NOT NULL,                                -- forks from `parent` after commit `fork`
    inherits INTEGER NOT NULL);                                           -- 0: its index is complete in itself
CREATE INDEX lines_repo ON lines (repo);
CREATE TABLE commits (
    id INTEGER PRIMARY KEY, repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE, oid BLOB NOT NULL,
    line INTEGER NOT NULL, seq INTEGER NOT NULL, parent BLOB, tree BLOB NOT NULL, author TEXT NOT NULL,
    title TEXT NOT NULL, message TEXT NOT NULL, date INTEGER NOT NULL,    -- seconds
    UNIQUE (repo, oid), UNIQUE (line, seq));
CREATE TABLE refs (
    repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE, ref TEXT NOT NULL,
    target INTEGER NOT NULL REFERENCES commits, tag BLOB, message TEXT, PRIMARY KEY (repo, ref)) WITHOUT ROWID;
CREATE INDEX refs_target ON refs (target);
CREATE TABLE files (                                                      -- what lies at a path from commit to commit
    line INTEGER NOT NULL, path TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER NOT NULL,
    kind INTEGER NOT NULL,                                                -- 0 file, 1 folder, 2 nothing any more
    oid BLOB, size INTEGER NOT NULL, sha256 BLOB, target INTEGER NOT NULL,      -- the commit that put it there
    PRIMARY KEY (line, path, added)) WITHOUT ROWID;
CREATE INDEX files_live ON files (line, path) WHERE removed = 9223372036854775807;
CREATE INDEX files_large ON files (sha256, line) WHERE sha256 IS NOT NULL;

CREATE TABLE blobs (sha256 BLOB PRIMARY KEY, size INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE uploads (
    sha256 BLOB NOT NULL REFERENCES blobs ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE, created INTEGER NOT NULL,
    PRIMARY KEY (sha256, account)) WITHOUT ROWID;
CREATE TABLE purged (
    repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE, sha256 BLOB NOT NULL,
    PRIMARY KEY (repo, sha256)) WITHOUT ROWID;

CREATE TABLE discussions (
    repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE, number INTEGER NOT NULL, title TEXT NOT NULL,
    author TEXT NOT NULL, status TEXT NOT NULL, is_pull_request INTEGER NOT NULL, created INTEGER NOT NULL,
    target TEXT NOT NULL, base INTEGER, merge_commit BLOB, PRIMARY KEY (repo, number)) WITHOUT ROWID;
CREATE TABLE comments (
    id TEXT PRIMARY KEY, repo INTEGER NOT NULL, number INTEGER NOT NULL, place INTEGER NOT NULL, author TEXT NOT NULL,
    kind TEXT NOT NULL, content TEXT NOT NULL, created INTEGER NOT NULL, edited INTEGER NOT NULL,
    hidden INTEGER NOT NULL, extra TEXT NOT NULL,
    FOREIGN KEY (repo, number) REFERENCES discussions ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX comments_place ON comments (repo, number, place);
"""

_SCANS_AND_WAITING = """
CREATE TABLE scans (
    content TEXT NOT NULL, ending TEXT NOT NULL, status TEXT NOT NULL, scanner TEXT NOT NULL,
    PRIMARY KEY (content, ending)) WITHOUT ROWID;
ALTER TABLE uploads ADD COLUMN committed INTEGER NOT NULL DEFAULT 0;      -- 1 once a commit of the account named it
UPDATE uploads SET committed = 1 WHERE sha256 IN (SELECT sha256 FROM files WHERE sha256 IS NOT NULL);
CREATE INDEX uploads_waiting ON uploads (account) WHERE committed = 0;
"""

_UPLOADS_OF_TOKENS = """
CREATE TABLE uploads_by_token (                                           -- token: one that names repositories, else 0
    sha256 BLOB NOT NULL REFERENCES blobs ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE, token INTEGER NOT NULL, created INTEGER NOT NULL,
    committed INTEGER NOT NULL, PRIMARY KEY (sha256, account, token)) WITHOUT ROWID;
INSERT INTO uploads_by_token SELECT sha256, account, 0, created, committed FROM uploads;
DROP TABLE uploads;
ALTER TABLE uploads_by_token RENAME TO uploads;
CREATE INDEX uploads_waiting ON uploads (account) WHERE committed = 0;
CREATE TABLE tokens_once (                                                -- AUTOINCREMENT: an id is never used again
    id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name TEXT NOT NULL, role TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, last4 TEXT NOT NULL, repos TEXT NOT NULL,
    created INTEGER NOT NULL, expires INTEGER, last_used INTEGER);
INSERT INTO tokens_once SELECT id, account, name, role, hash, last4, repos, created, expires, last_used FROM tokens;
DROP TABLE tokens;
ALTER TABLE tokens_once RENAME TO tokens;
CREATE INDEX tokens_account ON tokens (account);
"""

_DAMAGE_AND_COUNTERS = f"""
CREATE TABLE damaged (content BLOB PRIMARY KEY) WITHOUT ROWID;            -- SHA-256 or git id, as fsck found it
UPDATE repos SET bytes = {STORED};
"""

_FILED_AND_UNFINISHED = """
CREATE INDEX objects_filed ON objects (base) WHERE packed = 3;            -- contents that are kept as files
CREATE TABLE unfinished (                                                 -- work in many transactions; gc ends it
    id INTEGER PRIMARY KEY, what TEXT NOT NULL, repo INTEGER NOT NULL, number INTEGER NOT NULL,
    created INTEGER NOT NULL);
"""

_FACETS = """
CREATE INDEX repos_seen ON repos (kind, private, owner);                  -- counts of tags and owners
"""

_RESULTS = """
CREATE TABLE results (                                                    -- of models, as their files on main claim
    repo INTEGER NOT NULL REFERENCES repos ON DELETE CASCADE, file TEXT NOT NULL, place INTEGER NOT NULL,
    dataset TEXT NOT NULL, config TEXT NOT NULL, split TEXT NOT NULL, metric TEXT NOT NULL, title TEXT NOT NULL,
    value REAL NOT NULL, details TEXT NOT NULL, oid BLOB NOT NULL,        -- the commit that claims it
    PRIMARY KEY (repo, file, place)) WITHOUT ROWID;
CREATE INDEX results_dataset ON results (dataset, config, split, metric);
"""


def _fill_results(connection: sqlite3.Connection) -> None:
    from seqhub.server.store.results import fill_results  # it imports the database, which imports this module

    fill_results(connection)


Step = str | Callable[[sqlite3.Connection], None]
STEPS: tuple[Step, ...] = (
    _FIRST,
    _SCANS_AND_WAITING,
    _UPLOADS_OF_TOKENS,
    _DAMAGE_AND_COUNTERS,
    _FILED_AND_UNFINISHED,
    _FACETS,
    _RESULTS,
    _fill_results,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate a database, new or old, to the newest schema in one transaction.

    Raises:
        HubHTTPError: 503 if it was written by a newer seqhub.
    """
    if _version(connection) == len(STEPS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        have = _version(connection)  # read again: another process may have migrated
        if have > len(STEPS):
            raise HubHTTPError(503, f"hub.sqlite3 has schema {have}; this seqhub supports {len(STEPS)}: update seqhub")
        for step in STEPS[have:]:
            if callable(step):
                step(connection)
                continue
            for statement in _statements(step):
                connection.execute(statement)
        if have == 0:
            values = [("secret", secrets.token_bytes(32)), ("instance_id", secrets.token_hex(8).encode())]
            connection.executemany("INSERT INTO meta VALUES (?, ?)", values)
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (len(STEPS),))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection) -> int:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return 0
    return int(connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()[0])


def _statements(script: str) -> list[str]:
    """Split a script into statements, since `executescript` would end the transaction."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
