"""Fixtures for every test. Cyrus SASL reads SASL_PATH once, when pylibmc first needs it, so it is set here."""

import os
import sysconfig
from pathlib import Path

import pytest

from tests.support.certificates import Certificates

# The wheel of pylibmc looks in /usr/lib64/sasl2; Debian and Ubuntu keep the plugins by architecture.
os.environ.setdefault("SASL_PATH", f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}/sasl2")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One certificate authority for the whole run."""
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))
