"""What people write after the migration."""

from __future__ import annotations

NEW_ORGANIZATION = (
    "INSERT INTO organizations (id, name, slug, owner_id)"
    " SELECT 'team', 'Team', 'team', min(id) FROM users"
)
