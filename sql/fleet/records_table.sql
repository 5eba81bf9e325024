-- title: The table of what the reports of runs say
-- why: It is filled in parts, because memory is kept for every file that one query reads.
CREATE TEMP TABLE records (
  file VARCHAR,
  verdict VARCHAR,
  headline VARCHAR,
  locked_seconds DOUBLE,
  hazards STRUCT(code VARCHAR, "level" VARCHAR, title VARCHAR)[],
  findings STRUCT("table" VARCHAR, change VARCHAR, message VARCHAR)[]
);
