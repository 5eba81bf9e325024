// uses
await knex('projects').where('owner_id', id);
await knex('projects').where({ owner_id: id, archived: false }).first();
await knex.from('projects as p').where('p.owner_id', '=', id);
await knex('projects').whereIn('owner_id', ids).select('id');
await knex('projects').where('owner_id', id).update({ name });
await knex('projects').where('id', 1).andWhere('owner_id', id).del();
await knex('projects').insert({ id, name, owner_id: id });
await knex('tasks').join('projects', 'projects.id', 'tasks.project_id').where('projects.owner_id', id);
await knex('projects').whereRaw('owner_id = ? and archived = 0', [id]);
await knex('projects').where(function () { this.where('owner_id', id).orWhere('public', true); });
async function kept(id) { let query = knex('projects').select('id'); query = query.where('owner_id', id); return query; }
await trx('projects').where({ 'projects.owner_id': id }).count();
await db('projects').where((builder) => builder.where('owner_id', id));
await query.project.update({ owner_id: id }, change);
async function listed(id) { const where = {}; where.owner_id = id; return query.project.find({ where }); }
// look-alikes
await knex('projects').select('id', 'owner_id');
await knex('projects').whereNot('owner_id', id);
await knex('projects').whereNull('owner_id');
await knex('projects').where('owner_id', '<>', id);
await knex('projects').orderBy('owner_id', 'desc');
await knex('teams').where('owner_id', id);
await knex('projects').join('users', 'users.id', 'projects.owner_id').where('users.name', name);
await knex('projects').where({ owner_id: id, organization_id: org });
await knex('projects').where('id', id).update({ owner_id: newOwner });
await knex('teams').insert({ name, owner_id: id });
emitter.emit('projects', { owner_id: id });
cache.set('projects', { owner_id: id });
await query.project.find({ ...(anonymous && { owner_id: [hidden ? 'is' : 'is not', null] }) });
console.error(`no project with owner_id = ${id}`);
