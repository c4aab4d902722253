import pytest

from mcproxy.auth.principals import Principal


def test_kinds_keep_equal_names_apart():
    assert str(Principal("user", "sammy")) == "user:sammy"
    assert Principal("user", "sammy") != Principal("certificate", "sammy")
    assert len({Principal("user", "sammy"), Principal("user", "sammy"), Principal("peer", "sammy")}) == 2


def test_unknown_kinds_do_not_exist():
    with pytest.raises(ValueError, match="kind"):
        Principal("root", "sammy")
