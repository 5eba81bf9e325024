-- title: Keep updated_at
-- why: The backfill stamps every row, and a rollback by SQL alone has no backup to take the old times from; dropping these tables later gives the way back up.
{% for resource in resources if resource.updated_at -%}
CREATE TABLE {{ resource.kept }} AS
SELECT {{ resource.row_columns }}, {{ resource.updated_at }} AS updated_at FROM {{ resource.table }};

CREATE UNIQUE INDEX {{ resource.kept_index }} ON {{ resource.kept }} ({{ resource.key_columns }});

{% endfor %}
