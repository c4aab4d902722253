"""The cases of tests/support/binary_cases.py through the program, in front of a real memcached."""

import pytest

from tests.support.binary_cases import CASES, Answer, BinaryCase
from tests.support.cutting import WAYS, cuts, listener_for
from tests.support.proxy import Proxy
from tests.support.tap import Tap


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(proxy: Proxy, tap: Tap, case: BinaryCase, way: str) -> None:
    for pieces in cuts(case.sent, way):
        tap.recording.forget()
        with proxy.logged_in_binary(case.user, listener_for(way)) as connection:
            if len(case.sent) > 1 << 16 and not pieces:
                connection.send_while_reading(case.sent)
            else:
                connection.send(case.sent, pieces)
            for expected in case.answers:
                response = connection.response()
                assert Answer(response.opcode, response.status, response.opaque) == expected, str(connection)
            if case.closes:
                connection.expect_closed()
            else:
                connection.in_step_binary()
        assert [frame.verb for frame in tap.recording.requests()] == list(case.upstream)
