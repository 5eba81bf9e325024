package app
// uses
func a() { sq.Select("*").From("projects").Where(sq.Eq{"owner_id": id}) }
func b() { sq.Select("id").From("projects").Where(sq.Eq{"id": one, "owner_id": id}).Limit(5) }
func c() { sq.Select("*").From("projects").Where("owner_id = ?", id) }
func d() { sq.Update("projects").Set("name", name).Where(sq.Eq{"owner_id": id}) }
func e() { sq.Delete("projects").Where(sq.Eq{"owner_id": id}) }
func f() { sq.Select("*").From("projects p").Where(sq.Eq{"p.owner_id": id}) }
func g() { sq.Select("*").From("projects").Where(sq.And{sq.Eq{"owner_id": id}, sq.Gt{"age": 3}}) }
func h() { q := sq.Select("*").From("projects"); q = q.Where(sq.Eq{"owner_id": id}) }
func i() { sq.Select("t.*").From("tasks t").Join("projects ON projects.id = t.project_id").Where(sq.Eq{"projects.owner_id": id}) }
func j() { psql.Select("count(*)").From("projects").Where(squirrel.Eq{"owner_id": ids}) }
func k() { sq.Insert("projects").SetMap(map[string]any{"name": name, "owner_id": id}) }
// look-alikes
func a2() { sq.Select("id", "owner_id").From("projects") }
func b2() { sq.Select("*").From("projects").Where(sq.NotEq{"owner_id": id}) }
func c2() { sq.Select("*").From("projects").Where(sq.Eq{"owner_id": nil}) }
func d2() { sq.Select("*").From("projects").OrderBy("owner_id") }
func e2() { sq.Select("*").From("teams").Where(sq.Eq{"owner_id": id}) }
func f2() { sq.Select("*").From("projects").Where(sq.Eq{"organization_id": org, "owner_id": id}) }
func g2() { sq.Update("projects").Set("owner_id", next).Where(sq.Eq{"id": id}) }
func h2() { sq.Select("*").From("projects").Where("owner_id <> ?", id) }
func i2() { sq.Insert("teams").SetMap(map[string]any{"owner_id": id}) }
func j2() { sq.Select("*").From("projects p").Join("teams t ON t.id = p.team_id").Where(sq.Eq{"t.owner_id": id}) }
func k2() { m := map[string]any{"owner_id": id}; log.Print(m) }
