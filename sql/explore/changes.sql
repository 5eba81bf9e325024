-- title: What changed in a table, cell by cell
-- why: Rows are paired by their declared key, or by rowid; a changed cell is one row, and so is a row that came or went.
{% import "explore/cells.sql" as cells with context -%}
WITH pairs AS (
    SELECT
    {%- for key in keys %}
        {{ key.either }} AS {{ key.cell }}{% if key.raw != key.cell %}, {{ key.either_raw }} AS {{ key.raw }}{% endif %},
    {%- endfor %}
    {%- for column in compared %}
        {% if column.old %}a.{{ column.old }} AS a{{ loop.index0 }}, {% if encoding != "UTF-8" %}a.u{{ column.old }} AS ua{{ loop.index0 }}, {% endif %}{% endif -%}
        {% if column.new %}b.{{ column.new }} AS b{{ loop.index0 }}, {% if encoding != "UTF-8" %}b.u{{ column.new }} AS ub{{ loop.index0 }}, {% endif %}{% endif -%}
    {%- endfor %}
        {% if not same_rows %}CASE WHEN a.{{ present.old }} IS NULL THEN [-1] WHEN b.{{ present.new }} IS NULL THEN [-2] ELSE {% endif -%}
        list_filter([
        {%- for column in compared %}
            CASE WHEN {{ column.differs }} THEN {{ loop.index0 }} END{% if not loop.last %},{% endif %}
        {%- endfor %}
        ]::INTEGER[], lambda n: n IS NOT NULL){% if not same_rows %} END{% endif %} AS differing
    FROM {{ cells.source(old) }} AS a
    {% if not same_rows %}FULL {% endif %}JOIN {{ cells.source(new) }} AS b ON {{ paired }}
),
cells AS (SELECT *, unnest(differing) AS n FROM pairs)
SELECT
    CASE n WHEN -1 THEN 'came' WHEN -2 THEN 'went' ELSE 'changed' END::ENUM('came', 'went', 'changed') AS change,
    {%- for key in keys %}
    {% if key.is_rowid %}{{ key.cell }}{% else %}{{ cells.value(key, key.cell, key.raw) }}{% endif %} AS v{{ loop.index0 }},
    {%- if key.mixed %}
    {{ cells.storage_class(key.cell) }} AS k{{ loop.index0 }},
    {%- endif %}
    {%- endfor %}
    CASE n WHEN -3 THEN NULL{% for column in compared %} WHEN {{ loop.index0 }} THEN {{ column.literal }}{% endfor %} ELSE NULL END::{% if few_names %}ENUM({% for column in compared %}{{ column.literal }}{% if not loop.last %}, {% endif %}{% endfor %}){% else %}VARCHAR{% endif %} AS column_name,
    {%- for side, cell in (("old", "a"), ("new", "b")) %}
    CASE n WHEN -3 THEN NULL
    {%- for column in compared if column[side] %}
        WHEN {{ column.number }} THEN {{ cells.shown_text(column, utf8 ~ cell ~ column.number, cell ~ column.number) }}
        {%- if side == "new" and column.old and column.masked %} || CASE WHEN NOT ({{ cells.is_shown(column, utf8 ~ "b" ~ column.number) }}) AND {{ cells.shown_text(column, utf8 ~ "a" ~ column.number, "a" ~ column.number) }} = {{ cells.shown_text(column, utf8 ~ "b" ~ column.number, "b" ~ column.number) }} THEN '; other content' ELSE '' END {%- endif %}
    {%- endfor %} ELSE NULL END::VARCHAR AS {{ side }},
    CASE n WHEN -3 THEN NULL
    {%- for column in compared %}
        WHEN {{ column.number }} THEN {% if column[side] %}{{ cells.storage_class(utf8 ~ cell ~ column.number) }}{% else %}'absent'{% endif %}
    {%- endfor %} ELSE NULL END::VARCHAR AS {{ side }}_class
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
FROM cells
