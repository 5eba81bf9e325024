-- A new organization, as an application makes one for a team.
INSERT INTO organizations (id, name, slug, owner_id, type)
VALUES (:id, :name, :slug, :owner, 'team')
