"""Inputs that harm memcached 1.6.18: the harm is really there without the program, and what becomes of it with it.

The tables of docs/security.md are what these tests measure. `MCPROXY_WRITE_DOCS=1 pytest
tests/integration/test_harmful_inputs.py` writes them.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.configuration import PASSWORDS
from tests.support.conversation import Connection
from tests.support.harm_conversation import converse, prepare, until
from tests.support.harm_table import DOCUMENT, WRITE, Document, answer, lines, settled
from tests.support.harmful_inputs import HARMS, REMAINS, Harm
from tests.support.memcached import Memcached
from tests.support.processes import resident_bytes
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap

TABLES = {"what harms": HARMS, "what remains": REMAINS}
LENGTH = "A length before the login (`-Y`)"
TOKEN = "The login token sent again (`-Y`)"
MEMORY = "A `get` line of 1 MB"
REPEATED = "One key asked 70,000 times in a line"
CUT = "A long `gat` that comes in two pieces"
FULL = "A `get` of 1,000 keys under `-o read_buf_mem_limit=1`"
NAMES = {table: [harm.name for harm in harms] for table, harms in TABLES.items()}
NAMES["what harms"] += [LENGTH, TOKEN, MEMORY, REPEATED, CUT, FULL]
NOBODY = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["none"]}
KEYS = [b"key%06d" % number for number in range(1000)]
PASSWORD = PASSWORDS["sammy"].replace(" ", "-")
"""memcached 1.6.18 lets nobody in whose password has a space in it."""


@pytest.fixture(scope="module")
def document() -> Iterator[Document]:
    writing = WRITE in os.environ
    found = Document(DOCUMENT, writing)
    yield found
    if writing:
        for table, names in NAMES.items():
            found.write(table, names)


@pytest.fixture(scope="module")
def proxy_of_all(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """With a listener without a login, where everybody may do everything, beside the ordinary ones."""
    return start_proxy(tap.address, default_roles=["everything"], listeners={"open": NOBODY})


@pytest.fixture(scope="module")
def victim(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """A second memcached, with nothing before it."""
    with Memcached(short_path()) as upstream:
        yield upstream


@pytest.fixture
def fresh(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """One whose memory has not grown yet."""
    with Memcached(short_path()) as upstream:
        yield upstream


@pytest.fixture
def with_token(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """memcached -Y, which crashes in one of the tests."""
    directory = short_path()
    passwords = directory / "passwords"
    passwords.write_text(f"sammy:{PASSWORD}\n")
    with Memcached(directory, "-Y", str(passwords)) as upstream:
        yield upstream


def test_the_document_has_these_rows_and_no_others(document: Document) -> None:
    assert len(NAMES["what harms"]) >= 25
    for table, names in NAMES.items():
        assert len(set(names)) == len(names)
        assert document.writing or document.names(table) == names


ROWS = [pytest.param(table, harm, id=harm.name) for table, harms in TABLES.items() for harm in harms]


@pytest.mark.parametrize(("table", "harm"), ROWS)
def test_input(
    proxy_of_all: Proxy, tap: Tap, memcached: Memcached, victim: Memcached, document: Document, table: str, harm: Harm
) -> None:
    prepare(victim, harm.setup)
    with Connection(victim.connect()) as connection:
        direct, direct_end = converse(connection, harm, harm.direct_end)
        assert (settled(direct), direct_end) == (harm.direct, harm.direct_end), f"memcached itself\n{connection}"
    prepare(memcached, harm.setup)
    tap.recording.forget()
    with proxy_of_all.connect("open") as connection:
        through, end = converse(connection, harm, harm.end)
        assert (settled(through), end) == (harm.through, harm.end), str(connection)
    reached = [frame.raw for frame in tap.recording.requests()]
    assert tuple(reached) == harm.upstream
    shown = harm.shown or lines(harm.sent)
    happened = f"{answer(settled(direct), direct_end)}: {harm.harm}"
    up = lines(b"".join(reached)) or "nothing"
    document.check(table, harm.name, [shown, happened, answer(settled(through), end), up])


def test_a_length_before_the_login(
    proxy_of_all: Proxy, tap: Tap, with_token: Memcached, memcached: Memcached, document: Document
) -> None:
    sent = b"set x 0 0 2147483646\r\n"
    with Connection(with_token.connect()) as connection:
        connection.send(sent)
        connection.expect_closed()
    assert with_token.process is not None
    assert with_token.process.wait(10) == -signal.SIGSEGV
    tap.recording.forget()
    with proxy_of_all.connect("plain") as connection:
        connection.send(sent)
        said = connection.rest()
    assert said == b"CLIENT_ERROR unauthenticated\r\n"
    assert tap.recording.requests() == []
    assert memcached.process is not None and memcached.process.poll() is None
    happened = "crashes with a segmentation fault"
    document.check("what harms", LENGTH, [lines(sent), happened, answer(said, "closed"), "nothing"])


def test_the_token_sent_again(proxy_of_all: Proxy, tap: Tap, with_token: Memcached, document: Document) -> None:
    value = f"sammy {PASSWORD}".encode()
    login = b"set auth 0 0 %d\r\n%s\r\n" % (len(value), value)
    with Connection(with_token.connect()) as connection:
        for _ in range(2):
            connection.send(login)
            assert connection.line() == b"STORED\r\n"
        connection.send(b"get auth\r\n")
        assert until(connection, b"END\r\n") == b"VALUE auth 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
        connection.in_step()
    tap.recording.forget()
    with proxy_of_all.logged_in("root") as connection:
        connection.send(token("root", head=b"set auth 0 0") + b"get auth\r\n")
        said = until(connection, b"END\r\n")
        connection.in_step()
    assert said == b"STORED\r\nEND\r\n"
    reached = [frame.raw for frame in tap.recording.requests()]
    assert reached == [b"get auth\r\n"]
    shown = "`set auth 0 0 n` `name password`, twice, then `get auth`"
    happened = "`STORED`: the password is a value that others can read"
    document.check("what harms", TOKEN, [shown, happened, lines(said), lines(reached[0])])


def grown(memcached: Memcached, before: int) -> int:
    """By how many MiB it is larger."""
    assert memcached.process is not None
    return (resident_bytes(memcached.process.pid) - before) >> 20


def test_a_line_of_a_megabyte(
    proxy_of_all: Proxy, tap: Tap, fresh: Memcached, memcached: Memcached, document: Document
) -> None:
    sent = b"get" + b"".join(b" k%06d" % number for number in range(125_000)) + b"\r\n"
    assert fresh.process is not None and memcached.process is not None
    before = resident_bytes(fresh.process.pid)
    with Connection(fresh.connect()) as connection:
        connection.send_while_reading(sent)
        assert connection.line() == b"END\r\n"
        connection.in_step()
    with Connection(fresh.connect()) as connection:
        connection.in_step()
    # It is not given back when the connection ends.
    assert grown(fresh, before) > 100
    tap.recording.forget()
    before = resident_bytes(memcached.process.pid)
    with proxy_of_all.connect("open") as connection:
        connection.send_while_reading(sent)
        said = connection.rest()
    assert said == b"CLIENT_ERROR line too long\r\n"
    assert tap.recording.requests() == []
    assert grown(memcached, before) < 1
    happened = "grows by over 100 MiB, and stays so"
    document.check("what harms", MEMORY, ["125,000 keys", happened, answer(said, "closed"), "nothing"])


def test_a_key_that_is_asked_for_many_times(
    proxy_of_all: Proxy, tap: Tap, victim: Memcached, memcached: Memcached, document: Document
) -> None:
    sent = b"get" + b" a" * 70_000 + b"\r\n"
    prepare(victim, b"set a 0 0 1\r\nx\r\n")
    with Connection(victim.connect()) as connection:
        connection.send_while_reading(sent)
        hits = until(connection, b"END\r\n").count(b"VALUE")
        connection.in_step()
    assert 0 < hits < 65_000
    prepare(memcached, b"set a 0 0 1\r\nx\r\n")
    tap.recording.forget()
    with proxy_of_all.connect("open") as connection:
        connection.send_while_reading(sent)
        said = connection.rest()
    assert said == b"CLIENT_ERROR too many keys in one request\r\n"
    assert tap.recording.requests() == []
    happened = "some 60,000 hits, then misses that are none"
    document.check("what harms", REPEATED, ["`get a a a` ...", happened, answer(said, "closed"), "nothing"])


def pieces_of(tap: Tap, verb: str, count: int) -> str:
    """Retrievals that reached memcached, which must be short lines and ask for these keys in their order."""
    frames = [frame for frame in tap.recording.requests() if frame.verb == verb]
    assert [key for frame in frames for key in frame.keys] == KEYS[:count]
    assert all(len(frame.raw) <= 2048 and len(frame.keys) <= 100 for frame in frames)
    return f"`{verb}` lines of at most 100 keys and 2,048 bytes"


def test_a_line_that_is_cut(proxy_of_all: Proxy, tap: Tap, victim: Memcached, document: Document) -> None:
    sent = b"gat 0 " + b" ".join(KEYS[:300]) + b"\r\n"
    with Connection(victim.connect()) as connection:
        connection.send(sent, [2500])
        connection.expect_closed()
    tap.recording.forget()
    with proxy_of_all.connect("open") as connection:
        connection.send(sent, [2500])
        said = until(connection, b"END\r\n")
        connection.in_step()
    assert said == b"END\r\n"
    cells = ["300 keys, cut after 2,500 bytes", "closed: without a word", lines(said), pieces_of(tap, "gat", 300)]
    document.check("what harms", CUT, cells)


def test_little_memory_for_reading(
    start_proxy: StartProxy, short_path: Callable[[], Path], tap: Tap, document: Document
) -> None:
    sent = b"set k 0 0 1\r\nx\r\nversion\r\nget " + b" ".join(KEYS) + b"\r\n"
    with Memcached(short_path(), "-o", "read_buf_mem_limit=1") as small:
        with Connection(small.connect()) as connection:
            connection.send_while_reading(sent + b"mn\r\n")
            direct = until(connection, b"MN\r\n")
        assert direct == b"SERVER_ERROR out of memory writing get response\r\nMN\r\n"
        with Tap(short_path(), small) as between:
            program = start_proxy(between.address, default_roles=["everything"], listeners={"open": NOBODY})
            with program.connect("open") as connection:
                connection.send_while_reading(sent)
                said = until(connection, b"END\r\n")
                connection.in_step()
            program.stop()
        assert said == b"STORED\r\nVERSION 1.6.18\r\nEND\r\n"
        up = pieces_of(between, "get", 1000)
        assert [frame.verb for frame in between.recording.frames() if frame.body] == ["set"]
    happened = f"{lines(direct[:-4])}: the answers to what stood before it are lost"
    shown = "behind `set k 0 0 1` `x` `version`"
    document.check("what harms", FULL, [shown, happened, lines(said), "`set`, `version`, " + up])
