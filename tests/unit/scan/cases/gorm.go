package app
type Work struct { Maker string `gorm:"column:owner_id"` }
func (Work) TableName() string { return "projects" }
// uses
func a() { db.Where("owner_id = ?", id).Find(&projects) }
func b() { db.Where("id = ? AND owner_id = ?", one, id).First(&project) }
func c() { db.Model(&models.Project{}).Where("owner_id = ?", id).Update("name", name) }
func d() { db.Where("owner_id = ?", id).Delete(&Project{}) }
func e() { db.Where(&Project{OwnerID: id}).First(&project) }
func f() { db.Where(map[string]interface{}{"owner_id": id}).Find(&projects) }
func g() { db.Create(&Project{Name: name, OwnerID: id}) }
func h() { project := Project{Name: name, OwnerID: id}; db.Create(&project) }
func i() { var rows []Project; db.Where("owner_id = ?", id).Find(&rows) }
func j() { q := db.Where("owner_id = ?", id); q.Find(&projects) }
func k() { db.Joins("JOIN projects ON projects.id = tasks.project_id").Where("projects.owner_id = ?", id).Find(&tasks) }
func l() { db.Table("projects").Where("owner_id IN ?", ids).Count(&n) }
func m() { db.Where(&Work{Maker: id}).First(&work) }
func n() { db.Model(&user).Association("Projects").Find(&projects) }
func o() { db.First(&project, "owner_id = ?", id) }
func GetOne(id string) { row := &Project{}; db.Where(&Project{OwnerID: id, Name: name}).First(row) }
// look-alikes
func a2() { db.Select("id", "owner_id").Find(&projects) }
func b2() { db.Where("owner_id <> ?", id).Find(&projects) }
func c2() { db.Not("owner_id = ?", id).Find(&projects) }
func d2() { db.Where("owner_id IS NULL").Find(&projects) }
func e2() { db.Order("owner_id desc").Find(&projects) }
func f2() { db.Where("owner_id = ?", id).Find(&teams) }
func g2() { db.Create(&Team{OwnerID: id}) }
func h2() { db.Where("owner_id = ? AND organization_id = ?", id, org).Find(&projects) }
func i2() { db.Model(&project).Update("owner_id", next) }
func j2() { return Project{Name: row.Name, OwnerID: row.OwnerID} }
func k2() { if project.OwnerID == id { return nil } }
func l2() { db.Joins("JOIN projects ON projects.id = teams.project_id").Where("teams.owner_id = ?", id).Find(&teams) }
func m2() { db.Model(&user).Association("Teams").Find(&teams) }
func Failed(id int) error { _ = "SELECT 1 FROM projects"; return fmt.Errorf("no project for owner_id=%d", id) }
