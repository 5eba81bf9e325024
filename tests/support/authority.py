"""Authorities that openssl makes: one that stamps times on loopback, one for encrypted connections."""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_AUTHORITY = """
[ req ]
distinguished_name = name
[ name ]
[ ca ]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
"""

_CONFIG = """
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
    config.write_text(_AUTHORITY + _CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    _sign(folder, config, "tsa", "Test clock", "stamping")

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


_MEMBERS = """
[ member ]
basicConstraints = CA:false
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
"""


def certificates(folder: Path) -> Path:
    """Keys for encrypted connections on loopback: `ca.pem`, `member.pem`, `member.key`."""
    folder.mkdir()
    config = folder / "openssl.cnf"
    config.write_text(_AUTHORITY + _MEMBERS)
    _sign(folder, config, "member", "Test member", "member")
    return folder


def _sign(folder: Path, config: Path, name: str, subject: str, section: str) -> None:
    """An authority `ca`, and one certificate that it vouches for."""
    for stem, who in (("ca", "Test authority"), (name, subject)):
        curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl("genpkey", *curve, "-out", folder / f"{stem}.key")
        new = ["req", "-new", "-config", config, "-subj", f"/CN={who}"]
        _openssl(*new, "-key", folder / f"{stem}.key", "-out", folder / f"{stem}.csr")
        by_ca = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-set_serial", "2"]
        own = ["-signkey", folder / "ca.key"] if stem == "ca" else by_ca
        extensions = ["-extfile", config, "-extensions", "ca" if stem == "ca" else section]
        sign = ["x509", "-req", "-days", "3", *extensions, "-in", folder / f"{stem}.csr"]
        _openssl(*sign, *own, "-out", folder / f"{stem}.pem")


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
