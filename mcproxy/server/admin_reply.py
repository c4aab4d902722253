"""An answer of the admin port, and the headers that every one of them has."""

from typing import Final, NamedTuple

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

NOTHING_ELSE: Final = "default-src 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of what is no page: nothing in it is loaded or run, whatever a browser takes it for."""

_ALWAYS: Final = (
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Connection", "close"),
)


class Reply(NamedTuple):
    """`headers` are those beside Content-Type, Content-Length and what every reply has."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()

    def all_headers(self) -> list[tuple[str, str]]:
        """What is sent; a Content-Security-Policy of its own takes the place of NOTHING_ELSE."""
        own = {name.lower() for name, _ in self.headers}
        standing = [*_ALWAYS, ("Content-Security-Policy", NOTHING_ELSE)]
        described = [("Content-Type", self.content_type), ("Content-Length", str(len(self.body)))]
        return [*described, *(header for header in standing if header[0].lower() not in own), *self.headers]
