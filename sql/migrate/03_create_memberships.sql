-- title: Create organization_memberships
-- why: Who belongs to which organization, once each, in one of four roles.
CREATE TABLE organization_memberships (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    user_id {{ key_type }} NOT NULL REFERENCES {{ users.table }}({{ users.key }}) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    invited_by {{ key_type }} REFERENCES {{ users.table }}({{ users.key }}) ON DELETE SET NULL,
    invited_at TEXT,
    accepted_at TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE (organization_id, user_id)
);
