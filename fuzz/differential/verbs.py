"""All text verbs, and how each is read."""

from fuzz.differential.reading import CLASSIC, Judge
from fuzz.differential.reading_administration import ADMINISTRATION
from fuzz.differential.reading_meta import META

VERBS: dict[bytes, Judge] = {**CLASSIC, **META, **ADMINISTRATION}
