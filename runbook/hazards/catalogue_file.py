"""The hazards of the file, its folder and disk, and of those who use it meanwhile."""

from __future__ import annotations

from runbook.hazards.definition import definitions

DATABASE = definitions(
    "database",
    (
        "sqlite_too_old",
        "block",
        "SQLite is too old",
        "The migration needs SQLite 3.39 or newer.",
        "Use a Python that is built with a newer SQLite.",
    ),
    (
        "integrity_errors",
        "block",
        "The file is damaged",
        "SQLite's quick_check finds errors; whatever is written may be lost.",
        "Restore a backup, or recover what is readable into a new file.",
    ),
    (
        "hot_journal",
        "block",
        "A transaction was cut off",
        "A rollback journal with the original pages lies beside the file: a writer died. The next "
        "writer will undo its half transaction, so what the file holds now is not the truth.",
        "Open the database once with the application or the sqlite3 shell, then run again.",
    ),
    (
        "wal_left_behind",
        "note",
        "Changes that are still in the write-ahead log",
        "They belong to the database and are read, backed up and migrated with it; a plain copy "
        "of the main file would lose them.",
        "Nothing; never copy the file without its -wal.",
    ),
    (
        "journal_mode_wal",
        "note",
        "Write-ahead logging is on",
        "Readers go on with the old state until the migration commits.",
        "Nothing.",
    ),
    (
        "text_encoding",
        "note",
        "Text is not kept as UTF-8",
        "The hexadecimal digits in slugs follow the database's encoding.",
        "Nothing.",
    ),
    (
        "page_size",
        "note",
        "An unusual page size",
        "Small pages make large tables slower; the migration leaves the page size as it is.",
        "Nothing.",
    ),
    (
        "network_file_system",
        "warn",
        "The file lies on a network file system",
        "Locks are often unreliable there, so another machine might write during the migration.",
        "Migrate a local copy while the application is stopped.",
    ),
    (
        "symbolic_link",
        "note",
        "The path is a symbolic link",
        "The file that it leads to is migrated; the journal lies beside that file.",
        "Check that it is the right file.",
    ),
    (
        "file_not_writable",
        "block",
        "The file cannot be written",
        "Preflight only reads, but the migration could not write.",
        "Grant the right to write to the user who runs the migration.",
    ),
    (
        "folder_not_writable",
        "block",
        "The folder cannot be written",
        "SQLite keeps its journal beside the file; without it there is no transaction.",
        "Grant the right to write to the user who runs the migration.",
    ),
    (
        "disk_space",
        "block",
        "Too little room on the disk",
        "A full disk in the middle costs time, though no data.",
        "Free space, or put the run folder on another disk with --run-dir.",
    ),
    (
        "disk_estimate",
        "note",
        "Room that the run needs on the disk",
        "It is enough; backup, snapshots and the rehearsal's copy are part of the estimate.",
        "Nothing.",
    ),
    (
        "application_id",
        "note",
        "The file says whose it is",
        "Its application_id is set; the migration leaves it as it is.",
        "Nothing.",
    ),
    (
        "user_version",
        "note",
        "The schema has a version number",
        "Its user_version is set, perhaps by another migration tool; this migration keeps its own "
        "ledger and leaves the number as it is.",
        "Tell that tool about the new schema, if it compares.",
    ),
)

ACTIVITY = definitions(
    "activity",
    (
        "write_lock_held",
        "block",
        "Somebody holds the write lock",
        "Another connection is in the middle of a transaction; the migration could not begin.",
        "Stop the application, or wait for the transaction to end.",
    ),
    (
        "being_written",
        "warn",
        "Somebody is writing now",
        "The content changed between two looks. Rows written during the migration are waited "
        "for, but what preflight and rehearsal predict will differ.",
        "Switch the application to maintenance.",
    ),
    (
        "open_elsewhere",
        "warn",
        "Another process has the file open",
        "It may write at any moment, and may go on with the old code after the migration.",
        "Stop the process, or accept it.",
    ),
)
