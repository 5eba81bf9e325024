-- title: What the users' keys are, in one pass
-- why: Keys that are missing, of which class, blank, and with a small or a capital letter: two can differ by case only if there are both.
SELECT
    sum({{ key }} IS NULL),
    sum(typeof({{ key }}) = 'text'),
    sum(typeof({{ key }}) = 'integer'),
    sum(typeof({{ key }}) = 'blob'),
    sum(typeof({{ key }}) = 'real'),
    sum({{ blank }}),
    sum({{ key }} <> upper({{ key }}) COLLATE BINARY),
    sum({{ key }} <> lower({{ key }}) COLLATE BINARY)
FROM {{ users }}
