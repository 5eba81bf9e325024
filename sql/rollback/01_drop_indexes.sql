-- title: Drop the indexes
-- why: A column cannot go while an index names it; the indexes of the new tables go with their tables.
{% for resource in resources -%}
DROP INDEX IF EXISTS {{ resource.index }};

{% endfor %}
