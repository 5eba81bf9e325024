-- title: Drop organizations and memberships
-- why: Both were exported to the run folder first; memberships go first because they refer to organizations.
DROP TABLE IF EXISTS organization_memberships;

DROP TABLE IF EXISTS organizations;
