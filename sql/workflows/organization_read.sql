-- One organization by its id.
SELECT o.id, o.name, o.slug, o.owner_id, o.type FROM organizations AS o WHERE o.id = :id
