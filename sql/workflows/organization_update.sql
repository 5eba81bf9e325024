-- An organization gets another name.
UPDATE organizations SET name = :name, updated_at = datetime('now') WHERE id = :id
