-- title: Search over the names of projects
-- why: Only where SQLite was built with FTS5. Its triggers follow inserts, deletes and new names, not other updates. Filled for the projects that have tasks, which in a large sample are not all.
CREATE VIRTUAL TABLE project_search USING fts5(project_id UNINDEXED, name);

INSERT INTO project_search (project_id, name)
SELECT id, name FROM projects WHERE id IN (SELECT project_id FROM tasks) ORDER BY id;

CREATE TRIGGER projects_after_insert AFTER INSERT ON projects BEGIN
    INSERT INTO project_search (project_id, name) VALUES (new.id, new.name);
END;

CREATE TRIGGER projects_after_rename AFTER UPDATE OF name ON projects BEGIN
    UPDATE project_search SET name = new.name WHERE project_id = new.id;
END;

CREATE TRIGGER projects_after_delete AFTER DELETE ON projects BEGIN
    DELETE FROM project_search WHERE project_id = old.id;
END;
