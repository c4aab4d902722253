"""The names that a verified client certificate carries, as grants may mean them.

Read from the certificate's DER: Python's own dictionary (ssl.SSLSocket.getpeercert) joins names of some types into text
and loses the exact ones of others.
"""

import contextlib
import ssl
from typing import Final

from cryptography import x509

from mcproxy.policy.certificates import CertificateName, presented
from mcproxy.relay.secured import Secured

MOST_NAMES: Final = 100
"""Names of one certificate that are looked at: an authority's certificate of 100 KB could bring thousands."""

_UNREADABLE: Final = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What OpenSSL may take and cryptography doesn't: an extension twice, a name whose bytes are no text."""

_ALTERNATIVE_NAMES: Final = (
    (x509.UniformResourceIdentifier, "uri"),
    (x509.DNSName, "dns"),
    (x509.RFC822Name, "email"),
)


def unusable(connection: Secured) -> str | None:
    """What stands against the client's verified certificate although OpenSSL has taken it; None for nothing.

    RFC 8446 section 4.4.2.2: a keyUsage must allow to sign. OpenSSL is content with one that allows to agree on keys.
    """
    der = connection.certificate()
    if der is None:
        return None
    try:
        certificate = x509.load_der_x509_certificate(der)
        connection.presented = _names(certificate)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    except x509.ExtensionNotFound:
        return None
    except _UNREADABLE:
        return "it can't be read without doubt"
    return None if usage.value.digital_signature else "its keyUsage lacks digitalSignature"


def refused(problem: str) -> ssl.SSLCertVerificationError:
    """What a handshake ends with whose certificate is not taken."""
    error = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, problem)
    error.verify_message = problem
    return error


def certificate_names(connection: Secured) -> tuple[CertificateName, ...]:
    """The names of the verified certificate: the alternative ones (RFC 5280 section 4.2.1.6), then its subject.

    Empty without a certificate, and for one that can't be read without doubt. Names that nobody can have are left out.
    They are read once, as thousands of them take a while.
    """
    if connection.presented is None:
        names: tuple[CertificateName, ...] = ()
        der = connection.certificate()
        if der is not None:
            with contextlib.suppress(*_UNREADABLE):
                names = _names(x509.load_der_x509_certificate(der))
        connection.presented = names
    found: tuple[CertificateName, ...] = connection.presented
    return found


def _names(certificate: x509.Certificate) -> tuple[CertificateName, ...]:
    """Raises one of _UNREADABLE, if only the subject is so."""
    names = [*_alternative_names(certificate), presented("subject", certificate.subject.rfc4514_string())]
    return tuple(name for name in names if name is not None)


def _alternative_names(certificate: x509.Certificate) -> list[CertificateName | None]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    found = []
    for general_name in list(extension.value)[:MOST_NAMES]:
        for kind, spelled in _ALTERNATIVE_NAMES:
            if isinstance(general_name, kind):
                found.append(presented(spelled, general_name.value))
    return found
