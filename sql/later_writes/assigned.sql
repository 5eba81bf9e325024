-- title: The rows of a resource whose organization users chose
-- why: It is not the one that its owner's key gives now, nor, in a row that the migration wrote, the one that it gave then; a new row's may also be the owner's own by any other id.
SELECT {{ columns }}
FROM {{ written }} AS k
LEFT JOIN before.{{ table }} AS a ON {{ counterpart }} AND k.{{ what }} <> 'inserted'
WHERE +k.organization_id IS NOT ({{ organization_now }}) COLLATE BINARY
    AND CASE k.{{ what }}
        WHEN 'inserted' THEN k.organization_id IS NOT NULL AND NOT {{ own }}
        ELSE +k.organization_id IS NOT ({{ organization_then }}) COLLATE BINARY
    END
{%- if partial %}
    AND k.organization_id IS NOT NULL
{%- endif %}
