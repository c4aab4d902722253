"""The status page: one HTML document with its style and script in it, made of the files in page/.

It asks for nothing but /status.json, and its policy lets the browser load, run and style nothing but what is in it. It
shows names and reasons that strangers chose; the policy also forbids to make markup of text (trusted types).
"""

import base64
import hashlib
from importlib.resources import files

CONTENT_TYPE = "text/html; charset=utf-8"

SCRIPTS = ("format", "elements", "plots", "cards", "tables", "panels", "refresh")
"""One module in this order: each uses what stands in those before it."""


def page() -> tuple[bytes, str, str]:
    """The document, its content type, and the Content-Security-Policy that it is to be sent with. Reads files."""
    directory = files("mcproxy.server") / "page"
    script = "\n".join((directory / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    style = (directory / "style.css").read_text("utf-8")
    document = (directory / "page.html").read_text("utf-8").replace("{style}", style).replace("{script}", script)
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; script-src {_source(script)}; style-src {_source(style)}; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return document.encode(), CONTENT_TYPE, policy


def _source(text: str) -> str:
    """How a policy names this very text, and nothing else, as allowed (CSP level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
