-- title: Forget that the migration was applied
-- why: wrangler can apply it again then; its counter is put back, so that nothing remains.
UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = {{ text }} AND seq = (SELECT id FROM {{ table }} WHERE name = {{ file }});
DELETE FROM sqlite_sequence WHERE name = {{ text }} AND seq = 0;
DELETE FROM {{ table }} WHERE name = {{ file }};
