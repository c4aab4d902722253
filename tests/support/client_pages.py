"""The pages of docs/clients: their blocks, and the deployment that the first of them describes.

Each page says what its programs print. They are run as they stand there, but for what is different on every machine:
addresses, ports, directories and the number of the user. `Deployment.adapted` has the list.
"""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import yaml
from cryptography import x509

from tests.support.activation import hand_over, listening
from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

PAGES = Path(__file__).parents[2] / "docs" / "clients"
INDEX = PAGES / "README.md"
SHOP = x509.UniformResourceIdentifier("spiffe://example.com/shop")
USER = "sammy"


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    page = path.read_text()
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        line = page.count("\n", 0, found.start()) + 1
        yield Block(path.name, line, found[1], found[2])


class Deployment:
    """A memcached, the guard before it and the gateway beside the clients, with the configuration of the index page.

    The listening sockets are this process's, so that a restart finds its port again.
    """

    def __init__(self, make_directory: Callable[[], Path], certificates: Certificates) -> None:
        self._ends, self._programs = ExitStack(), ExitStack()
        self._sockets = {name: listening() for name in ("network", "local", "loopback")}
        self._ports = {name: sock.getsockname()[1] for name, sock in self._sockets.items()}
        self.directory = make_directory()
        self._guard_directory, self._gateway_directory = make_directory(), make_directory()
        self._certificates = certificates
        self.memcached = Memcached(make_directory())

    def adapted(self, text: str) -> str:
        """What a page says, with the addresses and files of this deployment."""
        for theirs, ours in {
            "10.0.0.5:11212": f"127.0.0.1:{self._ports['network']}",
            "10.0.0.0/24": "127.0.0.0/8",
            "cache.example.com": "localhost",
            "/etc/mcproxy": str(self._guard_directory),
            "/etc/cache": str(self.directory),
            "/run/mcproxy": str(self._gateway_directory),
            "unix:/run/memcached/memcached.sock": self.memcached.address,
            "uid: 1000": f"uid: {os.getuid()}",
        }.items():
            text = text.replace(theirs, ours)
        for theirs, listener in {"11212": "network", "11213": "local", "11211": "loopback"}.items():
            text = re.sub(rf"\b{theirs}\b", str(self._ports[listener]), text)
        return text

    def start(self) -> Self:
        self._lay_out_files()
        try:
            for sock in self._sockets.values():
                self._ends.callback(sock.close)
            self._ends.enter_context(self.memcached)
            self._start_programs()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._programs.close()
        self._ends.close()

    def restart(self) -> None:
        """Both programs; a client's connections end with them."""
        self._programs.close()
        self._start_programs()

    def _start_programs(self) -> None:
        guard, gateway = (block.text for block in blocks(INDEX) if block.language == "yaml")
        with ThreadPoolExecutor() as beside_each_other:
            starting = [
                beside_each_other.submit(self._program, self._guard_directory, guard, "network", "local"),
                beside_each_other.submit(self._program, self._gateway_directory, gateway, "loopback"),
            ]
        self.guard, self.gateway = (start.result() for start in starting)
        for program in (self.guard, self.gateway):
            eventually("its upstream is reached", partial(_is_ready, program))

    def _lay_out_files(self) -> None:
        server, client = self._certificates.server("clients-server"), self._certificates.client("clients-shop", [SHOP])
        tls = self._guard_directory / "tls"
        tls.mkdir()
        for source, place in {
            self._certificates.authority: tls / "ca.crt",
            server.certificate: tls / "tls.crt",
            server.key: tls / "tls.key",
        }.items():
            place.symlink_to(source)
        for source, name in {
            self._certificates.authority: "ca.crt",
            client.certificate: "shop.crt",
            client.key: "shop.key",
        }.items():
            (self.directory / name).symlink_to(source)
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORDS[USER] + "\n")

    def _program(self, directory: Path, configuration: str, *sockets: str) -> Proxy:
        settings = yaml.safe_load(self.adapted(configuration))
        settings["admin"] = {"bind": "127.0.0.1:0"}
        program = Proxy(directory, settings, self._certificates)
        hand_over(program, {name: self._sockets[name] for name in sockets})
        program.start()
        self._programs.callback(program.assert_good_end)
        return program


def _is_ready(program: Proxy) -> bool:
    return program.http("/readyz")[0] == 200
