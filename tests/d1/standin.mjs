// A stand-in for Cloudflare's API on the loopback interface, in front of the real engine (workerd).
// It proves what our client does with an answer; it cannot prove what Cloudflare answers.
//   node standin.mjs TOOLS STATE ID     prints its port; ends when its standard input closes
import crypto from "node:crypto";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [tools, state, id] = process.argv.slice(2);
const require = createRequire(path.join(tools, "package.json"));
const miniflare = require("miniflare");
const worker = {
  modules: true,
  script: "export default { fetch() { return new Response('') } }",
  d1Databases: { DB: id },
};
const folder = path.join(state, "v3");
const convert = miniflare.convertV4MiniflareOptions;
const mf = new miniflare.Miniflare(
  convert
    ? convert({ ...worker, resourcePersistencePath: folder })
    : { ...worker, d1Persist: path.join(folder, "d1") },
);
const db = await mf.getD1Database("DB");
const log = [];
let faults = [];
let writes = 0;
const uploads = new Map();

// Statements of a text: semicolons count outside quotes, comments and the bodies of triggers.
function split(sql) {
  const statements = [];
  let current = "";
  const tokens = sql.match(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\w+|[\s\S]/g) ?? [];
  let body = 0;
  for (const token of tokens) {
    const word = token.toUpperCase();
    if (/^\s*CREATE\s+(TEMP\s+)?TRIGGER/i.test(current)) {
      if (word === "BEGIN" || word === "CASE") body += 1;
      if (word === "END") body -= 1;
    }
    if (token === ";" && body <= 0) {
      statements.push(current);
      current = "";
      body = 0;
    } else if (!token.startsWith("--") && !token.startsWith("/*")) current += token;
  }
  statements.push(current);
  return statements.map((s) => s.trim()).filter(Boolean);
}

async function run(sql, most = Infinity) {
  const statements = split(sql).slice(0, most);
  if (statements.some((s) => !/^(SELECT|PRAGMA|WITH)\b/i.test(s))) writes += 1;
  const results = await db.batch(statements.map((s) => db.prepare(s)));
  return results.map((r) => ({ results: r.results, success: true, meta: { duration: 1, served_by_primary: true } }));
}

const bookmark = () => `${String(writes).padStart(8, "0")}-00000000-standin`;

async function act(action, body, base, most) {
  if (action === "query") return run(body.sql, most);
  if (action === "import" && body.action === "init") {
    uploads.set(body.etag, null);
    return { success: true, upload_url: `${base}/upload/${body.etag}`, filename: body.etag };
  }
  if (action === "import" && body.action === "ingest") {
    const results = await run(uploads.get(body.etag), most);
    return {
      success: true, type: "import", status: "complete", messages: ["Processed it"],
      result: {
        num_queries: results.length, final_bookmark: bookmark(),
        meta: { duration: 1, rows_read: 0, rows_written: 0, size_after: 4096 },
      },
    };
  }
  return null;
}

function fault(action, text) {
  const found = faults.find((f) => f.action === action && f.times > 0 && text.includes(f.match));
  if (found) found.times -= 1;
  return found?.kind;
}

const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const base = `http://127.0.0.1:${server.address().port}`;
  const answer = (status, value) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  const ok = (result) => answer(200, { success: true, errors: [], messages: [], result });
  const failed = (status, code, message) =>
    answer(status, { success: false, errors: [{ code, message }], messages: [], result: null });
  const url = request.url.split("?")[0];
  if (url === "/__log") return answer(200, log);
  if (url === "/__faults") { faults = JSON.parse(text); return answer(200, {}); }
  if (url.startsWith("/upload/")) {
    uploads.set(url.slice(8), text);
    const etag = crypto.createHash("md5").update(text).digest("hex");
    response.writeHead(200, { etag: `"${etag}"` });
    return response.end();
  }
  const action = url.split("/").at(-1);
  log.push({ method: request.method, action, text, token: request.headers.authorization ?? "" });
  const kind = fault(action, text);
  if (kind === "drop before") return request.socket.destroy();
  if (kind === "429") return failed(429, 10429, "Please wait and consider throttling your request speed");
  if (kind === "500") return failed(500, 7500, "internal error");
  if (kind === "404") return failed(404, 7404, "The database app could not be found");
  if (kind === "overloaded") return failed(503, 7500, "D1 DB is overloaded. Requests queued for too long.");
  if (kind === "hang") return undefined;
  if (kind === "403") return failed(403, 10000, "Authentication error");
  if (kind === "html") {
    response.writeHead(503, { "content-type": "text/html" });
    return response.end("<html><h1>503 Service Unavailable</h1></html>");
  }
  if (url.endsWith("/time_travel/bookmark")) return ok({ bookmark: bookmark() });
  if (request.method === "GET") return ok({ uuid: id, name: "app", version: "production" });
  try {
    // "part 5": a service that runs five statements, keeps them, and fails.
    const part = /^part (\d+)$/.exec(kind ?? "");
    const most = part ? Number(part[1]) : undefined;
    // A read replica that has not heard of anything yet.
    if (kind === "replica") {
      const meta = { duration: 1, served_by_primary: false };
      return ok(split(JSON.parse(text).sql).map(() => ({ results: [], success: true, meta })));
    }
    const result = await act(action, JSON.parse(text || "{}"), base, most);
    if (part) return failed(500, 7500, "internal error");
    if (kind === "drop after") return request.socket.destroy();
    if (kind === "500 after") return failed(500, 7500, "internal error");
    if (kind === "slow") await new Promise((done) => setTimeout(done, 20000));
    return result === null ? failed(404, 7404, "not found") : ok(result);
  } catch (error) {
    return failed(400, 7500, String(error.cause?.message ?? error.message));
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", async () => { server.closeAllConnections(); server.close(); await mf.dispose(); process.exit(0); });
