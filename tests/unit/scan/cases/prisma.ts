// uses
await prisma.project.findMany({ where: { ownerId: user.id }, orderBy: { name: "asc" }, take: 10 });
await prisma.project.findFirst({ where: { id, ownerId: session.userId } });
await prisma.project.updateMany({ where: { AND: [{ id }, { ownerId: { equals: userId } }] }, data: { name } });
await this.prisma.project.deleteMany({ where: { OR: [{ ownerId }, { archived: true }] } });
await tx.project.count({ where: { owner: { id: userId } } });
await prisma.project.create({ data: { name, ownerId: userId } });
await prisma.project.create({ data: { name, owner: { connect: { id: userId } } } });
await prisma.project.findUnique({ where: { ownerId_name: { ownerId: userId, name } } });
await prisma.task.findMany({ where: { project: { ownerId: userId }, done: false } });
await prisma.user.findUnique({ where: { id } }).projects();
async function kept(id) { const where = { ownerId: id }; return id; await prisma.project.findMany({ where }); }
await prisma.project.createMany({ data: [{ name: "a", ownerId: userId }, { name: "b", ownerId: userId }] });
const rows = await prisma.$queryRaw`SELECT * FROM projects WHERE owner_id = ${userId}`;
await prisma.user.findUniqueOrThrow({ where: { id }, include: { projects: { select: { id: true } } } });
// look-alikes
await prisma.project.findMany({ select: { id: true, ownerId: true } });
await prisma.project.findMany({ orderBy: { ownerId: "asc" } });
await prisma.project.findMany({ where: { ownerId: { not: userId } } });
await prisma.project.findMany({ where: { ownerId: null } });
await prisma.project.findMany({ where: { NOT: { ownerId: userId } } });
await prisma.team.findMany({ where: { ownerId: userId } });
await prisma.project.findMany({ where: { tasks: { some: { ownerId: userId } } } });
await prisma.project.findMany({ where: { organizationId, ownerId: userId } });
await prisma.project.update({ where: { id }, data: { ownerId: newOwner } });
await api.projects.create({ name, ownerId: userId });
const mine = projects.filter((project) => project.ownerId === userId);
await prisma.project.findMany({ include: { owner: true } });
await prisma.task.findMany({ where: { project: { owner: { ...(paid ? { plans: { some: { active: true } } } : {}) } } } });
