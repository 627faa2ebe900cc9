"""Certificates of a host that only the tests know."""

from __future__ import annotations

from pathlib import Path

import trustme

HOST = "elt.test"
LOGIN_HOST = "login.elt.test"  # of the OpenID provider


def write_certificate(authority: trustme.CA, folder: Path, host: str = HOST) -> None:
    """Write a new certificate of a host, with that of the authority, and its key."""
    issued = authority.issue_cert(host)
    chain = (*issued.cert_chain_pems, authority.cert_pem)
    (folder / "certificate.pem").write_bytes(b"".join(each.bytes() for each in chain))
    key = folder / "certificate.key"
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(key)
