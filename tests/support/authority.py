"""A time-stamping authority on loopback, which openssl makes."""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """
[ req ]
distinguished_name = name
[ name ]
[ ca ]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[ stamping ]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[ tsa ]
default_tsa = tsa_config
[ tsa_config ]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
ordering = no
tsa_name = no
ess_cert_id_chain = no
"""


@dataclass(frozen=True)
class Authority:
    """Its address, and the certificate that vouches for it."""

    url: str
    certificate: Path


@contextlib.contextmanager
def running_authority(folder: Path) -> Iterator[Authority]:
    """An authority that answers until the end, with keys of its own in `folder`."""
    folder.mkdir()
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    for name, subject in (("ca", "Test authority"), ("tsa", "Test clock")):
        curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl("genpkey", *curve, "-out", folder / f"{name}.key")
        new = ["req", "-new", "-config", config, "-subj", f"/CN={subject}"]
        _openssl(*new, "-key", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        own = ["-signkey", folder / "ca.key"]
        by_ca = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-set_serial", "2"]
        extensions = ["-extfile", config, "-extensions", "ca" if name == "ca" else "stamping"]
        sign = ["x509", "-req", "-days", "3", *extensions, "-in", folder / f"{name}.csr"]
        _openssl(*sign, *(own if name == "ca" else by_ca), "-out", folder / f"{name}.pem")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query, reply = folder / "query", folder / "reply"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            _openssl("ts", "-reply", "-config", config, "-queryfile", query, "-out", reply)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(reply.read_bytes())

        def log_message(self, *words: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Authority(f"http://127.0.0.1:{server.server_port}", folder / "ca.pem")
        finally:
            server.shutdown()
            thread.join()


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
