"""A small application over the sample database: a real web server with a maintenance page.

Its folder says how it is: the file `maintenance` shuts it, `code` holds `old` or `new`, `log` is
what it writes. Old code asks for projects by owner, new code through memberships; new code needs
the migrated database, and is not well without it.

    python application.py FOLDER DATABASE      serves, and writes its port to FOLDER/port
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BY_OWNER = "SELECT id, name FROM projects WHERE owner_id = ?"
BY_ORGANIZATION = """
SELECT r.id, r.name
FROM projects AS r
JOIN organization_memberships AS m ON m.organization_id = r.organization_id
JOIN organizations AS o ON o.id = m.organization_id
WHERE m.user_id = ? AND o.type = 'personal'
"""
INSERT_OLD = "INSERT INTO projects (id, name, owner_id) VALUES (:id, :name, :user)"
INSERT_NEW = """
INSERT INTO projects (id, name, owner_id, organization_id)
SELECT :id, :name, :user, m.organization_id
FROM organization_memberships AS m
JOIN organizations AS o ON o.id = m.organization_id
WHERE m.user_id = :user AND o.type = 'personal'
"""


class Application(BaseHTTPRequestHandler):
    """One request; the database is opened for it and closed again."""

    folder: Path
    database: Path

    def do_GET(self) -> None:
        where = urllib.parse.urlsplit(self.path)
        if where.path == "/health":
            self.health()
        elif where.path == "/large":
            self.answer(503, "maintenance " + "x" * 900_000)
        elif self.shut:
            self.answer(503, "Back soon: maintenance")
        elif where.path == "/projects":
            user = urllib.parse.parse_qs(where.query)["user"][0]
            query = BY_ORGANIZATION if self.code == "new" else BY_OWNER
            with self.connected() as connection:
                rows = connection.execute(query, (user,)).fetchall()
            self.answer(200, f"{len(rows)} projects")
        else:
            self.answer(200, "welcome")

    def do_POST(self) -> None:
        if self.shut:
            self.answer(503, "Back soon: maintenance")
            return
        length = int(self.headers.get("Content-Length", "0"))
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        with self.connected() as connection:
            connection.execute(INSERT_NEW if self.code == "new" else INSERT_OLD, form)
        self.answer(201, "made")

    def health(self) -> None:
        """Well if the code fits the database."""
        code = self.code
        try:
            with self.connected() as connection:
                connection.execute(BY_ORGANIZATION if code == "new" else BY_OWNER, ("",))
            if code not in ("old", "new"):
                raise ValueError(f"the code {code} does not start")
        except (sqlite3.Error, ValueError) as error:
            with (self.folder / "log").open("a") as log:
                log.write(f"ERROR {error}\n")
            self.answer(500, f"not well: {error}")
        else:
            self.answer(200, f"well, {code} code")

    @property
    def shut(self) -> bool:
        return (self.folder / "maintenance").exists()

    @property
    def code(self) -> str:
        return (self.folder / "code").read_text().strip()

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.database, isolation_level=None, timeout=5)
        try:
            yield connection
        finally:
            connection.close()

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: only errors go to the log."""


def serve(folder: Path, database: Path) -> ThreadingHTTPServer:
    """The application, served on a free port by a thread of its own."""
    handler = type("Bound", (Application,), {"folder": folder, "database": database})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def main() -> None:
    folder, database = Path(sys.argv[1]), Path(sys.argv[2])
    handler = type("Bound", (Application,), {"folder": folder, "database": database})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    pending = folder / ".port"
    pending.write_text(str(server.server_address[1]))
    pending.rename(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main()
