"""The application around the migration: shut, deployed, tried, opened, watched."""
