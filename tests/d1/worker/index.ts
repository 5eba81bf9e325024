// What a team that deploys in TypeScript runs beside a migration: the checks and the rollback that
// were specified for it, on the database that the Worker is bound to.
interface Statement {
  first<Row>(): Promise<Row | null>;
}

interface Database {
  prepare(sql: string): Statement;
  batch(statements: Statement[]): Promise<unknown>;
}

interface Env {
  DB: Database;
}

const CHECKS: [issue: string, sql: string][] = [
  [
    "projects without organization",
    "SELECT count(*) AS n FROM projects WHERE organization_id IS NULL",
  ],
  [
    "orgs missing owner membership",
    `SELECT count(*) AS n FROM organizations AS o WHERE NOT EXISTS (
       SELECT 1 FROM organization_memberships AS m
       WHERE m.organization_id = o.id AND m.user_id = o.owner_id)`,
  ],
  [
    "users with resources but no org",
    `SELECT count(*) AS n FROM users AS u
     WHERE EXISTS (SELECT 1 FROM projects AS p WHERE p.owner_id = u.id)
       AND NOT EXISTS (SELECT 1 FROM organization_memberships AS m WHERE m.user_id = u.id)`,
  ],
];

async function verifyMigration(db: Database): Promise<{ success: boolean; issues: string[] }> {
  const issues: string[] = [];
  for (const [issue, sql] of CHECKS) {
    const row = await db.prepare(sql).first<{ n: number }>();
    if (row && row.n > 0) issues.push(`${row.n} ${issue}`);
  }
  return { success: issues.length === 0, issues };
}

async function rollbackMigration(db: Database): Promise<void> {
  await db.batch([
    db.prepare("UPDATE projects SET organization_id = NULL"),
    db.prepare("DROP TABLE IF EXISTS organization_memberships"),
    db.prepare("DROP TABLE IF EXISTS organizations"),
  ]);
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname === "/verify") {
      return Response.json(await verifyMigration(env.DB));
    }
    await rollbackMigration(env.DB);
    return Response.json("rolled back");
  },
};
