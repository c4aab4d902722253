import os
import stat
import threading

import pytest

from mcproxy.auth.users import format_line, parse_users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.cli.main import main
from mcproxy.cli.user.file import change, with_lines, with_user

from .running import FEW, mcproxy


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def matches(users, name, password):
    (verifier,) = parse_users(users.read_text()).password_verifiers(name)
    return verifier.matches(password)


def test_add_makes_a_file_that_only_its_owner_reads(user, users):
    before = os.umask(0)
    try:
        assert user("add", "sammy", password="correct horse\n") == (0, f"added sammy to {users}\n", "")
    finally:
        os.umask(before)
    assert mode(users) == 0o600
    assert matches(users, "sammy", "correct horse")
    assert "horse" not in users.read_text()
    assert sorted(users.parent.iterdir()) == [users, users.with_name("users.key")]
    assert mode(users.with_name("users.key")) == 0o600


def test_the_default_is_32768_iterations(users):
    done = mcproxy("user", "add", "sammy", "--users-file", users, "--password-stdin", input="secret\n")
    assert (done.returncode, done.stderr) == (0, "")
    listed = mcproxy("user", "list", "--users-file", users).stdout
    assert listed.split("\n")[1].split() == ["sammy", "SCRAM-SHA-256", "32768", "only", "unknown"]


def test_passwd_changes_one_line_and_keeps_all_others(user, users):
    for name in ("sammy", "olga", "kim"):
        user("add", name, password=f"{name}-1")
    lines = users.read_text().split("\n")
    users.write_text("\n".join(["# the crew", lines[0], "", lines[1] + "\t", lines[2], "# sammy: not this one"]))
    before = users.read_text().split("\n")
    assert user("passwd", "sammy", password="new\n") == (0, f"changed the password of sammy in {users}\n", "")
    after = users.read_text().split("\n")
    assert after[0] == before[0]
    assert after[2:] == before[2:]
    assert matches(users, "sammy", "new")
    assert not matches(users, "sammy", "sammy-1")
    assert matches(users, "olga", "olga-1")


def test_remove_takes_one_user(user, users):
    for name in ("sam", "sammy"):
        user("add", name, password="x")
    users.write_text("# sam: comment\n" + users.read_text())
    assert user("remove", "sam") == (0, f"removed sam from {users}\n", "")
    assert parse_users(users.read_text()).names() == ["sammy"]
    assert users.read_text().startswith("# sam: comment\nsammy:")


def test_remove_takes_every_line_of_the_user():
    line = format_line("sam", make_verifier("x", 4096))
    text = f"\ufeff{line}\n# sam:2\r\nolga:3\r\n{line}\r\n"
    assert with_user(text, "sam", []) == "# sam:2\r\nolga:3\r\n"
    assert with_user(text, "sam", ["sam:5", "sam:6"]) == "sam:5\nsam:6\n# sam:2\r\nolga:3\r\n"


@pytest.mark.parametrize(("text", "result"), [("", "l\n"), ("a\n", "a\nl\n"), ("a", "a\nl\n"), ("# c", "# c\nl\n")])
def test_a_line_more(text, result):
    assert with_lines(text, ["l"]) == result


def test_list_without_a_file(user, users):
    assert user("list") == (1, "", f'mcproxy: there is no file {users}; "mcproxy user add" makes it\n')


def test_a_generated_password_is_all_that_is_printed(user, users):
    status, first, errors = user("add", "sammy", "--generate")
    assert (status, errors, len(first)) == (0, "", 33)
    assert matches(users, "sammy", first.strip())
    _, second, _ = user("passwd", "sammy", "--generate")
    assert matches(users, "sammy", second.strip())
    assert first != second


@pytest.mark.parametrize(
    ("password", "part"),
    [
        ("", "the password is empty"),
        ("\n", "the password is empty"),
        ("\r\n", "the password is empty"),
        ("a\nb\n", "can't hold line ends or NUL"),
        ("a\rb\n", "can't hold line ends or NUL"),
        ("a\0b\n", "can't hold line ends or NUL"),
        (b"\xff\xfe\n", "is not UTF-8 text"),
        ("x" * 1025 + "\n", "the password is longer than"),
        ("x" * 5000 + "\n", "the password is longer than"),
        ("a\x07b\n", "SASLprep (RFC 4013) refuses the password"),
    ],
)
def test_passwords_that_are_refused_change_nothing(user, users, password, part):
    user("add", "sammy", password="old")
    before = users.read_bytes()
    for action, name in (("add", "olga"), ("passwd", "sammy")):
        status, out, errors = user(action, name, password=password)
        assert (status, out) == (1, "")
        assert part in errors
        assert errors.endswith("; nothing was changed\n")
        assert errors.count("\n") == 1
    assert users.read_bytes() == before


@pytest.mark.parametrize("password", ["correct horse battery", "pass:word", "é€ß", " leading", "'\"\\$%"])
def test_passwords_that_are_taken(user, users, password):
    assert user("add", "sammy", password=password + "\n")[0] == 0
    assert matches(users, "sammy", password)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\tb", "a\nb", "a\x1b[31mb", "x" * 129, "é" * 65, "#a", "\udcff"])
def test_names_that_are_refused(user, users, name):
    status, out, errors = user("add", name, password="x")
    assert (status, out) == (2, "")
    assert errors.count("\n") == 1
    assert errors[:-1].isprintable()
    assert not users.exists()


@pytest.mark.parametrize("name", ["x" * 128, "é" * 64, "sammy@host", "a/b+c", "1"])
def test_names_that_are_taken(user, users, name):
    assert user("add", name, password="x")[0] == 0
    assert parse_users(users.read_text()).names() == [name]


def test_a_name_that_is_taken_already(user, users):
    user("add", "sammy", password="x")
    before = users.read_bytes()
    status, _, errors = user("add", "sammy", password="y")
    expected = f'mcproxy: {users} already has a user sammy; "mcproxy user passwd" changes a password\n'
    assert (status, errors) == (1, expected)
    assert users.read_bytes() == before


@pytest.mark.parametrize("action", ["passwd", "remove"])
def test_a_name_that_is_not_there(user, users, action):
    user("add", "sammy", password="x")
    password = "x" if action == "passwd" else None
    status, _, errors = user(action, "samy", password=password)
    assert (status, errors) == (1, f'mcproxy: {users} has no user samy; did you mean "sammy"?\n')


@pytest.mark.parametrize("iterations", ["0", "-1", "4095", "1000001"])
def test_iterations_out_of_bounds(user, users, iterations):
    status, _, errors = user("add", "sammy", "--iterations", iterations, password="x")
    assert status == 2
    assert errors == (f"mcproxy: --iterations {iterations}: the iteration count must be from 4096 to 1000000\n")
    assert not users.exists()


def test_iterations_that_some_clients_refuse(user, users):
    status, _, errors = user("add", "sammy", "--iterations", "65537", password="x")
    assert status == 0
    assert "warning: SCRAM clients built on Cyrus SASL refuse more than 65536" in errors


def test_mode_owner_and_link_stay(user, users):
    user("add", "sammy", password="x")
    users.chmod(0o640)
    real = users.rename(users.parent / "real")
    users.symlink_to("real")
    if os.geteuid() == 0:
        os.chown(real, 12345, 23456)
    owner = real.stat().st_uid, real.stat().st_gid
    inode = real.stat().st_ino
    assert user("passwd", "sammy", password="y")[0] == 0
    assert users.is_symlink()
    assert mode(real) == 0o640
    assert (real.stat().st_uid, real.stat().st_gid) == owner
    assert real.stat().st_ino != inode, "written in place, not replaced"


def test_a_file_that_everybody_can_read_is_told(user, users):
    user("add", "sammy", password="x")
    users.chmod(0o644)
    status, _, errors = user("passwd", "sammy", password="y")
    assert status == 0
    assert f"run: chmod o= {users}" in errors


@pytest.mark.parametrize("action", ["add", "passwd", "remove", "list"])
def test_a_broken_file_is_not_touched(user, users, action):
    users.write_text("# comment\nsammy:hunter2\n")
    users.chmod(0o600)
    arguments = () if action == "list" else ("sammy",)
    password = "x" if action in ("add", "passwd") else None
    status, out, errors = user(action, *arguments, password=password)
    assert (status, out) == (2, "")
    assert errors.startswith(f"mcproxy: {users}:2: what follows the name 'sammy' is not a verifier")
    assert "hunter2" not in errors
    assert users.read_text() == "# comment\nsammy:hunter2\n"


def test_a_directory_that_is_not_there(capsys, tmp_path):
    path = tmp_path / "missing" / "users"
    assert main(["user", "add", "sammy", "--generate", "--users-file", str(path)]) == 2
    assert capsys.readouterr().err == f"mcproxy: there is no directory {tmp_path}/missing; make it first\n"


def test_a_users_file_that_is_a_directory(capsys, tmp_path):
    assert main(["user", "list", "--users-file", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"mcproxy: {tmp_path} is not a regular file\n"


def test_a_failure_while_writing_leaves_the_old_file(user, users, monkeypatch):
    user("add", "sammy", password="x")
    before = users.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mcproxy.files.whole.os.fsync", full)
    status, _, errors = user("add", "olga", password="x")
    assert (status, errors) == (1, f"mcproxy: {users} can't be written: No space left on device\n")
    assert users.read_bytes() == before
    assert sorted(users.parent.iterdir()) == [users, users.with_name("users.key")]


def test_edits_at_once_all_count(users):
    """Without the lock, one would write over another's change."""
    names = [f"user{number}" for number in range(24)]

    def add(name):
        change(users, lambda text, _: with_lines(text, [template.replace("NAME", name)]))

    template = mcproxy("user", "add", "NAME", "--users-file", users, "--password-stdin", input="x")
    template = users.read_text().strip()
    threads = [threading.Thread(target=add, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(parse_users(users.read_text()).names()) == sorted(["NAME", *names])


def test_the_users_file_of_the_configuration(installation, capsys):
    installation.users.unlink()
    arguments = ["--config", str(installation.config)]
    assert main(["user", "add", "sammy", "--generate", "--iterations", FEW, *arguments]) == 0
    assert parse_users(installation.users.read_text()).names() == ["sammy"]
