-- title: The cell of one value, as plain ASCII
-- why: In parentheses throughout: wrangler takes a bare CASE for the start of a trigger's body.
{#- A finite real other than zero as `r`, whole number, `p`, power of two. The logarithm may be off
    by one at a power of two; 60 bits leave room on both sides of the 53. #}
{%- macro scaled(x, already) -%}
{%- set log = "CAST(log2(abs(" ~ x ~ ")) AS INTEGER)" -%}
'r'||CAST({{ x }}*pow(2.0,60-{{ log }}) AS INTEGER)||'p'||({{ log }}-{{ 60 + already }})
{%- endmacro %}
{#- Text travels as it is only where each byte is printable ASCII: as many bytes as characters, and
    no other character; length() and GLOB both stop at a NUL, octet_length() does not. #}
(CASE typeof({{ c }})
WHEN 'text' THEN (CASE WHEN octet_length({{ c }})>{{ longest }} THEN 'T'||octet_length({{ c }})
WHEN octet_length({{ c }})=length({{ c }}) AND {{ c }} NOT GLOB '*[^ -~]*' THEN 't'||{{ c }}
ELSE 'x'||hex(CAST({{ c }} AS BLOB)) END)
WHEN 'integer' THEN 'i'||{{ c }}
WHEN 'null' THEN 'n'
WHEN 'real' THEN (CASE WHEN {{ c }}*0 IS NULL THEN (CASE WHEN {{ c }}>0 THEN 'rInf' ELSE 'r-Inf' END)
WHEN {{ c }}=0 THEN (CASE WHEN atan2({{ c }},-1)<0 THEN 'r-0' ELSE 'r0p0' END)
WHEN abs({{ c }})<1e-250 THEN {{ scaled("(" ~ c ~ "*pow(2.0,700))", 700) }}
ELSE {{ scaled(c, 0) }} END)
ELSE (CASE WHEN length({{ c }})>{{ longest }} THEN 'B'||length({{ c }}) ELSE 'b'||hex({{ c }}) END) END)
