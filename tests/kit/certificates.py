"""Certificates for targets: a small authority that makes good and bad ones."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """An authority with its files in a directory."""

    def __init__(self, home: Path, name: str = "authority") -> None:
        """Make its key and its certificate."""
        self._home = home
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = home / f"{name}.pem"
        """Its certificate, for those who are to trust it."""
        self.file.write_bytes(self._signed(self._name, self._key, self._name, None, -1, 1).public_bytes(serialization.Encoding.PEM))

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, host: str | None, begin: float, end: float, *, own: bool = False
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin * DAY)
            .not_valid_after(now + end * DAY)
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host is not None:
            made = made.add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        return made.sign(key if own else self._key, hashes.SHA256())

    def context(self, host: str, *, begin: float = -1, end: float = 1, self_signed: bool = False) -> ssl.SSLContext:
        """Return a server's TLS with a certificate for `host`, valid from and to so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name("target")
        certificate = self._signed(subject, key, subject if self_signed else self._name, host, begin, end, own=self_signed)
        file = self._home / f"{certificate.serial_number}.pem"
        plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
