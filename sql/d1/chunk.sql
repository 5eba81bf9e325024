-- title: Enter one part of a migration in chunks
-- why: The row commits with the part, so that the next start knows which parts have happened, and by its digest that they were cut alike.
{% if number == 1 -%}
CREATE TABLE {{ chunks }} (number INTEGER PRIMARY KEY, digest TEXT NOT NULL);
{% endif -%}
INSERT INTO {{ chunks }} (number, digest) VALUES ({{ number }}, {{ digest }});
