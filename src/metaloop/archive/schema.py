"""The tables of an archive, their version, and how older versions are brought up to it.

In a file `PRAGMA user_version` holds the version and `PRAGMA application_id` tells an archive from
any other SQLite file; on a server the table `meta` says both. Numbers that are not finite: infinity
is stored as it is, NaN as NULL (SQLite has none). Every table of records has a number that keeps
the order of insertion. JSON columns have sorted keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

Connection = Any  # has `execute(statement, values)`: sqlite3's own, or one of a server

APPLICATION_ID = 0x6D6C6F70  # "mlop"
FORMAT = "metaloop archive"
VERSION = 4

TABLES = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    ended TEXT,
    command TEXT NOT NULL,
    arguments TEXT NOT NULL,              -- JSON
    seed INTEGER NOT NULL,
    budget TEXT NOT NULL,
    status TEXT NOT NULL,
    environment TEXT NOT NULL,            -- JSON: versions, platform, processors
    uid TEXT NOT NULL                     -- the name of the run in whichever archive it is
);
CREATE UNIQUE INDEX runs_uid ON runs (uid);
CREATE TABLE data_sets (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,            -- of content and parts
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    classes INTEGER NOT NULL,
    examples INTEGER NOT NULL,
    parts TEXT NOT NULL,                  -- JSON: part -> class names
    left_out TEXT NOT NULL                -- JSON: reason -> how many
);
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,
    json TEXT NOT NULL,                   -- core.records.to_json
    program TEXT,                         -- source of a generated learner
    behaviour TEXT,                       -- hash of what a generated learner does on probes
    operator TEXT NOT NULL,               -- what made it: catalogue, mutate slot, crossover, ...
    run INTEGER REFERENCES runs (id)
);
CREATE INDEX candidates_behaviour ON candidates (behaviour) WHERE behaviour IS NOT NULL;
CREATE TABLE parents (
    child TEXT NOT NULL REFERENCES candidates (identity),
    position INTEGER NOT NULL,
    parent TEXT NOT NULL REFERENCES candidates (identity),
    PRIMARY KEY (child, position)
);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    number INTEGER NOT NULL,              -- in the order in which the loop thought of them
    work TEXT NOT NULL,                   -- baselines, train, invent, join, judge
    status TEXT NOT NULL,
    asked TEXT NOT NULL,                  -- JSON: what was proposed and why
    answered TEXT NOT NULL DEFAULT '{}',  -- JSON: what came of it, figures of trials apart
    message TEXT NOT NULL DEFAULT '',
    cpu_seconds REAL NOT NULL DEFAULT 0,
    wall_seconds REAL NOT NULL DEFAULT 0,
    started TEXT NOT NULL,
    ended TEXT
);
CREATE INDEX jobs_run ON jobs (run);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    job INTEGER REFERENCES jobs (id),     -- what was done: heads on one net share it
    candidate TEXT NOT NULL REFERENCES candidates (identity),
    data_hash TEXT NOT NULL REFERENCES data_sets (hash),
    status TEXT NOT NULL,
    seed INTEGER NOT NULL,
    rung INTEGER NOT NULL,
    continues INTEGER REFERENCES trials (id),  -- the trial whose trunk this one goes on from
    steps INTEGER NOT NULL DEFAULT 0,
    cpu_seconds REAL NOT NULL DEFAULT 0,
    wall_seconds REAL NOT NULL DEFAULT 0,
    flops REAL,
    message TEXT NOT NULL DEFAULT '',
    started TEXT NOT NULL,
    ended TEXT
);
CREATE INDEX trials_run ON trials (run);
CREATE INDEX trials_candidate ON trials (candidate);
CREATE TABLE curves (
    trial INTEGER NOT NULL REFERENCES trials (id),
    position INTEGER NOT NULL,
    step INTEGER NOT NULL,
    wall_seconds REAL NOT NULL,
    loss REAL,
    value REAL,
    PRIMARY KEY (trial, position)
);
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES trials (id),
    metric TEXT NOT NULL,
    value REAL,
    ci95 REAL,
    episodes INTEGER NOT NULL,
    part TEXT NOT NULL,
    ways INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    norm_policy TEXT NOT NULL,
    list_hash TEXT NOT NULL,
    data_hash TEXT NOT NULL,
    scores_type TEXT CHECK (scores_type IN ('<f4', '<f8')),
    scores BLOB,                          -- one number per episode, little-endian
    ci95_new REAL,                        -- for new classes of the family
    units INTEGER NOT NULL DEFAULT 0,     -- how many classes (or functions) the episodes are of
    unit_scores BLOB                      -- of each unit of an episode: core.packing, float64
);
CREATE INDEX results_trial ON results (trial);
CREATE INDEX results_list ON results (list_hash);
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    decided TEXT NOT NULL,
    winner TEXT NOT NULL REFERENCES candidates (identity),
    loser TEXT NOT NULL REFERENCES candidates (identity),
    part TEXT NOT NULL,
    difference REAL,
    low REAL,
    episodes INTEGER NOT NULL,
    reason TEXT NOT NULL,
    low_new REAL,
    units INTEGER NOT NULL DEFAULT 0,
    certain INTEGER                       -- NULL: nothing was claimed
);
CREATE TABLE openings (
    id INTEGER PRIMARY KEY,
    run INTEGER REFERENCES runs (id),     -- NULL: opened by `evaluate`, outside of any run
    opened TEXT NOT NULL,
    subject TEXT NOT NULL,                -- identity of the candidate or hash of the model file
    purpose TEXT NOT NULL,
    part TEXT NOT NULL,
    ways INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    norm_policy TEXT NOT NULL,
    list_hash TEXT NOT NULL,
    data_hash TEXT NOT NULL,
    metric TEXT,                          -- NULL until the evaluation has ended
    value REAL,
    ci95 REAL,
    episodes INTEGER,
    ci95_new REAL,
    units INTEGER NOT NULL DEFAULT 0,
    metrics TEXT                          -- JSON: what other metrics said of the same episodes
);
CREATE TABLE artefacts (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,             -- image/png
    caption TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE INDEX artefacts_run ON artefacts (run);
CREATE TABLE episode_lists (
    id INTEGER PRIMARY KEY,
    list_hash TEXT NOT NULL UNIQUE,
    episodes INTEGER NOT NULL,
    width INTEGER NOT NULL,               -- units of one episode, -1 where it has fewer
    units BLOB NOT NULL                   -- which: core.packing, int64, episode by episode
);
CREATE TABLE IF NOT EXISTS spent (
    run INTEGER PRIMARY KEY REFERENCES runs (id),
    wall_seconds REAL NOT NULL,
    cpu_seconds REAL NOT NULL             -- of the coordinator and all workers
);
CREATE INDEX candidates_run ON candidates (run);
CREATE INDEX parents_parent ON parents (parent);
CREATE INDEX trials_job ON trials (job);
CREATE INDEX trials_data ON trials (data_hash);
CREATE INDEX trials_continues ON trials (continues);
CREATE INDEX verdicts_run ON verdicts (run);
CREATE INDEX verdicts_winner ON verdicts (winner);
CREATE INDEX verdicts_loser ON verdicts (loser);
CREATE INDEX openings_run ON openings (run);
"""

_SINCE_4 = (
    "spent candidates_run parents_parent trials_job trials_data trials_continues verdicts_run "
)
_SINCE_4 += "verdicts_winner verdicts_loser openings_run runs_uid"

TABLE_NAMES = (
    "meta",
    "runs",
    "data_sets",
    "candidates",
    "parents",
    "jobs",
    "trials",
    "curves",
    "results",
    "verdicts",
    "openings",
    "artefacts",
    "episode_lists",
)

WITHOUT_NUMBER = frozenset(("meta", "parents", "curves", "spent"))  # tables that have no id
ORDERS = {"meta": "key", "parents": "child, position", "curves": "trial, position"}

# What differs between two runs that are otherwise equal: when, how long, where.
TIME_COLUMNS = {
    "runs": frozenset(("started", "ended", "arguments", "environment", "uid")),
    "jobs": frozenset(("cpu_seconds", "wall_seconds", "started", "ended")),
    "trials": frozenset(("cpu_seconds", "wall_seconds", "started", "ended")),
    "curves": frozenset(("wall_seconds",)),
    "verdicts": frozenset(("decided",)),
    "openings": frozenset(("opened",)),
}


def _to_version_2(connection: Connection) -> None:
    """Adds what tells classes apart: the units of episodes, their scores, the second interval."""
    for table, column in (
        ("results", "ci95_new REAL"),
        ("results", "units INTEGER NOT NULL DEFAULT 0"),
        ("results", "unit_scores BLOB"),
        ("verdicts", "low_new REAL"),
        ("verdicts", "units INTEGER NOT NULL DEFAULT 0"),
        ("verdicts", "certain INTEGER"),
        ("openings", "ci95_new REAL"),
        ("openings", "units INTEGER NOT NULL DEFAULT 0"),
    ):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    connection.execute(_statement("episode_lists"))


def _to_version_3(connection: Connection) -> None:
    """Adds what further metrics said of what was seen."""
    connection.execute("ALTER TABLE openings ADD COLUMN metrics TEXT")


def _to_version_4(connection: Connection) -> None:
    """Adds names of runs that hold in every archive, and what removing runs looks for.

    The name of an older run is a hash of how it began, so that all copies of it get the same.
    """
    connection.execute("ALTER TABLE runs ADD COLUMN uid TEXT NOT NULL DEFAULT ''")
    seen: dict[str, int] = {}
    columns = "id, started, command, arguments, seed, budget, environment"
    for row in connection.execute(f"SELECT {columns} FROM runs ORDER BY id").fetchall():
        text = repr([row[name] for name in columns.split(", ")[1:]])
        seen[text] = seen.get(text, 0) + 1
        uid = hashlib.sha256(
            f"{seen[text]} {text}".encode("utf-8", "backslashreplace")
        ).hexdigest()[:32]
        connection.execute("UPDATE runs SET uid = ? WHERE id = ?", (uid, row["id"]))
    for name in _SINCE_4.split():
        connection.execute(_statement(name))


def _statement(name: str) -> str:
    """Returns the statement of `TABLES` that makes a table or an index."""
    made = (each for each in TABLES.split(";") if name in each.partition("(")[0].split())
    return next(made)


# UPGRADES[n] brings version n to n + 1, inside one transaction that also sets the new version.
UPGRADES: dict[int, Callable[[Connection], None]] = {
    1: _to_version_2,
    2: _to_version_3,
    3: _to_version_4,
}


def create_tables(connection: Connection) -> None:
    """Makes all tables in an empty database; the caller holds the transaction."""
    for statement in TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)
    for key, value in (("format", FORMAT), ("schema version", str(VERSION))):
        connection.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (key, value))


def upgrade(connection: Connection, version: int) -> None:
    """Brings the tables from `version` to `VERSION`; the caller holds the transaction."""
    for step in range(version, VERSION):
        UPGRADES[step](connection)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema version'", (str(VERSION),))
