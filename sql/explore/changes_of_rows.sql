-- title: What changed in a table whose rows have neither a key nor a rowid
-- why: Nothing says which row of after is which of before, so whole rows came or went, as often as they occur more often.
{% import "explore/cells.sql" as cells with context -%}
{%- for change, here, there in (("went", old, new), ("came", new, old)) %}
SELECT '{{ change }}' AS change, NULL::VARCHAR AS column_name, NULL::VARCHAR AS old,
    NULL::VARCHAR AS old_class, NULL::VARCHAR AS new, NULL::VARCHAR AS new_class
FROM (
    SELECT {% for name in here.common %}{{ name }}{% if not loop.last %}, {% endif %}{% else %}0{% endfor %} FROM {{ cells.source(here) }}
    EXCEPT ALL
    SELECT {% for name in there.common %}{{ name }}{% if not loop.last %}, {% endif %}{% else %}0{% endfor %} FROM {{ cells.source(there) }}
)
{%- if not loop.last %}
UNION ALL{% endif %}
{%- endfor %}
