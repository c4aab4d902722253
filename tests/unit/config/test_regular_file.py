"""Files are read whole, unless they are no files, or have no end."""

import errno
import os
from pathlib import Path

import pytest

from mcproxy.config.certificate_files import load_certificates
from mcproxy.config.pem_files import file_problems
from mcproxy.config.regular_file import LARGEST, explained, read_regular_file


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    path.chmod(0o640)
    assert read_regular_file(path) == (b"content", 0o640)
    assert read_regular_file(path, 7).content == b"content"


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with pytest.raises(OSError, match="is too large") as refused:
        read_regular_file(path, 6)
    assert explained(refused.value) == f"{path}: is too large"
    os.truncate(path, LARGEST + 1)
    with pytest.raises(OSError, match="is too large"):
        load_certificates(path)
    assert [problem.message for problem in file_problems(path, ())] == [f"{path} is too large: more than 64 MiB"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path, make) -> None:
    path = tmp_path / "other"
    make(path)
    with pytest.raises(OSError, match="is not a regular file") as refused:
        load_certificates(path)
    assert explained(refused.value) == f"{path}: is not a regular file"


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as refused:
        read_regular_file(tmp_path / "none")
    assert explained(refused.value) == f"{tmp_path}/none: No such file or directory"


def test_errors_about_no_file() -> None:
    assert explained(OSError("of ours")) == "of ours"
    assert explained(OSError(errno.EMFILE, "Too many open files")) == "Too many open files"
    assert explained(TimeoutError()) == "TimeoutError"
