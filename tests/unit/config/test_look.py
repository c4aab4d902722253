"""What counts as a change of a file."""

import os
from pathlib import Path

from mcproxy.config.look import look


def test_other_content_of_the_same_size_and_time_is_a_change(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("one")
    before = look([path])
    assert look([path]) == before
    status = path.stat()
    with path.open("r+") as file:
        file.write("two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert look([path]) != before
