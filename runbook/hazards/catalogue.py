"""Every hazard that preflight knows: its code, level, meaning and what to do about it.

Those of data and schema stand here, those of the file and of activity in `catalogue_file`. The
level is the strictest that the hazard can have; a probe may find a milder one where the plan has
already answered the question (rows without an owner under `policy = "adopt"`). `docs/hazards.md`
is generated from this list.
"""

from __future__ import annotations

from runbook.hazards.catalogue_d1 import D1
from runbook.hazards.catalogue_file import ACTIVITY, DATABASE
from runbook.hazards.definition import Definition, definitions

_DATA = definitions(
    "data",
    (
        "keys_null",
        "block",
        "Users without a key",
        "A NULL key identifies nobody: no row can belong to it, and no organization can be made.",
        "Give these users a key, or delete them.",
    ),
    (
        "keys_doubled",
        "block",
        "Users who share a key",
        "Two users with one key would need two organizations with one id.",
        "Keep one of them, or give the other a key of its own.",
    ),
    (
        "keys_mixed",
        "block",
        "User keys of different storage classes",
        "SQLite keeps text, integers and blobs apart even where they look alike, so ids made from "
        "such keys could meet, and references could miss.",
        "Convert the keys to one storage class.",
    ),
    (
        "keys_real",
        "block",
        "User keys that are floating-point numbers",
        "A floating-point number has several spellings and loses digits: it cannot be written "
        "into an id and found again with certainty.",
        "Convert the keys to integers or text.",
    ),
    (
        "keys_blank",
        "warn",
        "Users with a blank key",
        "An empty key or one of spaces only is almost always a mistake; its organization would "
        "be called org- and nothing more.",
        "Give these users a real key, or accept it.",
    ),
    (
        "keys_differ_by_case",
        "warn",
        "Users whose keys differ only in case",
        "They are two users to the migration and get two organizations; if they are one person, "
        "the rows of that person are torn apart.",
        "Look at them, and merge those that are one.",
    ),
    (
        "emails_missing",
        "note",
        "Users without an e-mail",
        "Their organization is called Personal Workspace.",
        "Fill in the e-mail before the migration if the name matters.",
    ),
    (
        "emails_without_name",
        "note",
        "E-mails with nothing before an @",
        "No name can be taken from them; the organization is called Personal Workspace.",
        "Correct the e-mail before the migration if the name matters.",
    ),
    (
        "emails_doubled",
        "note",
        "E-mails that several users share",
        "Their organizations bear the same name (ids and slugs still differ).",
        "Correct the e-mails if two users are one person.",
    ),
    (
        "owners_null",
        "block",
        "Rows without an owner",
        "They belong to nobody, so no personal organization can receive them.",
        'Set the owner, delete the rows, or give them to one user with [unowned] policy = "adopt".',
    ),
    (
        "owners_dangling",
        "block",
        "Rows whose owner does not exist",
        "They name a user who is not there; an organization made from that name would not exist.",
        "Correct the owner, delete the rows, or give them to one user with [unowned] policy ="
        ' "adopt".',
    ),
    (
        "owners_converted",
        "block",
        "Owners that match a user only by type conversion",
        "The owner and the key are of different storage classes: whether they are equal depends "
        "on the query, and the ids made from each of them would differ.",
        "Store the owner exactly as the key is stored.",
    ),
    (
        "owners_other_case",
        "block",
        "Owners that match a user only in another case or without spaces",
        "To the database this is another key; whether the same user is meant, only a person knows.",
        "Spell the owner exactly as the key is spelled.",
    ),
    (
        "adopter_missing",
        "block",
        "The adopter is no user",
        "Rows without an owner are to go to a user who does not exist.",
        "Name the key of an existing user under [unowned].",
    ),
    (
        "updated_at_mixed",
        "block",
        "A time of last change in several formats",
        "The migration writes one format; which one the application expects cannot be seen.",
        "Set updated_at_format in the plan, or leave out updated_at to leave the column alone.",
    ),
    (
        "updated_at_unknown",
        "block",
        "A time of last change in an unknown format",
        "The migration would write a time that the application may not be able to read.",
        "Set updated_at_format in the plan, or leave out updated_at to leave the column alone.",
    ),
    (
        "updated_at_stored_otherwise",
        "block",
        "A format that the column cannot hold",
        "The column's declared type turns what the plan wants written into something else, or "
        "refuses it.",
        "Choose an updated_at_format of the column's own kind, or leave out updated_at.",
    ),
    (
        "updated_at_future",
        "warn",
        "Times of last change that lie in the future",
        "A wrong clock or a local time in a column read as UTC; after the migration these rows "
        "will seem to have been changed earlier than before.",
        "Look at where they come from, and correct or accept them.",
    ),
    (
        "rows_not_told_apart",
        "warn",
        "Rows that the primary key does not tell apart",
        "SQLite admits NULL in a primary key that is not an INTEGER one, even several times, so "
        "such a row cannot be named to a reader.",
        "Fill in the key.",
    ),
    (
        "foreign_keys_broken",
        "block",
        "Rows that refer to nothing",
        "A declared reference is not fulfilled. The proof at the end asks that all references "
        "hold, so a broken one has to be mended first.",
        "Correct or delete the rows, or create what they refer to.",
    ),
)

_SCHEMA = definitions(
    "schema",
    (
        "table_missing",
        "block",
        "A table of the plan does not exist",
        "The plan does not describe this database.",
        "Correct the plan, or check that this is the right database.",
    ),
    (
        "column_missing",
        "block",
        "A column of the plan does not exist",
        "The plan does not describe this database.",
        "Correct the plan, or check that this is the right database.",
    ),
    (
        "not_a_table",
        "block",
        "A view or virtual table in place of a table",
        "Neither can be given a column or be referred to.",
        "Name the table underneath in the plan.",
    ),
    (
        "already_migrated",
        "block",
        "This migration has been applied already",
        "The ledger in the database has a row with this migration's name, written in the same "
        "transaction as the migration.",
        "Nothing is left to do; to go back, roll back the run that applied it.",
    ),
    (
        "half_done",
        "block",
        "A migration by hand stopped half-way",
        "Some of the migration's steps were applied outside this runbook.",
        "Go back to before the first step, then run again.",
    ),
    (
        "names_taken",
        "block",
        "Names that the migration needs are taken",
        "The migration makes objects of these names, and would fail.",
        "Rename or drop the object that is in the way.",
    ),
    (
        "column_taken",
        "block",
        "A resource has an organization_id already",
        "The migration adds this column, and would fail.",
        "Rename or drop the column that is in the way.",
    ),
    (
        "key_without_unique_index",
        "block",
        "The users' key is not unique by declaration",
        "References to it are a foreign key mismatch: with foreign keys on, every later write to "
        "organizations would fail.",
        "Create a unique index on the key alone.",
    ),
    (
        "triggers_fire",
        "block",
        "Triggers that the backfill would fire",
        "The migration changes every row of a resource once, and each change would fire them: an "
        "audit log would record millions of changes that no user made.",
        'Say in the plan what is to happen: [triggers] policy = "suspend" or "fire".',
    ),
    (
        "writes_break",
        "block",
        "Writes that would fail once the column is there",
        "A trigger counts on the number of columns that the table has today; with one more, the "
        "application could no longer write.",
        "Name the columns in the trigger.",
    ),
    (
        "script_fails",
        "block",
        "The migration does not run on this schema",
        "It was tried on an empty copy of the schema, and SQLite refused it.",
        "Change what SQLite names, or the plan.",
    ),
    (
        "views_break",
        "block",
        "Views that would break once the column is there",
        "They work today and fail with one column more.",
        "Name the columns in the view.",
    ),
    (
        "views_select_star",
        "warn",
        "Views that take on the new column",
        "A view with SELECT * shows organization_id from then on; who reads it by position, or "
        "copies it into a table, notices.",
        "Name the columns in the view, or accept it.",
    ),
    (
        "views_broken",
        "warn",
        "Views that are broken already",
        "Whoever asks it gets an error, before the migration and after it. SQLite refuses to drop "
        "any column while a view is broken; our way back steps over that, other tools do not.",
        "Drop or mend the view.",
    ),
    (
        "column_cannot_be_dropped",
        "warn",
        "The way back would be refused",
        "It was tried on an empty copy of the schema: after the migration, SQLite refuses to drop "
        "organization_id again, so a rollback would fail.",
        "Change what SQLite names.",
    ),
    (
        "foreign_keys_mismatched",
        "block",
        "References that SQLite cannot check",
        "The columns referred to are not unique or do not exist, so neither the application nor "
        "the proof can check these references.",
        "Create a unique index on the columns referred to, or mend the reference.",
    ),
    (
        "table_without_key",
        "note",
        "A resource without a primary key",
        "Its rows are told apart by their rowid, which VACUUM may change: do not run VACUUM "
        "between the migration and a possible rollback.",
        "Nothing, if VACUUM is not run.",
    ),
    (
        "generated_columns",
        "note",
        "Generated columns",
        "They are computed again when a row changes; the proof covers them.",
        "Nothing.",
    ),
    (
        "strict_tables",
        "note",
        "STRICT tables",
        "SQLite checks types here; organization_id is TEXT, which STRICT admits.",
        "Nothing.",
    ),
    (
        "without_rowid_tables",
        "note",
        "Tables WITHOUT ROWID",
        "Their rows are told apart by the primary key instead of the rowid.",
        "Nothing.",
    ),
    (
        "special_indexes",
        "note",
        "Partial indexes or indexes on expressions",
        "They are kept up to date during the backfill, which takes time.",
        "Nothing.",
    ),
    (
        "cascades",
        "note",
        "References that delete or change along",
        "Deleting or changing a row in these tables reaches into others; the migration deletes "
        "nothing, and no table is rebuilt because of this.",
        "Nothing.",
    ),
    (
        "odd_names",
        "note",
        "Names that need quotes",
        "The migration quotes every name; SQL written by hand must do so as well.",
        "Nothing.",
    ),
)

CATALOGUE: dict[str, Definition] = {
    d.code: d for d in (*_DATA, *_SCHEMA, *DATABASE, *ACTIVITY, *D1)
}
"""Code to definition, in the order in which hazards are shown."""
