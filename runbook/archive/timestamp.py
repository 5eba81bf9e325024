"""Time stamps of RFC 3161: an authority's word that something was there at that time.

`openssl ts -verify` alone can check them too. The authority sees a SHA-256, and nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runbook.errors import BadInput

if TYPE_CHECKING:
    from rfc3161_client import Verifier

_SECONDS = 30.0
_MOST = 100_000  # bytes; real answers have less than 10,000
_SHA256 = "2.16.840.1.101.3.4.2.1"


@dataclass(frozen=True)
class Timestamp:
    """What is known of a time stamp; as for signatures, `text` says it to a person.

    "good": by an authority that the file of certificates vouches for; "unknown": it fits, but
    whose clock that is is not known; "bad": it does not fit, or is not intact.
    """

    state: Literal["good", "unknown", "bad"]
    text: str


def request_timestamp(content: bytes, url: str) -> bytes:
    """The answer of the time-stamping authority at `url`, a complete time-stamp response.

    Raises BadInput if it does not answer, refuses, or stamps something else.
    """
    import httpx
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256)
    request = builder.build()
    remedy = "try again, take another authority, or seal without --timestamp"
    try:
        answer = httpx.post(
            url,
            content=request.as_bytes(),
            headers={"Content-Type": "application/timestamp-query"},
            timeout=_SECONDS,
        )
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        problem = f"The time-stamping authority gave no stamp ({reason})"
        raise BadInput(f"{problem}; {remedy}.") from error
    stamp = answer.content[:_MOST]
    checked = check_timestamp(content, stamp, None)
    if checked.state == "bad":
        raise BadInput(f"The time-stamping authority's answer is {checked.text}; {remedy}.")
    return stamp


def check_timestamp(content: bytes, stamp: bytes, authorities: Path | None) -> Timestamp:
    """Checks a time-stamp response for `content`.

    `authorities` holds certificates in PEM, of which one must vouch for the stamp. Raises BadInput
    if that file cannot be used.
    """
    from rfc3161_client import VerificationError, decode_timestamp_response

    try:
        response = decode_timestamp_response(stamp)
        info = response.tst_info
        imprint, algorithm = info.message_imprint.message, info.message_imprint.hash_algorithm
        at = f"{info.gen_time:%Y-%m-%d %H:%M:%S} UTC"
        status = response.status
    except Exception as error:  # whatever the parser makes of foreign bytes
        return Timestamp("bad", f"bad: it is no intact time stamp ({type(error).__name__})")
    if status != 0:
        return Timestamp("bad", f"bad: the authority did not grant it (status {status})")
    if algorithm.dotted_string != _SHA256 or imprint != hashlib.sha256(content).digest():
        return Timestamp("bad", "bad: the time stamp is of something else")
    if authorities is None:
        return Timestamp("unknown", f"{at}, by an authority that is not known here")
    try:
        _verifier(authorities).verify_message(response, content)
    except (VerificationError, ValueError) as error:
        return Timestamp(
            "bad", f"bad: no certificate in {authorities.name} vouches for it ({error})"
        )
    return Timestamp("good", f"good, {at}")


def _verifier(authorities: Path) -> Verifier:
    """Trusts the certificates in the file: those that sign themselves as roots."""
    from cryptography.x509 import load_pem_x509_certificates
    from rfc3161_client import VerifierBuilder

    try:
        certificates = load_pem_x509_certificates(authorities.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(
            f"The certificates of authorities in {authorities} cannot be read ({error}); give a "
            "file in PEM."
        ) from error
    builder = VerifierBuilder()
    for certificate in certificates:
        if certificate.issuer == certificate.subject:
            builder = builder.add_root_certificate(certificate)
        else:
            builder = builder.add_intermediate_certificate(certificate)
    try:
        return builder.build()
    except ValueError as error:
        raise BadInput(
            f"{authorities} holds no certificate that signs itself; add the authority's root."
        ) from error
