-- A user is invited into an organization and accepts.
INSERT INTO organization_memberships
    (id, organization_id, user_id, role, invited_by, invited_at, accepted_at)
VALUES (:id, :organization, :user, :role, :inviter, datetime('now'), datetime('now'))
