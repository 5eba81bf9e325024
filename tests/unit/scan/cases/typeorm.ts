// uses
await projectRepository.find({ where: { ownerId: userId } });
await this.projectRepo.findOne({ where: { id, owner: { id: userId } } });
await projectRepository.findOneBy({ id, ownerId: userId });
await getRepository(Project).find({ where: { ownerId: userId } });
await manager.find(Project, { where: { ownerId: userId } });
await projectRepository.createQueryBuilder("project").where("project.ownerId = :userId", { userId }).getMany();
await dataSource.createQueryBuilder().select("p").from(Project, "p").where("p.owner_id = :id", { id }).getOne();
await projectRepository.delete({ id, ownerId: userId });
await projectRepository.countBy({ ownerId: userId });
await projectRepository.save({ name, ownerId: userId });
const entity = projectRepository.create({ name, ownerId: userId });
await taskRepository.find({ where: { project: { ownerId: userId } } });
await taskRepository.createQueryBuilder("task").leftJoin("task.project", "project").where("project.ownerId = :id", { id }).getMany();
export const repository = source.getRepository(Project).extend({ of(id) { return this.createQueryBuilder().where('owner_id = :id', { id }); } });
// look-alikes
await projectRepository.find({ select: { id: true, ownerId: true } });
await projectRepository.find({ where: { ownerId: Not(userId) } });
await projectRepository.find({ where: { ownerId: IsNull() } });
await projectRepository.find({ order: { ownerId: "ASC" } });
await projectRepository.find({ relations: { owner: true } });
await teamRepository.find({ where: { ownerId: userId } });
await projectRepository.find({ where: { organizationId: org, ownerId: userId } });
await projectRepository.update({ id }, { ownerId: newOwner });
await teamRepository.createQueryBuilder("team").where("team.ownerId = :id", { id }).getMany();
await teamRepository.save({ name, ownerId: userId });
await projectRepository.createQueryBuilder("project").where("project.ownerId != :id", { id }).getMany();
await http.get("/projects", { params: { ownerId: userId } });
