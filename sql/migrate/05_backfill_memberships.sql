-- title: Backfill owner memberships
-- why: Every organization's owner is its first member, with the role that says so.
{% import "rules.sql" as rules with context -%}
{{ rules.owner_memberships() }}
FROM organizations AS o
ORDER BY o.rowid;
