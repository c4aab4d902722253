"""`mcproxy demo`: a memcached and a proxy before it to try out, gone without a trace when it ends."""

from __future__ import annotations

import argparse
from typing import Any

from mcproxy.cli.arguments import file_name

# Not memcached's own 11211: that is where programs on this machine may look for a memcached in earnest.
TLS_PORT = 21212
PLAIN_PORT = 21211
ADMIN_PORT = 9156


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="start a memcached and a proxy before it to try out",
        description="Start a memcached and a proxy before it to try out, on loopback. Ctrl-C removes everything.",
    )
    parser.add_argument(
        "--directory",
        type=file_name,
        metavar="DIR",
        help="where the demo's files are meanwhile; must not exist yet (default: a temporary directory)",
    )
    for option, default, what in (
        ("--port", TLS_PORT, "TLS"),
        ("--plain-port", PLAIN_PORT, "clients without TLS"),
        ("--admin-port", ADMIN_PORT, "metrics and health"),
    ):
        text = f"port for {what}; 0 for any (default: {default}, or any if that is taken)"
        parser.add_argument(option, type=_port, metavar="N", help=text)
    parser.set_defaults(command=demo)


def demo(options: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM or the end of the terminal. Raises CommandError."""
    from mcproxy.demo.files import Ports
    from mcproxy.demo.ports import choose_port
    from mcproxy.demo.run import run

    ports = Ports(
        tls=choose_port(options.port, TLS_PORT, "--port"),
        plain=choose_port(options.plain_port, PLAIN_PORT, "--plain-port"),
        admin=choose_port(options.admin_port, ADMIN_PORT, "--admin-port"),
    )
    return run(options.directory, ports)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, which is a number from 0 to 65535")
    return int(text)
