// uses
await Project.query().where('owner_id', id);
await Project.query().where('ownerId', id).first();
await Project.query().findOne({ ownerId: id, name });
await Project.query().where({ ownerId: id });
await Project.query().patch({ name }).where('ownerId', id);
await Project.query().delete().where('id', 1).where('ownerId', '=', id);
await Project.query().insert({ name, ownerId: id });
await Project.query().whereIn('ownerId', ids);
await user.$relatedQuery('projects').where('archived', false);
await User.relatedQuery('projects').for(id);
await Task.query().joinRelated('project').where('projects.owner_id', id);
await Project.query().where((builder) => builder.where('ownerId', id).orWhere('public', true));
await Project.query(trx).insertAndFetch({ name, ownerId: id });
// look-alikes
await Project.query().select('id', 'ownerId');
await Project.query().whereNot('ownerId', id);
await Project.query().whereNull('ownerId');
await Project.query().where('ownerId', '!=', id);
await Project.query().orderBy('ownerId', 'desc');
await Team.query().where('ownerId', id);
await Project.query().where('organizationId', org).where('ownerId', id);
await Project.query().patch({ ownerId: next }).where('id', id);
await Team.query().insert({ name, ownerId: id });
await user.$relatedQuery('teams').where('archived', false);
await Project.query().withGraphFetched('owner');
