"""Files that change are read again without being asked, also when Kubernetes swaps a directory of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.integration.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.conversation import play
from tests.support.proxy import Proxy, token
from tests.support.reloading import Reloads, replace, users_text
from tests.support.tap import Tap


class Volume:
    """A directory as Kubernetes' atomic writer keeps it: names are links into `..data`, which is a link itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._number = 0

    def write(self, contents: dict[str, bytes]) -> None:
        """All files at once, by one rename."""
        self._number += 1
        payload = self.directory / f"..{self._number}"
        payload.mkdir(mode=0o700)
        for name, content in contents.items():
            file = payload / name
            file.touch(mode=0o640)
            file.write_bytes(content)
        link = self.directory / "..data_tmp"
        link.symlink_to(payload.name)
        link.rename(self.directory / "..data")
        for name in contents:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        if self._number > 1:
            shutil.rmtree(self.directory / f"..{self._number - 1}")


def served(program: Proxy) -> bytes:
    with program.connect("tls") as connection:
        return connection.socket.getpeercert(binary_form=True)


def test_a_swap_of_links_is_noticed(
    start_proxy: StartProxy, tap: Tap, certificates: Certificates, short_path: Callable[[], Path]
) -> None:
    """Two workers. The client that is there goes on with the certificate that it was shown."""
    volume = Volume(short_path())
    volume.write({name: (certificates.directory / name).read_bytes() for name in ("server.crt", "server.key")})
    listener = {
        "bind": ["127.0.0.1:0"],
        "allow": ["127.0.0.0/8"],
        "authentication": ["token"],
        "tls": {"certificate": f"{volume.directory}/server.crt", "key": f"{volume.directory}/server.key"},
    }
    program = start_proxy(tap.address, workers=2, listeners={"tls": listener})
    working, before = program.logged_in("sammy", "tls"), served(program)
    program.certificates = issued = Certificates(short_path())
    contents = {"server.crt": issued.server_certificate.read_bytes(), "server.key": issued.server_key.read_bytes()}
    record = Reloads(program).by_watching(lambda: volume.write(contents))
    assert record["event"] == "reloaded"
    assert record["changed"] == "listeners.tls.tls.certificate, listeners.tls.tls.key"
    assert served(program) != before
    play(working, b"get app:none\r\n", b"END\r\n")


def test_writes_in_place_and_files_that_are_gone_are_noticed(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address)
    reloads = Reloads(program)
    inode = reloads.users.stat().st_ino
    text = reloads.users.read_text() + users_text({"newcomer": "welcome"})
    record = reloads.by_watching(lambda: reloads.users.write_text(text))
    assert reloads.users.stat().st_ino == inode
    assert (record["event"], record["changed"], record["connections_ended"]) == ("reloaded", "users_file", 0)
    with program.connect() as connection:
        connection.send(token("newcomer", "welcome"))
        assert connection.line() == b"STORED\r\n"

    # The old state serves, and nothing is tried again until the file is back.
    assert reloads.by_watching(reloads.users.unlink)["event"] == "reload_failed"
    program.logged_in("sammy")
    record = reloads.by_watching(lambda: replace(reloads.users, text))
    assert (record["event"], record["changed"]) == ("reloaded", "nothing")
    assert len(program.events("reload_failed")) == 1
    assert program.metric("mcproxy_last_reload_successful") == 1
