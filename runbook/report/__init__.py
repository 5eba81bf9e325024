"""Views of a run folder: HTML, JSON, JUnit, text; the database is never asked."""
