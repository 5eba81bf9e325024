export const projectRows = sqliteTable("projects", { id: text("id"), holder: text("owner_id") });
// uses
await db.select().from(projects).where(eq(projects.ownerId, userId));
await db.select().from(projectRows).where(eq(projectRows.holder, userId)).limit(5);
await db.select().from(projects).where(and(eq(projects.id, id), eq(projects.ownerId, userId)));
await db.update(projects).set({ name }).where(eq(projects.ownerId, userId));
await db.delete(projects).where(and(eq(projects.ownerId, userId), lt(projects.age, 3)));
await db.insert(projects).values({ id, name, ownerId: userId });
await db.query.projects.findMany({ where: (p, { eq }) => eq(p.ownerId, userId) });
await db.query.projects.findFirst({ where: eq(projects.ownerId, userId) });
await db.select().from(tasks).innerJoin(projects, eq(tasks.projectId, projects.id)).where(eq(projects.ownerId, userId));
await db.select().from(projects).where(inArray(projects.ownerId, ids));
await db.all(sql`SELECT name FROM projects WHERE owner_id = ${userId}`);
async function kept(id) { const conditions = [eq(projects.ownerId, id)]; return db.select().from(projects).where(and(...conditions)); }
await db.insert(projectRows).values([{ id: 1, holder: userId }]);
async function mine() { const users = await me(); return db.select().from(projects).where(eq(projects.ownerId, users.id)); }
// look-alikes
await db.select({ owner: projects.ownerId }).from(projects);
await db.select().from(projects).where(ne(projects.ownerId, userId));
await db.select().from(projects).where(not(eq(projects.ownerId, userId)));
await db.select().from(projects).innerJoin(users, eq(projects.ownerId, users.id));
await db.select().from(teams).where(eq(teams.ownerId, userId));
await db.select().from(projects).orderBy(asc(projects.ownerId));
await db.select().from(projects).where(isNull(projects.ownerId));
await db.select().from(projects).where(and(eq(projects.organizationId, org), eq(projects.ownerId, userId)));
await db.insert(projects).values({ id, ownerId: userId, organizationId });
await db.update(projects).set({ ownerId: newOwner }).where(eq(projects.id, id));
await db.insert(teams).values({ id, ownerId: userId });
const same = isEqual(project.ownerId, userId);
