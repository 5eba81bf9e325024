-- A member leaves an organization.
DELETE FROM organization_memberships WHERE organization_id = :organization AND user_id = :user
