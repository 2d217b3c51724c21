"""Makes an authority and a certificate of localhost by openssl, for tests of TLS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

_LEAF = (
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
    "basicConstraints=critical,CA:false\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
)


class Certificates(NamedTuple):
    """PEM files: of an authority, and of a certificate by it, with its key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make them; skip the test where openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: makes the certificates")
    authority, leaf = folder / "authority", folder / "leaf"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(
        "req", "-x509", *new_key, "-days", "2", "-subj", "/CN=test authority",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", f"{authority}.key", "-out", f"{authority}.pem",
    )  # fmt: skip
    _openssl(
        "req", *new_key, "-subj", "/CN=localhost", "-keyout", f"{leaf}.key", "-out", f"{leaf}.csr"
    )
    (folder / "leaf.ext").write_text(_LEAF)
    _openssl(
        "x509", "-req", "-in", f"{leaf}.csr", "-CA", f"{authority}.pem",
        "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", "2",
        "-extfile", f"{leaf}.ext", "-out", f"{leaf}.pem",
    )  # fmt: skip
    return Certificates(Path(f"{authority}.pem"), Path(f"{leaf}.pem"), Path(f"{leaf}.key"))


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
