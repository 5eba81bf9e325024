"""Watching the migrated database and the application for a day."""
