"""Names come from the application's own schema, in whatever way it declares them."""

import pytest

from runbook.scan import ResourceNames, scan

SCHEMAS = {
    "prisma": ({"schema.prisma": 'model Work {\n  id Int @id\n  maker String @map("owner_id")\n'
                '  by User @relation(fields: [maker], references: [id])\n  @@map("projects")\n}\n'
                "model User {\n  id Int @id\n  works Work[]\n}\n",
                "a.ts": "await prisma.work.findMany({ where: { maker: id } });\n"
                        "await prisma.work.findMany({ where: { by: { id } } });\n"
                        "await prisma.team.findMany({ where: { maker: id } });"}, [1, 2]),
    "drizzle": ({"schema.ts": "export const work = sqliteTable('projects', { maker: text('owner_id') });",
                 "a.ts": "await db.select().from(work).where(eq(work.maker, id));\n"
                         "await db.select().from(team).where(eq(team.maker, id));"}, [1]),
    "django app_model": ({"crm/models.py": "class Deal(models.Model):\n    owner = models.ForeignKey(User)",
                          "a.py": "Deal.objects.filter(owner=user)\nCase.objects.filter(owner=user)"}, [1]),
    "django db_table": ({"models.py": "class Work(models.Model):\n"
                         "    maker = models.ForeignKey(User, db_column='owner_id', related_name='works')\n"
                         "    class Meta:\n        db_table = 'projects'",
                         "a.py": "Work.objects.filter(maker=user)\nuser.works.all()\nuser.teams.all()"}, [1, 2]),
    "sqlalchemy": ({"models.py": "class Work(Base):\n    __tablename__ = 'projects'\n"
                    "    maker = mapped_column('owner_id', String)",
                    "a.py": "select(Work).where(Work.maker == 1)\nselect(Team).where(Team.maker == 1)"}, [1]),
    "eloquent": ({"Work.php": "<?php class Work extends Model { protected $table = 'projects'; }",
                  "a.php": "<?php\nWork::where('owner_id', 1)->get();\nTeam::where('owner_id', 1)->get();"}, [2]),
    "activerecord": ({"work.rb": "class Work < ApplicationRecord\n  self.table_name = 'projects'\nend",
                      "user.rb": "class User < ApplicationRecord\n  has_many :works, class_name: 'Work'\nend",
                      "a.rb": "Work.where(owner_id: 1)\nuser.works.first\nuser.teams.first"}, [1, 2]),
    "gorm": ({"work.go": 'package a\ntype Work struct { Maker string `gorm:"column:owner_id"` }\n'
              'func (Work) TableName() string { return "projects" }',
              "a.go": "package a\nfunc f() { db.Where(&Work{Maker: id}).Find(&rows) }\n"
                      "func g() { db.Where(&Team{Maker: id}).Find(&rows) }"}, [2]),
    "typeorm": ({"work.ts": "@Entity('projects')\nexport class Work { @Column({ name: 'owner_id' }) maker: string; }",
                 "a.ts": "await getRepository(Work).find({ where: { maker: id } });\n"
                         "await getRepository(Team).find({ where: { maker: id } });"}, [1]),
    "sequelize": ({"work.js": "Work.init({ maker: { field: 'owner_id' } }, { sequelize, tableName: 'projects' });",
                   "a.js": "await Work.findAll({ where: { maker: id } });\n"
                           "await Team.findAll({ where: { maker: id } });"}, [1]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_names_of_the_schema_are_used(tmp_path, name):
    files, lines = SCHEMAS[name]
    for file, text in files.items():
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    resource = ResourceNames("crm_deal") if name == "django app_model" else ResourceNames()
    found = scan(tmp_path, [resource]).findings
    assert [(f.file.rpartition("/")[2][:2], f.line) for f in found] == [("a.", n) for n in lines]


@pytest.mark.parametrize("name", SCHEMAS)
def test_without_the_schema_there_is_nothing(tmp_path, name):
    files, _ = SCHEMAS[name]
    file = next(file for file in files if file.startswith("a."))
    (tmp_path / file).write_text(files[file])
    assert scan(tmp_path).findings == ()


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.vue", "<template>\n<p>it's</p>\n</template>\n<script setup lang='ts'>\n"
                  "await prisma.project.findMany({ where: { ownerId: id } });\n</script>", 5),
        ("a.svelte", "<p>don't</p>\n<script>\nawait knex('projects').where('owner_id', id);\n</script>", 3),
        ("a.astro", "---\nawait knex('projects').where('owner_id', id);\n---\n<p>don't</p>", 2),
        ("a.erb", "<p>don't</p>\n<% Project.where(owner_id: 1).each do |p| %>\n<%= p.name %>\n<% end %>", 2),
        ("a.jsx", "const A = () => <p a={knex('projects').where('owner_id', id)}>don't</p>;", 1),
        ("a.tsx", "const A = () => <p>don't</p>;\nconst b = db<X>('projects').where('owner_id', id);", 2),
    ],
)  # fmt: skip
def test_code_in_templates_is_read_where_it_stands(tmp_path, name, text, line):
    path = tmp_path / name
    path.write_text(text)
    assert [finding.line for finding in scan(path).findings] == [line]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.js", "knex('projects')" + "\n.where('owner_id', 1)" * 5_000),
        ("a.rb", "Project" + ".where(a: 1)" * 5_000 + ".where(owner_id: 1)"),
        (
            "a.php",
            "<?php Project::query()" + "->where('a', 1)" * 5_000 + "->where('owner_id', 1);",
        ),
    ],
)
def test_a_long_chain_is_one_finding_and_ends(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert len(scan(path).findings) == 1
