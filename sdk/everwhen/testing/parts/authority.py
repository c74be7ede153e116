"""A certificate authority of one's own, and certificates from it, made by the program ``openssl``."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts.errors import PartsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 30.0
_LONG_AGO = ("20200101000000Z", "20200102000000Z")

# Of `openssl ca`, the one command of every version that takes the dates of a certificate.
_CONFIG = """\
[ca]
default_ca = own
[own]
dir = {directory}
database = {directory}/issued
serial = {directory}/serial
new_certs_dir = {directory}
certificate = {directory}/ca.crt
private_key = {directory}/ca.key
default_md = sha256
default_days = 2
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key (PKCS#8), both PEM files."""

    certificate: Path
    key: Path

    @property
    def both(self) -> str:
        """The contents of both files, the key first: a keystore of Kafka's type ``PEM``."""
        return self.key.read_text() + self.certificate.read_text()


class Authority:
    """Issues certificates for two days; everything lies in ``directory``, which has to exist."""

    def __init__(self, directory: Path, name: str = "Everwhen test authority") -> None:
        """Make the authority's key and certificate.

        :raises PartsError: if there is no ``openssl`` on the path, or it fails.
        """
        self._directory = directory
        self.certificate = directory / "ca.crt"
        (directory / "ca.cnf").write_text(_CONFIG.format(directory=directory))
        (directory / "issued").write_text("")
        (directory / "serial").write_text("01\n")
        key = self._key("ca")
        own = ["-subj", f"/CN={name}", "-days", "2", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        self._openssl("req", "-x509", "-new", "-key", str(key), *own, "-out", str(self.certificate))

    def issue(self, name: str, hosts: Sequence[str] = (), *, expired: bool = False) -> Identity:
        """Issue a certificate to ``name`` for these host names and addresses of IPv4.

        :param expired: one that was good for a day, years ago.
        """
        key = self._key(name)
        request, certificate = self._directory / f"{name}.csr", self._directory / f"{name}.crt"
        kinds = ["IP" if host.replace(".", "").isdigit() else "DNS" for host in hosts]
        names = ",".join(f"{kind}:{host}" for kind, host in zip(kinds, hosts, strict=True))
        extension = ["-addext", f"subjectAltName={names}"] if names else []
        self._openssl("req", "-new", "-key", str(key), "-subj", f"/CN={name}", *extension, "-out", str(request))
        dates = ["-startdate", _LONG_AGO[0], "-enddate", _LONG_AGO[1]] if expired else []
        config = ["-config", str(self._directory / "ca.cnf"), "-batch", "-notext"]
        self._openssl("ca", *config, *dates, "-in", str(request), "-out", str(certificate))
        return Identity(certificate, key)

    def _key(self, name: str) -> Path:
        key = self._directory / f"{name}.key"
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key))
        key.chmod(0o600)
        return key

    def _openssl(self, *arguments: str) -> None:
        program = find_openssl()
        try:
            subprocess.run([program, *arguments], check=True, capture_output=True, text=True, timeout=_SECONDS)
        except subprocess.CalledProcessError as error:
            raise PartsError(f"openssl {arguments[0]} failed: {error.stderr.strip()[-500:]}") from error


def find_openssl() -> str:
    """The program; raises `PartsError` if there is none."""
    program = shutil.which("openssl")
    if program is None:
        raise PartsError("no openssl on the PATH, which makes the certificates: install it")
    return program
