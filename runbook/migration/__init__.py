"""There and back as acts: migrate, rollback, export, render."""
