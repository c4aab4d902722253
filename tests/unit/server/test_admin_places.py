"""Whose connection to the admin port is closed for a new one, when there are too many."""

import contextlib

import pytest

from mcproxy.server import admin
from mcproxy.server.admin_pages import Pages, no_obstacle


@pytest.fixture
def port():
    return admin.Port(Pages(no_obstacle), None, contextlib.nullcontext)


def lost(places):
    return [place for place in places if place.scope.cancel_called]


async def test_a_source_has_its_share_and_takes_its_own_places(port):
    neighbour = port.place("fd00::1")
    places = [port.place("fd00::2") for _ in range(admin.CONNECTIONS_PER_SOURCE + 2)]
    assert lost([neighbour, *places]) == places[:2]
    for place in places:
        place.has_request = True
    assert port.place("fd00::2") is None
    assert port.place("fd00::1") is not None


async def test_who_has_most_places_loses_the_oldest(port):
    few = [port.place("10.0.0.1"), port.place("10.0.0.2")]
    local = [port.place("127.0.0.1") for _ in range(admin.CONNECTIONS - 2)]
    local[0].has_request = True
    few.append(port.place("10.0.0.3"))
    assert lost(few + local) == [local[1]]
