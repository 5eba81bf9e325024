const Work = sequelize.define('Work', { maker: { type: DataTypes.STRING, field: 'owner_id' } }, { tableName: 'projects' });
// uses
await Project.findAll({ where: { owner_id: id } });
await Project.findOne({ where: { id: 1, ownerId: id }, order: [['name', 'ASC']] });
await Project.findAll({ where: { ownerId: { [Op.eq]: id } } });
await Project.findAll({ where: { [Op.or]: [{ ownerId: id }, { public: true }] } });
await Project.update({ name }, { where: { ownerId: id } });
await Project.destroy({ where: { ownerId: id, archived: true } });
await Project.count({ where: { ownerId: { [Op.in]: ids } } });
await Project.create({ name, ownerId: id });
await user.getProjects({ where: { archived: false } });
await user.createProject({ name });
await Work.findAll({ where: { maker: id } });
await Task.findAll({ include: [{ model: Project, where: { ownerId: id } }] });
await Task.findAll({ where: { '$project.owner_id$': id } });
await models.Project.findOrCreate({ where: { name, ownerId: id } });
// look-alikes
await Project.findAll({ attributes: ['id', 'ownerId'] });
await Project.findAll({ where: { ownerId: { [Op.ne]: id } } });
await Project.findAll({ where: { ownerId: null } });
await Project.findAll({ order: [['ownerId', 'ASC']] });
await Team.findAll({ where: { ownerId: id } });
await Project.update({ ownerId: next }, { where: { id } });
await Project.findAll({ where: { ownerId: id, organizationId: org } });
await Team.create({ name, ownerId: id });
await user.getTeams({ where: { ownerId: id } });
const one = projects.find((p) => p.ownerId === id);
await axios.post('/projects', { ownerId: id });
const other = _.find(projects, { ownerId: id });
