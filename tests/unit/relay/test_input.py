"""What is kept of a frame that comes in pieces: when it is worth another look, and what is forgotten."""

from mcproxy.relay.input import Input


def test_a_frame_is_looked_at_again_only_when_it_may_be_whole() -> None:
    kept = Input()
    kept.expect(b"set k", 100, until_newline=False)
    assert not kept.add(b"x" * 94)
    assert kept.add(b"y")
    assert kept.take() == b"set k" + b"x" * 94 + b"y"
    assert kept.empty
    assert not kept.kept


def test_a_line_is_looked_at_again_at_its_end() -> None:
    kept = Input()
    kept.expect(b"get a", 2048, until_newline=True)
    assert not kept.add(b"bc")
    assert kept.add(b"\r\n")
    kept.take()
    kept.expect(b"get a", 10, until_newline=True)
    assert kept.add(b"xxxxx"), "too long to be a line"


def test_what_is_kept_for_later_is_always_worth_a_look() -> None:
    kept = Input()
    kept.keep(b"get a\r\nge")
    assert kept.add(b"t")
    assert kept.take() == b"get a\r\nget"


def test_what_is_swallowed_is_not_kept() -> None:
    kept = Input()
    kept.to_swallow = 10
    assert not kept.empty
    assert not kept.add(b"x" * 4)
    assert not kept.add(b"x" * 6)
    assert kept.empty
    kept.to_swallow = 3
    assert kept.add(b"xxxget a")
    assert kept.take() == b"get a"
    assert not kept.kept
