// uses
await db.selectFrom("projects").selectAll().where("owner_id", "=", userId).execute();
await db.selectFrom("projects").selectAll().where("ownerId", "=", userId).execute();
await db.selectFrom("projects as p").select("p.id").where("p.owner_id", "=", userId).executeTakeFirst();
await db.selectFrom("projects").where("owner_id", "in", ids).execute();
await db.selectFrom("projects").where((eb) => eb("ownerId", "=", userId)).execute();
await db.selectFrom("projects").where((eb) => eb.or([eb("ownerId", "=", userId), eb("public", "=", 1)])).execute();
await db.updateTable("projects").set({ name }).where("ownerId", "=", userId).execute();
await db.deleteFrom("projects").where("id", "=", id).where("ownerId", "=", userId).execute();
await db.insertInto("projects").values({ id, name, ownerId: userId }).execute();
await db.selectFrom("tasks").innerJoin("projects", "projects.id", "tasks.projectId").where("projects.ownerId", "=", userId).execute();
async function kept(id) { let q = db.selectFrom("projects").selectAll(); q = q.where("ownerId", "=", id); return q.execute(); }
await sql`SELECT id FROM projects WHERE owner_id = ${userId}`.execute(db);
await projectRepo.insertProject({ name, ownerId: user.id });
// look-alikes
await db.selectFrom("projects").select(["id", "ownerId"]).execute();
await db.selectFrom("projects").where("ownerId", "!=", userId).execute();
await db.selectFrom("projects").where("ownerId", "is", null).execute();
await db.selectFrom("projects").where("ownerId", "not in", ids).execute();
await db.selectFrom("teams").where("ownerId", "=", userId).execute();
await db.selectFrom("projects").orderBy("ownerId", "desc").execute();
await db.selectFrom("projects").innerJoin("users", "users.id", "projects.ownerId").execute();
await db.selectFrom("projects").where("organizationId", "=", org).where("ownerId", "=", userId).execute();
await db.updateTable("projects").set({ ownerId: newOwner }).where("id", "=", id).execute();
await db.insertInto("teams").values({ ownerId: userId }).execute();
await db.selectFrom("tasks").innerJoin("projects", "projects.id", "tasks.projectId").where("tasks.ownerId", "=", userId).execute();
await teamRepo.insertTeam({ name, ownerId: user.id });
