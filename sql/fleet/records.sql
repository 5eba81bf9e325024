-- title: What the reports of runs say, one row for each
-- why: Only what the fleet's report needs is read, of so many files at once; a file is named by its path.
INSERT INTO records
SELECT
  filename AS file,
  verdict,
  outcome.headline AS headline,
  run.locked_seconds AS locked_seconds,
  list_transform(hazards, lambda h: struct_pack(code := h.code, level := h.level, title := h.title)) AS hazards,
  list_transform(
    findings, lambda f: struct_pack("table" := f."table", change := f.change, message := f.message)
  ) AS findings
FROM read_json(
  $files,
  format = 'unstructured',
  filename = true,
  maximum_object_size = 67108864,
  columns = {
    'verdict': 'VARCHAR',
    'outcome': 'STRUCT(headline VARCHAR)',
    'run': 'STRUCT(locked_seconds DOUBLE)',
    'hazards': 'STRUCT(code VARCHAR, "level" VARCHAR, title VARCHAR)[]',
    'findings': 'STRUCT("table" VARCHAR, change VARCHAR, message VARCHAR)[]'
  }
);
