"""Reading a configuration's text: whatever is in its place, and however many descriptors there are."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.config import source
from mcproxy.config.problems import ConfigurationError
from mcproxy.config.source import NotReadNow, read_text


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """So many that the next ones are beyond what select(2) knows (FD_SETSIZE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2048)), hard))
    opened = []
    try:
        while not opened or opened[-1] < 1024:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_with_a_thousand_connections_it_can_be_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "mcproxy.yaml"
    path.write_text("listeners: {}\n")
    assert read_text(path) == "listeners: {}\n"


@pytest.mark.parametrize("name", ["a\0b", "\udbff"])
def test_no_file_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a file name"):
        read_text(Path(f"{tmp_path}/{name}"))


def test_a_pipe_is_not_waited_for_where_there_was_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="not a regular file any more"):
        read_text(tmp_path / "pipe", only_regular=True)


def test_what_drips_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LONGEST_READ", 0.0)
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        os.write(descriptor, b"#")
        with pytest.raises(ConfigurationError, match="does not end within"):
            read_text(tmp_path / "pipe")
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("number", "passes"), [(errno.EMFILE, True), (errno.EIO, True), (errno.ENOENT, False), (errno.EACCES, False)]
)
def test_what_is_not_the_files_fault_is_told_from_what_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(source, "_content", fail)
    with pytest.raises(ConfigurationError, match=os.strerror(number)) as failed:
        read_text(tmp_path / "mcproxy.yaml")
    assert isinstance(failed.value, NotReadNow) == passes
