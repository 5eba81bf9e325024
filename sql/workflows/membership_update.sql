-- A member gets another role.
UPDATE organization_memberships SET role = :role, updated_at = datetime('now')
WHERE organization_id = :organization AND user_id = :user
