{#- Cells of a snapshot as values, for DuckDB. A cell is a BLOB: a tag (n, i, r, t, b) and a body.
    `cell` is in UTF-8, `raw` is the cell as it is in the file; they differ in UTF-16 databases. #}

{%- macro tag(cell) -%} {{ cell }}[1:1] {%- endmacro %}

{%- macro body(cell) -%} decode({{ cell }}[2:]) {%- endmacro %}

{#- A text whose bytes are no text in the database's encoding is shown as hexadecimal digits. #}
{%- macro raw_digits(raw) -%} hex({{ raw }}[{{ 2 if encoding == "UTF-8" else 3 }}:]) {%- endmacro %}

{%- macro number(cell) -%} CAST({{ body(cell) }} AS DOUBLE) {%- endmacro %}

{%- macro storage_class(cell) -%}
  CASE {{ tag(cell) }}
    WHEN 'n'::BLOB THEN 'null' WHEN 'i'::BLOB THEN 'integer' WHEN 'r'::BLOB THEN 'real'
    WHEN 'b'::BLOB THEN 'blob'
    ELSE CASE WHEN TRY({{ body(cell) }}) IS NULL THEN 'invalid text' ELSE 'text' END
  END
{%- endmacro %}

{#- A value as text, exact beside its storage class: digits, the text itself, hexadecimal digits. #}
{%- macro as_text(cell, raw) -%}
  CASE {{ tag(cell) }}
    WHEN 'n'::BLOB THEN NULL
    WHEN 't'::BLOB THEN coalesce(TRY({{ body(cell) }}), {{ raw_digits(raw) }})
    WHEN 'r'::BLOB THEN CAST({{ number(cell) }} AS VARCHAR)
    ELSE {{ body(cell) }}
  END
{%- endmacro %}

{#- Whether a text has the form of a key, a time or a role, by the rule of the report. #}
{%- macro is_plain(text) -%}
  (regexp_full_match({{ text }}, {{ key_form }}) AND (length({{ text }}) < 4 OR regexp_matches({{ text }}, '[0-9]'))
   OR regexp_full_match({{ text }}, {{ word_form }}))
{%- endmacro %}

{#- A blob is shown where it is no text that a person could read, or has the form of a key. #}
{%- macro is_plain_blob(blob) -%}
  coalesce(regexp_matches(TRY(decode({{ blob }})), '[\x00-\x1f\x7f]') OR {{ is_plain("TRY(decode(" ~ blob ~ "))") }}, true)
{%- endmacro %}

{%- macro counted(number, noun) -%}
  format('{:,}', {{ number }}) || CASE {{ number }} WHEN 1 THEN ' {{ noun }}' ELSE ' {{ noun }}s' END
{%- endmacro %}

{#- What stands in place of a value. A key keeps its identity by a number that is drawn anew by each
    connection, so that joins and counts stay right, and which value it has cannot be tried out. #}
{%- macro mask(cell, raw, is_key) -%}
  '••• (' || CASE {{ tag(cell) }}
    WHEN 'i'::BLOB THEN 'integer' WHEN 'r'::BLOB THEN 'real'
    WHEN 'b'::BLOB THEN 'blob, ' || {{ counted("octet_length(" ~ cell ~ ") // 2", "byte") }}
    ELSE coalesce('text, ' || {{ counted("length(TRY(" ~ body(cell) ~ "))", "character") }},
      'invalid text, ' || {{ counted("octet_length(" ~ raw_digits(raw) ~ "::BLOB) // 2", "byte") }})
  END
  {%- if is_key %} || ', ' || sha256({{ secret }} || hex({{ raw }}))[1:16] {%- endif %} || ')'
{%- endmacro %}

{#- Whether a cell is shown: numbers and NULL unless the column is personal, other values by rule. #}
{%- macro is_shown(column, cell) -%}
  {%- if column.personal -%} {{ tag(cell) }} = 'n'::BLOB
  {%- elif not column.by_rule -%} {{ tag(cell) }} IN ('n'::BLOB, 'i'::BLOB, 'r'::BLOB)
  {%- else -%}
    CASE {{ tag(cell) }}
      WHEN 't'::BLOB THEN coalesce({{ is_plain("TRY(" ~ body(cell) ~ ")") }}, false)
      WHEN 'b'::BLOB THEN {{ is_plain_blob("unhex(" ~ body(cell) ~ ")") }}
      ELSE true
    END
  {%- endif -%}
{%- endmacro %}

{#- Any cell of a column as text, masked where that is due. #}
{%- macro shown_text(column, cell, raw) -%}
  {%- if not column.masked -%} {{ as_text(cell, raw) }}
  {%- else -%}
    CASE WHEN {{ is_shown(column, cell) }} THEN {{ as_text(cell, raw) }} ELSE {{ mask(cell, raw, column.is_key) }} END
  {%- endif -%}
{%- endmacro %}

{#- A cell of a column that is no NULL, in the column's own type. #}
{%- macro typed(column, cell, raw) -%}
  {%- if column.type == "BIGINT" -%} CAST({{ body(cell) }} AS BIGINT)
  {%- elif column.type == "DOUBLE" -%} {{ number(cell) }}
  {%- elif column.type == "BLOB" and not column.masked -%} unhex({{ body(cell) }})
  {%- elif column.type == "BLOB" -%}
    CASE WHEN {{ is_plain_blob("unhex(" ~ body(cell) ~ ")") }} THEN unhex({{ body(cell) }}) ELSE encode({{ mask(cell, raw, column.is_key) }}) END
  {%- elif column.classes == "text" and not column.masked -%} {{ body(cell) }}
  {%- elif column.classes == "text" and column.by_rule -%}
    CASE WHEN {{ is_plain(body(cell)) }} THEN {{ body(cell) }} ELSE {{ mask(cell, raw, column.is_key) }} END
  {%- elif column.classes == "text" -%} {{ mask(cell, raw, column.is_key) }}
  {%- else -%} {{ shown_text(column, cell, raw) }}
  {%- endif -%}
{%- endmacro %}

{%- macro value(column, cell, raw) -%}
  {%- if column.classes == "null" -%} CAST(NULL AS {{ column.type }})
  {%- elif column.nullable -%} CASE WHEN {{ cell }} = 'n'::BLOB THEN NULL ELSE {{ typed(column, cell, raw) }} END
  {%- else -%} {{ typed(column, cell, raw) }}
  {%- endif -%}
{%- endmacro %}

{#- The columns of a file by position, since some names (the empty one) are none in DuckDB. #}
{%- macro source(side, number="") -%}
  (SELECT {% if number %}file_row_number AS {{ number }}{% if side.rowid or side.names %}, {% endif %}{% endif %}{% if side.rowid %}r{% if side.names %}, {% endif %}{% endif %}
    {%- for name in side.names -%}
      {{ name }}{% if encoding != "UTF-8" %}, runbook_utf8({{ name }}) AS u{{ name }}{% endif %}{% if not loop.last %}, {% endif %}
    {%- endfor %}
   FROM {{ side.file }} AS t({{ side.aliases }}))
{%- endmacro %}

{%- macro utf8_of(raw) -%} {% if encoding == "UTF-8" %}{{ raw }}{% else %}runbook_utf8({{ raw }}){% endif %} {%- endmacro %}

{#- How many rows have each cell, counted before anything is decoded; NULL is no cell to count. #}
{%- macro counts(side, column) -%}
  SELECT {{ column.raw }} AS cell, count(*) AS n FROM {{ source(side) }}
  {%- if column.nullable %} WHERE {{ column.raw }} <> {{ null }}{% endif %} GROUP BY 1
{%- endmacro %}

{#- What a cell says, where SQLite would compare columns of different types: 5, 5.0 and '5' are one. #}
{%- macro identity(cell, raw) -%}
  CASE {{ tag(cell) }}
    WHEN 'n'::BLOB THEN NULL
    WHEN 'b'::BLOB THEN 'b' || {{ body(cell) }}
    WHEN 'i'::BLOB THEN 't' || {{ body(cell) }}
    WHEN 'r'::BLOB THEN 't' || CASE WHEN abs({{ number(cell) }}) < 1e15 AND {{ number(cell) }} = trunc({{ number(cell) }})
      THEN CAST(CAST({{ number(cell) }} AS BIGINT) AS VARCHAR) ELSE CAST({{ number(cell) }} AS VARCHAR) END
    ELSE coalesce('t' || TRY({{ body(cell) }}), 'x' || {{ raw_digits(raw) }})
  END
{%- endmacro %}
