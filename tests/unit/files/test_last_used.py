"""When secrets were last used: nothing is lost between several writers, and nothing stays of who is gone."""

import json
import stat
import threading

import pytest

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.files.last_used import (
    LastUsed,
    LastUsedError,
    last_used_path,
    read_last_used,
    rotating_secrets,
    secret_name,
    secret_times,
    write_last_used,
)

SALT = bytes(16)
OLD, NEW = (make_verifier(password, 4096, SALT) for password in ("old", "new"))
LEGACY = make_verifier("new", 4096, SALT, "SCRAM-SHA-1")
OLGA = make_verifier("olga", 4096)
USERS = Users([("sammy", NEW), ("sammy", OLD), ("sammy", LEGACY), ("olga", OLGA)])


def name_of(verifier):
    return secret_name(verifier.identity)


@pytest.fixture
def file(tmp_path):
    """The users file, which nothing here reads."""
    return tmp_path / "users"


def test_what_is_written_is_read(file):
    assert read_last_used(file) is None
    times = {"sammy": {name_of(NEW): 200, name_of(OLD): 100}, "olga": {name_of(OLGA): 300}}
    assert write_last_used(file, times, USERS) == times
    assert read_last_used(file) == times
    path = last_used_path(file)
    assert path == file.with_name("users.used")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_of_a_verifier_is_in_it(file):
    write_last_used(file, {"sammy": {name_of(NEW): 1}}, USERS)
    text = last_used_path(file).read_text()
    assert json.loads(text) == {"sammy": {NEW.identity.hex()[:16]: 1}}
    for part in (NEW.stored_key, NEW.server_key):
        assert part.hex()[:16] not in text


def test_several_writers_add_to_each_other(file):
    write_last_used(file, {"sammy": {name_of(NEW): 200}}, USERS)
    written = write_last_used(file, {"sammy": {name_of(NEW): 100, name_of(OLD): 50}, "olga": {name_of(OLGA): 1}}, USERS)
    assert written == {"sammy": {name_of(NEW): 200, name_of(OLD): 50}, "olga": {name_of(OLGA): 1}}


def test_writers_at_once_all_count(file):
    users = Users([(f"user{number}", OLGA) for number in range(16)])

    def write(number):
        write_last_used(file, {f"user{number}": {name_of(OLGA): number}}, users)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_last_used(file) == {f"user{number}": {name_of(OLGA): number} for number in range(16)}


def test_who_is_gone_is_dropped(file):
    write_last_used(file, {"sammy": {name_of(NEW): 1, name_of(OLD): 2}, "olga": {name_of(OLGA): 3}}, USERS)
    written = write_last_used(file, {"nobody": {name_of(OLGA): 4}}, Users([("sammy", NEW)]))
    assert written == read_last_used(file) == {"sammy": {name_of(NEW): 1}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"sammy": 5}',
        '{"sammy": {"x": 5}}',
        '{"sammy": {"0123456789abcdef": "5"}}',
        '{"sammy": {"0123456789abcdef": true}}',
        '{"sammy": {"0123456789abcdef": -1}}',
        '{"sammy": {"0123456789abcdef": 1e400}}',
        "[" * 100_000,
        "\ud800".encode(errors="surrogatepass").decode("latin-1"),
    ],
)
def test_a_broken_file_is_told_and_begun_anew(file, text):
    last_used_path(file).write_text(text)
    with pytest.raises(LastUsedError, match="remove it to begin anew"):
        read_last_used(file)
    assert write_last_used(file, {"olga": {name_of(OLGA): 1}}, USERS) == {"olga": {name_of(OLGA): 1}}
    assert read_last_used(file) == {"olga": {name_of(OLGA): 1}}


def test_a_directory_in_its_place(file):
    last_used_path(file).mkdir()
    with pytest.raises(LastUsedError):
        read_last_used(file)
    with pytest.raises(OSError):
        write_last_used(file, {}, USERS)


def test_a_password_s_time_is_that_of_the_mechanism_used_last():
    last_used = LastUsed()
    last_used.note("sammy", NEW.identity, 100)
    last_used.note("sammy", LEGACY.identity, 150)
    assert secret_times(USERS, "sammy", last_used.of("sammy")) == [150, None]
    assert secret_times(USERS, "olga", last_used.of("olga")) == [None]
    assert rotating_secrets(USERS, last_used) == [("sammy", "newer", 150), ("sammy", "older", 0)]


def test_noted_while_a_write_is_under_way():
    last_used = LastUsed()
    last_used.note("sammy", OLD.identity, 10.9)
    taken = last_used.take()
    assert taken == {"sammy": {name_of(OLD): 10}}
    last_used.note("sammy", NEW.identity, 20)
    assert last_used.take() == {}, "one at a time"
    assert last_used.of("sammy") == {name_of(OLD): 10, name_of(NEW): 20}
    last_used.written({"sammy": {name_of(OLD): 15}})
    assert last_used.of("sammy") == {name_of(OLD): 15, name_of(NEW): 20}
    assert last_used.take() == {"sammy": {name_of(NEW): 20}}


def test_what_was_not_written_comes_again_as_far_as_it_counts():
    last_used = LastUsed()
    last_used.note("sammy", OLD.identity, 10)
    last_used.note("gone", OLD.identity, 10)
    last_used.take()
    last_used.note("sammy", OLD.identity, 20)
    last_used.not_written(USERS)
    assert last_used.take() == {"sammy": {name_of(OLD): 20}}
