"""sslyze's opinion of the listeners: Mozilla's intermediate profile, and modern where the minimum is TLS 1.3."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.conftest import StartProxy
from tests.support.certificates import Certificates, Issued
from tests.support.configuration import LOOPBACK
from tests.support.proxy import Proxy
from tests.support.tap import Tap

# scripts/lib installs it.
_INSTALLED = Path(__file__).parents[2] / ".debian/usr/bin/sslyze"
SSLYZE = shutil.which("sslyze") or str(_INSTALLED)


@pytest.fixture(scope="module")
def program(start_proxy: StartProxy, tap: Tap, certificates: Certificates) -> Proxy:
    """Listeners with certificates of both kinds of keys; one wants certificates of its clients."""
    elliptic = Issued(certificates.server_certificate, certificates.server_key)
    of_rsa = certificates.server("rsa-server", rsa.generate_private_key(65537, 2048))
    authority = {"client_ca": str(certificates.authority)}
    listeners = {
        "rsa": (of_rsa, {}),
        "elliptic": (elliptic, authority),
        "modern": (elliptic, {"minimum_version": "1.3"}),
    }
    return start_proxy(
        tap.address,
        listeners={
            name: {
                "bind": ["127.0.0.1:0"],
                "allow": LOOPBACK,
                "tls": {"certificate": str(issued.certificate), "key": str(issued.key), **more},
                "authentication": ["token"],
            }
            for name, (issued, more) in listeners.items()
        },
        # Some of what it tries gets no answer but the end of this time.
        limits={"login_timeout": "500ms"},
    )


def scanned(program: Proxy, listener: str, profile: str) -> str:
    """What sslyze says, which has a client certificate; the listener complies, or this fails with it."""
    host, port = program.host_and_port(listener)
    certificates = program.certificates
    options = ["--mozilla_config", profile, "--resum", "--certinfo_ca_file", str(certificates.authority)]
    options += ["--cert", str(certificates.client_certificate), "--key", str(certificates.client_key)]
    command = [SSLYZE, f"{host}:{port}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK - Compliant" in done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("listener", "profile"), [("rsa", "intermediate"), ("elliptic", "intermediate"), ("modern", "modern")]
)
def test_a_listener_complies_with_mozillas_profile(program: Proxy, listener: str, profile: str) -> None:
    said = scanned(program, listener, profile)
    assert "Supported curves:                  X25519, secp256r1, secp384r1\n" in said
    assert "Client Renegotiation DoS Attack:   OK - Not vulnerable" in said
    resumed = re.findall(r"With (?:Session IDs|TLS Tickets): (.*)", said)
    assert len(resumed) == 2
    none_is = "OK - Server only supports TLS 1.3" if profile == "modern" else "NOT SUPPORTED (0 successful resumptions"
    assert all(line.startswith(none_is) for line in resumed), resumed
