{#- The rules by which ids, slugs, names and times are made; every script takes them from here. #}

{#- A user's key as it stands in ids: as it is, or in hexadecimal where it is a BLOB. #}
{%- macro key_text(key) -%}
  {%- if key_class == "blob" -%} lower(hex({{ key }})) {%- else -%} {{ key }} {%- endif -%}
{%- endmacro %}

{%- macro organization_id(key) -%} 'org-' || {{ key_text(key) }} {%- endmacro %}

{%- macro membership_id(key) -%} 'mem-' || {{ key_text(key) }} {%- endmacro %}

{#- The slug: one-to-one from the key, in characters that a URL may carry, sorting as the key sorts.
    Text and BLOB keys: their bytes in hexadecimal. Whole numbers: a sign digit (0 below zero, 1 from
    zero on) and nineteen decimal digits, negative ones counted up from the smallest integer. #}
{%- macro slug(key) -%}
  {%- if key_class == "integer" -%}
    'personal-' || CASE WHEN {{ key }} < 0
      THEN printf('0%019d', {{ key }} + 9223372036854775807 + 1)
      ELSE printf('1%019d', {{ key }}) END
  {%- else -%} 'personal-' || lower(hex({{ key }})) {%- endif -%}
{%- endmacro %}

{#- What stands before the first @ of an e-mail, cut by bytes, which is exact even where the text
    holds NUL or invalid characters. In UTF-16 the two bytes of an @ may also lie astride two other
    characters, at an even position; only such a text is cut by characters. #}
{%- macro local_part(email) -%}
  {%- set at = {"UTF-8": "x'40'", "UTF-16le": "x'4000'", "UTF-16be": "x'0040'"}[encoding] -%}
  {%- set bytes = "CAST(" ~ email ~ " AS BLOB)" -%}
  {%- set cut = "CAST(substr(" ~ bytes ~ ", 1, instr(" ~ bytes ~ ", " ~ at ~ ") - 1) AS TEXT)" -%}
  {%- if encoding == "UTF-8" -%} {{ cut }}
  {%- else -%}
    CASE WHEN instr({{ bytes }}, {{ at }}) % 2 = 1 THEN {{ cut }}
      ELSE substr({{ email }}, 1, instr({{ email }}, '@') - 1) END
  {%- endif -%}
{%- endmacro %}

{%- macro organization_name(email) -%}
  {%- if email -%}
    CASE WHEN typeof({{ email }}) = 'text' AND instr({{ email }}, '@') > 1
      THEN {{ local_part(email) }} || '''s Workspace'
      ELSE 'Personal Workspace' END
  {%- else -%} 'Personal Workspace' {%- endif -%}
{%- endmacro %}

{#- The one instant of this migration: the time at which its ledger row was written. #}
{%- macro now() -%} (SELECT applied_at FROM runbook_ledger WHERE migration = {{ migration }}) {%- endmacro %}

{#- The same instant as organizations and memberships keep it: YYYY-MM-DD HH:MM:SS. #}
{%- macro now_specified() -%} (SELECT substr(applied_at, 1, 19) FROM runbook_ledger WHERE migration = {{ migration }}) {%- endmacro %}

{#- Who needs an organization: the owners of resources, and whoever adopts those without an owner.
    One IN for each table, because D1 takes no more than five terms in a UNION. #}
{%- macro owns_something(key, schema="") -%}
  {%- for resource in resources -%}
    {{ key }} IN (SELECT {{ resource.owner }} FROM {{ schema }}{{ resource.table }})
    {%- if not loop.last %}
   OR {% endif %}
  {%- endfor %}
{%- endmacro %}

{%- macro needs_organization(key, schema="") -%}
  {{ owns_something(key, schema) }}
  {%- if adopter is not none %}
   OR {{ key }} = {{ adopter }}
  {%- endif %}
{%- endmacro %}

{#- The organization of a resource whose owner column is `owner`: its owner's, or the adopter's. #}
{%- macro organization_of(owner, schema="") -%}
  {%- if adopter is none -%} {{ organization_id(owner) }}
  {%- else -%}
    CASE WHEN EXISTS (SELECT 1 FROM {{ schema }}{{ users.table }} AS owners WHERE owners.{{ users.key }} = {{ owner }}) THEN {{ organization_id(owner) }} ELSE {{ organization_id(adopter) }} END
  {%- endif -%}
{%- endmacro %}

{#- A personal organization for each user `u`; the migration and its chunks add which and in what order. #}
{%- macro personal_organizations() -%}
INSERT INTO organizations (id, name, slug, owner_id, type, created_at, updated_at)
SELECT
    {{ organization_id("u." ~ users.key) }},
    {{ organization_name("u." ~ users.email if users.email else none) }},
    {{ slug("u." ~ users.key) }},
    u.{{ users.key }},
    'personal',
    {{ now_specified() }},
    {{ now_specified() }}
FROM {{ users.table }} AS u
{%- endmacro %}

{#- The membership of the owner in each organization `o`. #}
{%- macro owner_memberships() -%}
INSERT INTO organization_memberships
    (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
SELECT
    {{ membership_id("o.owner_id") }},
    o.id,
    o.owner_id,
    'owner',
    o.created_at,
    o.created_at,
    o.created_at
{%- endmacro %}
