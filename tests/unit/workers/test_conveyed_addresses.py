"""Addresses that a balancer conveyed, counted by the parent for all workers."""

from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.server.admission import Admission
from tests.unit.workers.test_questions import HERE, entered, told, two_workers, wait


async def test_a_conveyed_address_is_counted_for_all_workers_together() -> None:
    admission = Admission(connections=9, per_address=2, logins=9)
    async with two_workers(admission) as (one, other):
        places = [await entered(worker) for worker in (one, other, one)]
        assert [await place.comes_from(HERE) for place in places] == [
            None,
            None,
            ConnectionRefusal.TOO_MANY_FROM_ADDRESS,
        ]
        assert await other.entrance.enter("plain", HERE, wait) is ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        for place in places:
            place.release()
        await told(admission, 0, 0)
        again = await entered(other)
        assert await again.comes_from(HERE) is None
        again.release()
        await told(admission, 0, 0)
        assert await again.comes_from(HERE) is ConnectionRefusal.UNDECIDED, "the place is gone"
        assert not admission._by_address
