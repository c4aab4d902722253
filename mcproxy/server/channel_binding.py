"""The channel binding tls-server-end-point (RFC 5929 section 4): what a -PLUS login is bound to.

Python's ssl has tls-unique alone, which TLS 1.3 doesn't define. This one is a hash of the certificate that the server
shows, so it is known as soon as there is a context, and the same for all connections of that context.
"""

import contextlib
import errno
import ssl

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

_ROUNDS = 4
_BROKEN = (hashes.MD5, hashes.SHA1)


def server_end_point(certificate: bytes) -> bytes | None:
    """The binding's data for a certificate in DER; None where it is undefined (RFC 5929 section 4.1).

    The hash is the one of the certificate's own signature, and SHA-256 in place of MD5 and SHA-1. Signatures without a
    hash of their own, such as Ed25519, have no binding; nor have certificates that OpenSSL takes and `cryptography`
    can't read, such as one that spells out a DEFAULT against the rules of DER.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return None
    if algorithm is None:
        return None
    digest = hashes.Hash(hashes.SHA256() if isinstance(algorithm, _BROKEN) else algorithm)
    digest.update(certificate)
    return digest.finalize()


def served_certificate(context: ssl.SSLContext) -> bytes:
    """The certificate, in DER, that clients of a server's context are shown, learnt by a handshake in memory.

    The file may hold another one by now; this is what the context has. Raises OSError (ssl.SSLError is one) for a
    context that no client could connect to.
    """
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    # A second round is for a server that wants another key exchange group than the client's first. Its own side of the
    # handshake may stay without an end: that would need the client's certificate.
    for _ in range(_ROUNDS):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
            break
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()
    certificate = client.getpeercert(binary_form=True)
    if certificate is None:
        raise OSError(errno.EINVAL, "the TLS context shows no certificate")
    return certificate
