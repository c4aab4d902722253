"""The lines to paste into another terminal. They need nothing but memcstat and python3."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcproxy.demo.files import USER

_OVER_TLS = """\
python3 - <<'END'
import socket, ssl
trusted = ssl.create_default_context(cafile={authority!r})
with trusted.wrap_socket(socket.create_connection(({host!r}, {port})), server_hostname={host!r}) as server:
    for request in ({login!r}, "set greeting 0 0 5\\r\\nhello", "get greeting"):
        server.sendall(request.encode() + b"\\r\\n")
        print(server.recv(4096).decode(), end="")
END"""

_METRICS = """\
python3 -c 'import http.client; server = http.client.HTTPConnection("{address}"); server.request("GET", "/metrics"); \
print(server.getresponse().read().decode())'"""


def instructions(addresses: Mapping[str, Sequence[str]], authority: Path, password: str) -> str:
    """What to print when the server is ready. `addresses` has "host:port" of the listeners tls, plain and admin."""
    plain, tls, admin = (addresses[name][0] for name in ("plain", "tls", "admin"))
    host, _, port = tls.rpartition(":")
    token = f"{USER} {password}"
    login = f"set login 0 0 {len(token)}\r\n{token}"
    metrics = f"curl --silent http://{admin}/metrics" if shutil.which("curl") else _METRICS.format(address=admin)
    memcstat = "" if shutil.which("memcstat") else " (memcstat is in Debian's package libmemcached-tools)"
    return f"""
memcached runs behind mcproxy. Paste these into another terminal:

# Without a login it is refused, and exits with a failure{memcstat}:
memcstat --servers={plain}

# The same with a login prints the statistics:
memcstat --servers={plain} --binary --username={USER} --password={shlex.quote(password)}

# Python over TLS, with the login of the text protocol:
{_OVER_TLS.format(authority=str(authority), host=host, port=port, login=login)}

# The metrics:
{metrics}

# The status page, for a browser on this machine:
http://{admin}/

Ctrl-C ends memcached and mcproxy and removes {authority.parent}.
"""
