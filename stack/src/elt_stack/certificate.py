"""The checks of a certificate that Caddy reads from files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from elt_stack.errors import StackError
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings


def problems(settings: Settings) -> Iterator[str]:
    """Yield why browsers would refuse the certificate, or Caddy its files, as messages."""
    try:
        if settings["ACME_CA_ROOT"]:
            _certificate(settings, "ACME_CA_ROOT")
        if not settings["TLS_CERT_FILE"]:
            return
        certificate, key = _certificate(settings, "TLS_CERT_FILE"), _key(settings)
    except StackError as problem:
        yield str(problem)
        return
    name = f"TLS_CERT_FILE {settings['TLS_CERT_FILE']}"
    if certificate.not_valid_after_utc < datetime.now(UTC):
        yield f"{name} expired on {certificate.not_valid_after_utc:%d %B %Y}: renew the certificate"
    if certificate.not_valid_before_utc > datetime.now(UTC):
        yield (
            f"{name} is not valid before {certificate.not_valid_before_utc:%d %B %Y, %H:%M} UTC: "
            "check the clock of this machine"
        )
    host, names = settings["PUBLIC_HOST"].lower(), _host_names(certificate)
    # A wildcard stands for one label.
    if not {host, f"*.{host.partition('.')[2]}"} & set(names):
        yield (
            f"{name} is for {', '.join(names) or 'no host name'}, not for PUBLIC_HOST {host}: "
            "correct one of the two in .env"
        )
    if certificate.public_key() != key.public_key():
        yield (
            f"TLS_KEY_FILE {settings['TLS_KEY_FILE']} is not the key of {name}: correct one of the "
            "two in .env"
        )


def _certificate(settings: Settings, name: str) -> x509.Certificate:
    """Return the first certificate in a file. That of the host comes before all others."""
    content = _read(settings, name)
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except ValueError:
        raise StackError(
            f"{name} {settings[name]} contains no certificate in PEM format: correct the path in "
            ".env, or convert the file"
        ) from None


def _key(settings: Settings) -> PrivateKeyTypes:
    content = _read(settings, "TLS_KEY_FILE")
    name = f"TLS_KEY_FILE {settings['TLS_KEY_FILE']}"
    try:
        return serialization.load_pem_private_key(content, password=None)
    except TypeError:
        raise StackError(f"{name} has a password: give Caddy a key without one") from None
    except ValueError:
        raise StackError(
            f"{name} contains no private key in PEM format: correct the path in .env, or convert "
            "the file"
        ) from None


def _read(settings: Settings, name: str) -> bytes:
    path = PROJECT / settings[name]
    try:
        return path.read_bytes()
    except OSError as error:
        raise StackError(
            f"{name} {path} cannot be read ({error.strerror}): correct the path in .env, or the "
            "mode of the file"
        ) from None


def _host_names(certificate: x509.Certificate) -> list[str]:
    """Return the host names of a certificate. Browsers ignore its common name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]
