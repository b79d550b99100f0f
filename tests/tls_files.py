"""A certificate authority for tests, and a certificate that it signs."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

CURVE: list[str | Path] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@dataclass(frozen=True)
class TLSFiles:
    """The authority's certificate, and the server's certificate and key."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, names: str = "IP:127.0.0.1") -> Self:
        """Create a server certificate for the names, which are in openssl's notation."""
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        authority, authority_key, request = folder / "ca.pem", folder / "ca.key", folder / "server.csr"
        extensions, certificate, key = folder / "extensions", folder / "server.pem", folder / "server.key"
        usage: list[str | Path] = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        new: list[str | Path] = ["openssl", "req", *CURVE]
        _run([*new, "-x509", "-subj", "/CN=A test's CA", *usage, "-keyout", authority_key, "-out", authority])
        _run([*new, "-subj", "/CN=redis", "-keyout", key, "-out", request])
        lines = ("basicConstraints=CA:FALSE", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid")
        extensions.write_text("\n".join((*lines, f"subjectAltName={names}", "")))
        sign: list[str | Path] = [
            "openssl",
            "x509",
            "-req",
            "-CA",
            authority,
            "-CAkey",
            authority_key,
            "-CAcreateserial",
        ]
        _run([*sign, "-in", request, "-extfile", extensions, "-out", certificate])
        return cls(authority, certificate, key)

    def options(self, port: int) -> list[str]:
        """Return redis-server's options for TLS on this port."""
        files = ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key)]
        return ["--tls-port", str(port), *files, "--tls-ca-cert-file", str(self.authority), "--tls-auth-clients", "no"]


def _run(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, capture_output=True)
