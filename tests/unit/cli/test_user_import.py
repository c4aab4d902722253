"""Users of other programs: all of a file or none, and never a password in what is said."""

import io
import subprocess
import sys

import pytest

from mcproxy.auth.users import format_line, parse_users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.cli.main import main
from mcproxy.cli.user import sasldb
from mcproxy.cli.user.sasldb import sasldb_entries
from mcproxy.cli.user.sources import SourceError

FEW = ("--iterations", "4096")
SALT = bytes(range(16))


def secret(password="hunter2", mechanism="SCRAM-SHA-256"):
    """As PostgreSQL writes it."""
    return format_line("x", make_verifier(password, 4096, SALT, mechanism)).removeprefix("x:")


def passwords_match(users, expected):
    found = parse_users(users.read_text())
    assert found.names() == list(expected)
    return all(v[0].matches(expected[name]) for name in expected for v in found.mechanisms(name).values())


@pytest.fixture
def source(tmp_path):
    return tmp_path / "source"


def imports(user, source, kind, *arguments, content=None):
    if content is not None:
        source.write_bytes(content)
    return user("import", "--from", kind, str(source), *arguments)


def cyrus(source, name, password, realm="one"):
    command = ["saslpasswd2", "-p", "-a", "memcached", "-c", "-u", realm, "-f", str(source), name]
    subprocess.run(command, input=password.encode(), check=True)


def test_a_sasldb2(user, users, source):
    cyrus(source, "sammy", "correct horse")
    cyrus(source, "josé", "back\\slash: \\0a é ")
    status, out, errors = imports(user, source, "sasldb2", *FEW, "--mechanism", "SCRAM-SHA-1")
    assert (status, out, errors) == (0, f"imported 2 users into {users}\n", "")
    names = parse_users(users.read_text()).names()  # in the order of a hash table
    expected = {"sammy": "correct horse", "josé": "back\\slash: \\0a é "}
    assert passwords_match(users, {name: expected[name] for name in names})
    assert list(parse_users(users.read_text()).mechanisms("sammy")) == ["SCRAM-SHA-1"]


def test_of_several_realms_one_is_chosen(user, users, source):
    cyrus(source, "sammy", "one", "alpha")
    cyrus(source, "sammy", "two", "beta")
    status, _, errors = imports(user, source, "sasldb2", *FEW)
    assert (status, errors) == (
        1,
        f"mcproxy: {source}: holds several realms; choose one of them with --realm: alpha, beta\n"
        "mcproxy: nothing was imported\n",
    )
    status, _, errors = imports(user, source, "sasldb2", *FEW, "--realm", "gamma")
    assert (status, errors.splitlines()[0]) == (1, f"mcproxy: {source}: holds no realm gamma; it holds: alpha, beta")
    assert not users.exists()
    assert imports(user, source, "sasldb2", *FEW, "--realm", "beta")[0] == 0
    assert passwords_match(users, {"sammy": "two"})


def test_what_is_no_sasldb2(user, users, source):
    status, _, errors = imports(user, source, "sasldb2", content=b"sammy:hunter2\n")
    assert status == 1
    assert errors.startswith(f"mcproxy: {source} is not a sasldb2 in Berkeley DB's format; db5.3_dump says: ")
    assert "hunter2" not in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_sasldb2_that_is_no_file(user, tmp_path, name):
    status, _, errors = imports(user, tmp_path / name, "sasldb2")
    assert status == 2
    assert errors.startswith(f"mcproxy: {tmp_path / name} ")


def test_without_berkeley_db_s_tool(user, source, monkeypatch):
    monkeypatch.setenv("PATH", str(source.parent))
    status, _, errors = imports(user, source, "sasldb2", content=b"")
    assert (status, errors) == (
        1,
        "mcproxy: to read a sasldb2 the program db5.3_dump is needed; on Debian and Ubuntu: apt install db5.3-util\n",
    )


@pytest.mark.parametrize(
    ("script", "limit", "said"),
    [
        ("exec sleep 60", ("DUMP_SECONDS", 0.2), "takes more than 0.2 seconds"),
        ("exec cat /dev/zero", ("LONGEST_DUMP", 2**20), "is too large"),
    ],
)
def test_a_tool_without_an_end(user, source, tmp_path, monkeypatch, script, limit, said):
    tool = tmp_path / "db5.3_dump"
    tool.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    tool.chmod(0o700)
    monkeypatch.setattr("mcproxy.cli.user.sasldb.shutil.which", lambda name: str(tool))
    monkeypatch.setattr(sasldb, *limit)
    status, _, errors = imports(user, source, "sasldb2", content=b"")
    assert status == 1
    assert said in errors


HEAD = b"VERSION=3\nformat=print\ntype=hash\nHEADER=END\n"


def test_other_records_are_not_passwords():
    printed = HEAD + b" sammy\\00one\\00userPassword\n a\\5cb\\\\\n sammy\\00one\\00cmusaslsecretOTP\n x\nDATA=END\n"
    (entry,) = sasldb_entries(printed, None)
    assert (entry.name, entry.password) == ("sammy", "a\\b\\")
    assert "password" not in repr(entry)


@pytest.mark.parametrize(
    "printed",
    [
        b"",
        HEAD,
        HEAD + b" a\nDATA=END\n",
        HEAD + b" a\\00b\\00userPassword\n x\n",
        HEAD + b"a\n b\nDATA=END\n",
        HEAD.replace(b"print", b"bytevalue") + b" a\n b\nDATA=END\n",
        HEAD + b"DATA=END\n",
    ],
)
def test_a_dump_that_is_not_whole(printed):
    with pytest.raises(SourceError, match=r"not whole|no passwords"):
        sasldb_entries(printed, None)


def test_a_memcached_file(user, users, source):
    content = b"sammy:correct horse\r\nolga:a:b\nkim:last line"
    status, out, errors = imports(user, source, "memcached", *FEW, content=content)
    assert (status, out, errors) == (0, f"imported 3 users into {users}\n", "")
    assert passwords_match(users, {"sammy": "correct horse", "olga": "a:b", "kim": "last line"})


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"hunter2\n", 1, "not a line of user, colon, password"),
        (b"a:x\n\n", 2, "not a line of user, colon, password"),
        (b"a:hunter2\0\n", 1, "not a line of user, colon, password"),
        (b"a:hunt\rer2\n", 1, "not a line of user, colon, password"),
        (b"a:" + b"x" * 253 + b"\n", 1, "longer than 255 bytes"),
        (b"a:\xff\n", 1, "the password is not UTF-8"),
        (b"a b:hunter2\n", 1, "white space"),
        (b":hunter2\n", 1, "the name is empty"),
        (b"a:\n", 1, "the password is empty"),
        (b"a:hunter2\x07\n", 1, "SASLprep"),
        (b"a:x\na:hunter2\n", 2, "a: is there twice"),
        (b"".join(b"user%d:x\n" % number for number in range(9)), 9, "no more than 8 lines"),
    ],
)
def test_what_memcached_does_not_take_or_a_user_can_not_have(user, users, source, content, line, said):
    status, out, errors = imports(user, source, "memcached", *FEW, content=content)
    assert (status, out) == (1, "")
    assert errors.startswith(f"mcproxy: {source}:{line}: ")
    assert said in errors
    assert "hunter2" not in errors
    assert errors.endswith("mcproxy: nothing was imported\n")
    assert not users.exists()


def test_every_problem_is_told(user, users, source):
    status, _, errors = imports(user, source, "memcached", *FEW, content=b"a b:x\nc:x\nd e:x\n")
    assert status == 1
    assert [line.partition(": ")[2].partition(": ")[0] for line in errors.splitlines()[:2]] == [
        f"{source}:1",
        f"{source}:3",
    ]
    assert not users.exists()


@pytest.mark.parametrize(
    "line",
    [
        f"sammy|{secret()}",
        f" sammy | {secret()} ",
        f'"sammy" "{secret()}"',
        f'"sammy"\t"{secret()}" "" ignored',
        f"sammy:{secret()}\r",
    ],
)
def test_postgresql_s_secrets(user, users, source, line):
    status, out, errors = imports(user, source, "postgresql", content=f"; comment\n\n# another\n{line}\n".encode())
    assert (status, out, errors) == (0, f"imported 1 user into {users}\n", "")
    assert passwords_match(users, {"sammy": "hunter2"})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hunter2", "no name and SCRAM secret"),
        ("sammy|md5c1a5298f939e87e8f962a5edfc206918", "no SCRAM secret follows the name"),
        ("hunter2|", "no SCRAM secret follows the name"),
        ('"sammy" "hunter2"', "no SCRAM secret follows the name"),
        ("sammy|SCRAM-SHA-256$hunter2", "not a verifier"),
        (f"sammy|{secret().replace('$4096:', '$1:')}", "iteration count"),
        (f"sammy|{secret().replace('SHA-256', 'SHA-224')}", "unknown mechanism"),
        (f'"sam""my x" "{secret()}"', "'sam\"my x': a name cannot contain white space"),
        (f"a:b|{secret()}", "no SCRAM secret follows the name"),
    ],
)
def test_lines_without_a_secret_to_use(user, users, source, line, said):
    status, _, errors = imports(user, source, "postgresql", content=line.encode())
    assert status == 1
    assert said in errors
    assert "hunter2" not in errors
    assert not users.exists()


def test_the_secret_of_rfc_7677_s_example(user, users, source):
    keys = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    imports(user, source, "postgresql", content=f"user|SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${keys}".encode())
    assert passwords_match(users, {"user": "pencil"})


def test_two_secrets_of_a_user_come_along(user, users, source):
    lines = [f"sammy:{secret('new')}", f"sammy:{secret('old')}", f"sammy:{secret('new', 'SCRAM-SHA-512')}"]
    assert imports(user, source, "postgresql", content="\n".join(lines).encode())[0] == 0
    newer, older = parse_users(users.read_text()).verifiers("sammy", "SCRAM-SHA-256")
    assert newer.matches("new")
    assert older.matches("old")
    status, _, errors = imports(user, source, "postgresql", "--replace", content="\n".join(lines[:1] * 2).encode())
    assert status == 1
    assert "the same SCRAM-SHA-256 line twice" in errors


def test_from_standard_input(users, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"sammy|{secret()}".encode())))
    assert main(["user", "import", "--from", "postgresql", "-", "--users-file", str(users)]) == 0
    assert passwords_match(users, {"sammy": "hunter2"})


def test_who_is_there_already_is_replaced_only_if_asked(user, users, source):
    user("add", "olga", password="old")
    user("add", "sammy", password="old")
    content = b"new:new\nsammy:new\n"
    before = users.read_bytes()
    status, _, errors = imports(user, source, "memcached", *FEW, content=content)
    assert (status, errors.splitlines()[0]) == (
        1,
        f"mcproxy: {source}:2: sammy is there already; --replace changes such users",
    )
    assert users.read_bytes() == before
    status, out, _ = imports(user, source, "memcached", "--replace", *FEW)
    assert (status, out) == (0, f"imported 2 users into {users}, 1 of them replaced\n")
    assert passwords_match(users, {"olga": "old", "sammy": "new", "new": "new"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("memcached", "--realm", "x"), "--realm is for a sasldb2"),
        (("postgresql", "--mechanism", "SCRAM-SHA-1"), "--mechanism needs the passwords"),
        (("postgresql", *FEW), "--iterations needs the passwords"),
        (("memcached", "--iterations", "1"), "--iterations 1: the iteration count must be"),
        (("memcached", "--mechanism", "PLAIN"), "invalid choice: 'PLAIN'"),
        (("ldap",), "invalid choice: 'ldap'"),
    ],
)
def test_options_that_do_not_fit(user, users, source, arguments, said):
    status, _, errors = imports(user, source, *arguments, content=b"sammy:hunter2\n")
    assert status == 2
    assert said in errors
    assert not users.exists()


def test_files_that_hold_nobody(user, users, source):
    for kind in ("memcached", "postgresql"):
        status, _, errors = imports(user, source, kind, content=b"")
        assert (status, errors.splitlines()[0]) == (1, f"mcproxy: {source}: holds no user")
    status, _, errors = imports(user, source.with_name("missing"), "postgresql")
    assert (status, errors) == (2, f"mcproxy: {source.with_name('missing')} can't be read: No such file or directory\n")
