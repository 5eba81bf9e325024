package app
// uses
func a() { client.Project.Query().Where(project.OwnerID(id)).All(ctx) }
func b() { client.Project.Query().Where(project.OwnerIDEQ(id), project.Archived(false)).First(ctx) }
func c() { client.Project.Query().Where(project.HasOwnerWith(user.ID(id))).All(ctx) }
func d() { client.Project.Query().Where(project.OwnerIDIn(ids...)).Count(ctx) }
func e() { client.Project.Update().Where(project.OwnerID(id)).SetName(name).Save(ctx) }
func f() { client.Project.Delete().Where(project.OwnerID(id)).Exec(ctx) }
func g() { client.Project.Create().SetName(name).SetOwnerID(id).Save(ctx) }
func h() { client.Project.Create().SetOwner(u).SaveX(ctx) }
func i() { u.QueryProjects().All(ctx) }
func j() { client.User.QueryProjects(u).Count(ctx) }
func k() { client.Task.Query().Where(task.HasProjectWith(project.OwnerID(id))).All(ctx) }
func l() { client.Project.Query().Where(project.And(project.OwnerID(id), project.Archived(false))).All(ctx) }
// look-alikes
func a2() { client.Project.Query().Where(project.OwnerIDNEQ(id)).All(ctx) }
func b2() { client.Project.Query().Where(project.Not(project.OwnerID(id))).All(ctx) }
func c2() { client.Project.Query().Where(project.OwnerIDIsNil()).All(ctx) }
func d2() { client.Project.Query().Order(project.ByOwnerID()).All(ctx) }
func e2() { client.Team.Query().Where(team.OwnerID(id)).All(ctx) }
func f2() { client.Project.Query().WithOwner().All(ctx) }
func g2() { client.Project.UpdateOneID(one).SetOwnerID(next).Save(ctx) }
func h2() { client.Team.Create().SetOwnerID(id).Save(ctx) }
func i2() { client.Project.Query().Where(project.OwnerID(id), project.OrganizationID(org)).All(ctx) }
func j2() { u.QueryTeams().All(ctx) }
func k2() { client.Project.Query().Where(project.HasOwner()).All(ctx) }
