-- The migration as the specification writes it, with one change: slugs of 16 random bytes instead
-- of 4, without which it cannot end at this size (UNIQUE constraint failed: organizations.slug).
ALTER TABLE projects ADD COLUMN organization_id TEXT;

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    owner_id TEXT NOT NULL REFERENCES users(id),
    type TEXT DEFAULT 'personal',
    settings TEXT DEFAULT '{}',
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now'))
);
CREATE INDEX idx_organizations_owner ON organizations(owner_id);
CREATE INDEX idx_organizations_slug ON organizations(slug);
CREATE INDEX idx_organizations_type ON organizations(type);

CREATE TABLE organization_memberships (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    invited_by TEXT REFERENCES users(id) ON DELETE SET NULL,
    invited_at TEXT,
    accepted_at TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now')),
    UNIQUE(organization_id, user_id)
);
CREATE INDEX idx_memberships_org ON organization_memberships(organization_id);
CREATE INDEX idx_memberships_user ON organization_memberships(user_id);

INSERT INTO organizations (id, name, slug, owner_id, type, created_at, updated_at)
SELECT
    'org-' || u.id,
    COALESCE(SUBSTR(u.email, 1, INSTR(u.email, '@') - 1) || '''s Workspace', 'Personal Workspace'),
    'personal-' || LOWER(HEX(RANDOMBLOB(16))),
    u.id,
    'personal',
    datetime('now'),
    datetime('now')
FROM users u
WHERE EXISTS (SELECT 1 FROM projects p WHERE p.owner_id = u.id);

INSERT INTO organization_memberships
    (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
SELECT
    'mem-' || o.owner_id, o.id, o.owner_id, 'owner',
    datetime('now'), datetime('now'), datetime('now')
FROM organizations o;

UPDATE projects
SET organization_id = 'org-' || owner_id, updated_at = datetime('now')
WHERE organization_id IS NULL;

CREATE INDEX idx_projects_org ON projects(organization_id);
