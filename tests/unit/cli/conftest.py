from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.certificates import Certificates
from tests.support.configuration import configuration, write_configuration, write_users


class Installation:
    """A configuration that is right, with its users file, in a directory of its own."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.config = directory / "mcproxy.yaml"
        self.users = directory / "users"
        self.settings: dict[str, Any] = configuration(directory, "127.0.0.1:11211", certificates)
        self.write()

    def write(self) -> None:
        write_configuration(self.config, self.settings)

    def change(self, **changes: Any) -> None:
        """Replace top-level keys of the configuration."""
        self.settings = yaml.safe_load(yaml.safe_dump(self.settings, sort_keys=False)) | changes
        self.write()


@pytest.fixture
def installation(tmp_path: Path, certificates: Certificates) -> Installation:
    made = Installation(tmp_path, certificates)
    write_users(made.users, {"sammy": "secret", "root": "secret", "reader": "secret", "watcher": "secret"})
    return made
