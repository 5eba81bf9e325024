"""The hazards of a Cloudflare D1 database: its migrations folder, its limits, its export."""

from __future__ import annotations

from runbook.hazards.definition import definitions

D1 = definitions(
    "d1",
    (
        "d1_pending_migrations",
        "block",
        "Other migrations wait to be applied",
        "wrangler applies every pending file of the migrations folder at once; the others would be "
        "changes that nothing here has looked at.",
        "Apply them first (`wrangler d1 migrations apply`), or move them out of the folder.",
    ),
    (
        "d1_file_in_the_way",
        "block",
        "The migrations folder has a file of this name already",
        "The migration is written to that name; a file by somebody else would be overwritten.",
        "Rename the file, or give the migration another name in the plan.",
    ),
    (
        "d1_already_applied",
        "block",
        "wrangler has applied a migration of this name already",
        "wrangler would not apply it again, whatever the file holds.",
        "Give the migration another name in the plan.",
    ),
    (
        "d1_script_refused",
        "block",
        "D1's engine refuses the migration",
        "It was tried on a copy of the database in the same engine.",
        "The engine's own words say what it refuses.",
    ),
    (
        "d1_transaction_words",
        "block",
        "The script contains the words BEGIN TRANSACTION",
        "wrangler deletes them, and COMMIT; with them, even inside texts and triggers, so what is "
        "run would not be what was shown.",
        "Rename what is called so, or drop the trigger that contains them.",
    ),
    (
        "d1_large",
        "warn",
        "Many rows for one statement",
        "Cloudflare ends a query after 30 seconds of work; one that is ended is rolled back, but "
        "nothing was migrated.",
        "Rehearse on a copy of the database at Cloudflare first, or migrate in chunks "
        "(`--chunk-rows 5000`), which is not atomic.",
    ),
    (
        "d1_in_chunks",
        "warn",
        "The migration is made in chunks, which is not atomic",
        "Each part happens wholly or not at all, but between two of them the database is neither "
        "before nor after; its ledger says so until the last part, and the proof comes after it.",
        "Keep the application shut until it is finished. If it stops, call the same command again, "
        "which goes on where it stopped, or take it back with `runbook rollback`.",
    ),
    (
        "d1_virtual_tables",
        "warn",
        "Full-text tables cannot be exported",
        "`wrangler d1 export` refuses virtual tables, so there is no customary backup; owners have "
        "reported that the attempt kept the database locked, so it is not made.",
        "Rely on the replica in the run folder, and on Time Travel.",
    ),
    (
        "d1_big_integers",
        "note",
        "Integers above 2^53",
        "JavaScript, wrangler and the export round them; the replica in the run folder does not.",
        "Nothing is needed for the migration; do not restore them from an export.",
    ),
)
