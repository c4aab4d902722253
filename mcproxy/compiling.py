"""What mypyc has to be told of classes, and whether it compiled them; see docs/design.md, "Compiled or not"."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Known to mypyc by these names. Not needed to run, so not a dependency.
    from mypy_extensions import mypyc_attr as mypyc_attr
    from mypy_extensions import trait as trait
else:

    def trait(kind):
        """A class that may stand beside another as a base."""
        return kind

    def mypyc_attr(**_):
        """Properties of a compiled class."""
        return lambda kind: kind


def is_compiled() -> bool:
    """Whether this is the compiled form of the program."""
    found = find_spec("mcproxy.wire.requests")
    return found is not None and not str(found.origin).endswith(".py")
