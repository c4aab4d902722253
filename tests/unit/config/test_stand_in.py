"""The key of the stand-ins: needed where SCRAM shows salts, and there it has to be right."""

import pytest

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.config.load import load
from mcproxy.config.problems import ConfigurationError
from mcproxy.config.stand_in import check_stand_in_key, stand_in_key, unlike_users
from mcproxy.files.stand_in_key import StandInKeyError

from .building import settings_of


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users"
    path.touch(mode=0o600)
    return path


def settings(users_file, mechanisms=("PLAIN",)):
    plain = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["sasl"]}
    return settings_of(
        {
            "listeners": {"a": {**plain, "mechanisms": list(mechanisms)}},
            "upstream": {"address": "127.0.0.1:11211"},
            "users_file": str(users_file),
        }
    )


def read_only(monkeypatch):
    """For root too, whom permissions don't hold back."""

    def refused(*arguments, **more):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("mcproxy.files.whole.tempfile.mkstemp", refused)
    monkeypatch.setattr("mcproxy.config.stand_in.os.access", lambda path, how: False)


def test_it_is_made_where_it_can_be(users):
    with_scram = settings(users, ["SCRAM-SHA-256"])
    assert check_stand_in_key(with_scram) is None
    assert not users.with_name("users.key").exists(), "checking makes nothing"
    assert stand_in_key(with_scram) == stand_in_key(with_scram) == check_stand_in_key(with_scram)
    assert users.with_name("users.key").exists()


def test_without_scram_a_random_one_does(users, monkeypatch):
    read_only(monkeypatch)
    plain = settings(users)
    assert check_stand_in_key(plain) is None
    assert len(stand_in_key(plain)) == 32
    assert stand_in_key(plain) != stand_in_key(plain)


def test_with_scram_it_must_be_there(users, monkeypatch):
    read_only(monkeypatch)
    with_scram = settings(users, ["PLAIN", "SCRAM-SHA-256"])
    for reading in (check_stand_in_key, stand_in_key):
        with pytest.raises(StandInKeyError) as caught:
            reading(with_scram)
        assert f"there is no file {users}.key and it can't be made" in str(caught.value)
        assert f"openssl rand -base64 32 > {users}.key" in str(caught.value)


def test_a_broken_key_is_told(users):
    users.with_name("users.key").write_text("half")
    users.with_name("users.key").chmod(0o600)
    with_scram = settings(users, ["SCRAM-SHA-256"])
    for reading in (check_stand_in_key, stand_in_key):
        with pytest.raises(StandInKeyError, match="does not hold a key"):
            reading(with_scram)


def test_without_a_users_file_any_key_does(users):
    nobody = settings(users).model_copy(update={"users_file": None})
    assert check_stand_in_key(nobody) is None
    assert len(stand_in_key(nobody)) == 32


def test_what_is_wrong_with_it_is_a_problem_of_the_configuration(tmp_path, users):
    """Once, with the line that names the users file."""
    users.with_name("users.key").touch(mode=0o600)
    path = tmp_path / "mcproxy.yaml"
    path.write_text(
        "listeners: {a: {bind: ['127.0.0.1:0'], allow: [], authentication: [sasl], mechanisms: [SCRAM-SHA-256]}}\n"
        "upstream: {address: '127.0.0.1:11211'}\n"
        "users_file: users\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{path}:3: users_file: {users}.key does not hold a key")


def test_users_who_can_be_told_from_unknown_ones():
    usual, other = make_verifier("x", 5000), make_verifier("x", 4096)
    assert list(unlike_users(Users([("a", usual), ("b", usual)]))) == []
    (finding,) = unlike_users(Users([("a", usual), ("b", usual), ("c", usual), ("d", other), ("e", other)]))
    assert finding.place == ("users_file",)
    assert finding.message.startswith("d and 1 more can be told from unknown users")
