-- An organization goes, and its memberships go with it.
DELETE FROM organizations WHERE id = :id
