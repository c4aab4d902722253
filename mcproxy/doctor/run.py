"""All examinations at once, each bounded in time and none in the way of another."""

from __future__ import annotations

from typing import NamedTuple

import trio

from mcproxy.config.material import Material
from mcproxy.config.regular_file import explained
from mcproxy.doctor.deployment import Asked, Deployment, Refusal, look_at
from mcproxy.doctor.registry import EXAMINATIONS, Examination
from mcproxy.doctor.verdicts import Result, could_not_tell

PATIENCE = 12.0
"""Seconds for one examination. A sound deployment takes about one for all."""
AT_ONCE = 8


class Examined(NamedTuple):
    examination: Examination
    results: list[Result]


async def examine_all(
    asked: Asked,
    material: Material,
    refusals: tuple[Refusal, ...],
    examinations: tuple[Examination, ...] = EXAMINATIONS,
) -> list[Examined]:
    """What each examination says, in the order of the registry. Raises OSError if nothing can be looked at."""
    deployment = await look_at(asked, material, refusals)
    results: dict[str, list[Result]] = {}
    places = trio.CapacityLimiter(AT_ONCE)

    async def examine(one: Examination) -> None:
        async with places:
            results[one.name] = await _examine(one, deployment)

    async with trio.open_nursery() as nursery:
        for one in examinations:
            nursery.start_soon(examine, one)
    return [Examined(one, results[one.name]) for one in examinations]


async def _examine(one: Examination, deployment: Deployment) -> list[Result]:
    """Whatever goes wrong with one, the others are worth having; and it is told, for it is not known to be well."""
    try:
        with trio.fail_after(PATIENCE):
            return await one.examine(deployment)
    except trio.TooSlowError:
        return [could_not_tell(one.name, f"it was not done within {PATIENCE:g} s")]
    except OSError as error:  # of this machine, such as no descriptors left
        seen = f"it could not be looked at: {explained(error)}"
        return [could_not_tell(one.name, seen, "mend that, and run this again")]
    except Exception as error:  # a fault of ours
        return [could_not_tell(one.name, f"it failed: {type(error).__name__}: {error}", "tell mcproxy's developers")]
