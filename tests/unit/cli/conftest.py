import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcproxy.cli.main import main
from tests.support.certificates import Certificates
from tests.support.configuration import LOOPBACK, configuration, write_configuration, write_users

from .running import FEW


class Installation:
    """A configuration that is right, with its users file, in a directory of its own."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.config = directory / "mcproxy.yaml"
        self.users = directory / "users"
        self.settings: dict[str, Any] = configuration(directory, "127.0.0.1:11211", certificates)
        for name in ("plain", "tls"):
            listener = self.settings["listeners"][name]
            del listener["proxy_protocol"]
            listener["allow"] = LOOPBACK
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


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A users file, not there yet."""
    return tmp_path / "users"


@pytest.fixture
def user(
    users: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """`user("add", "sammy", password="secret")` -> exit status, standard output, standard error."""

    def run(action: str, *arguments: str, password: str | bytes | None = None) -> tuple[int, str, str]:
        content = b"" if password is None else password if isinstance(password, bytes) else password.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        options = ["--password-stdin"] if password is not None else []
        if action in ("add", "passwd") and not {"--iterations", "--keep-old"} & set(arguments):
            options += ["--iterations", FEW]
        status = main(["user", action, *arguments, "--users-file", str(users), *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
