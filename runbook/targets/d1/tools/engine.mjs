// D1's engine with one local database open, for many reads without starting wrangler for each.
//   node engine.mjs WRANGLER STATE ID
// Each line of standard input is a JSON list of statements; each line of standard output is
// {"rows": [[row, ...], ...]} or {"error": "..."}. It ends when standard input closes.
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const [wrangler, state, id] = process.argv.slice(2);
// miniflare is wrangler's own dependency, so it is the very version that wrangler would use.
const miniflare = createRequire(path.join(wrangler, "package.json"))("miniflare");
const worker = { modules: true, script: "", d1Databases: { DATABASE: id } };
const folder = path.join(state, "v3");
// Miniflare 5 has options of another form, and brings what makes them of the earlier ones.
const convert = miniflare.convertV4MiniflareOptions;
const engine = new miniflare.Miniflare(
  convert
    ? convert({ ...worker, resourcePersistencePath: folder })
    : { ...worker, d1Persist: path.join(folder, "d1") },
);
try {
  const database = await engine.getD1Database("DATABASE");
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    let answer;
    // What is not the database's own refusal is a fault of the connection between Node and the
    // engine, seen now and then on a busy machine: a read is tried again.
    for (let attempt = 1; attempt <= 3 && !answer?.rows; attempt += 1) {
      try {
        const statements = JSON.parse(line).map((sql) => database.prepare(sql));
        answer = { rows: (await database.batch(statements)).map((result) => result.results) };
      } catch (error) {
        answer = { error: String(error.cause?.message ?? error.message) };
        if (/^D1_/.test(error.message)) break;
      }
    }
    if (!process.stdout.write(JSON.stringify(answer) + "\n")) {
      await new Promise((drained) => process.stdout.once("drain", drained));
    }
  }
} finally {
  await engine.dispose();
}
