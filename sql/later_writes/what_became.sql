-- title: What became of a row after the migration
-- why: `a` is the row of the backup and `b` the same row now. The first that holds counts: any value outside the footprint, nothing at all while a migration in parts has not come to the row, then updated_at alone, then the organization alone.
CASE
    WHEN {{ edited }} THEN 'edited'
{%- if as_before %}
    WHEN {{ as_before }} THEN 'untouched'
{%- endif %}
{%- if stamped %}
    WHEN {{ stamped }} THEN 'stamped'
{%- endif %}
    WHEN b.organization_id IS NOT ({{ organization }}) COLLATE BINARY THEN 'moved'
    ELSE 'untouched'
END
