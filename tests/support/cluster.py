"""What a cluster has around the pods of deploy/kubernetes: secrets, whoever asks for their health, clients."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.kubernetes import ROOT, Manifest, containers, one
from tests.support.namespaces import inside
from tests.support.pods import Container, Pod
from tests.support.waiting import eventually

GUARD: Manifest = one("StatefulSet", "guard")["spec"]["template"]["spec"]
GATEWAY: Manifest = one("Deployment", "gateway")["spec"]["template"]["spec"]
MCPROXY = [sys.executable, "-m", "mcproxy"]
POD_ADDRESS = "10.244.0.20"
"""Of the guard's pod, in the pod network."""


def make_secrets(directory: Path) -> None:
    """The files that docs/kubernetes.md makes, by its commands."""
    command = directory / "mcproxy"
    command.write_text(f'#!/bin/sh\nexec {" ".join(MCPROXY)} "$@"\n')
    command.chmod(0o700)
    done = subprocess.run(
        ["bash", "-ec", "\n".join(documented("files"))],
        cwd=directory,
        env=os.environ | {"PATH": f"{directory}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def documented(kind: str) -> list[str]:
    """The commands of docs/kubernetes.md that are marked so."""
    page = (ROOT / "docs/kubernetes.md").read_text()
    return re.findall(rf"^```sh {kind}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def objects(secrets: Path) -> dict[str, dict[str, bytes]]:
    """What the documented `kubectl create` makes of these files, and the manifests' own ConfigMaps."""
    made: dict[str, dict[str, bytes]] = {}
    for line in "\n".join(documented("secrets")).splitlines():
        if found := re.fullmatch(
            r"kubectl --namespace \w+ create (?:secret (?:tls|generic)|configmap) (\S+) (.*)", line
        ):
            name, options = found.groups()
            sources = re.findall(r"--(?:from-file|cert|key)=(\S+)", options)
            made[name] = {source: (secrets / source).read_bytes() for source in sources}
    for part in ("guard", "gateway"):
        configuration = one("ConfigMap", part)
        text = configuration["data"]["mcproxy.yaml"]
        made[configuration["metadata"]["name"]] = {"mcproxy.yaml": text.encode()}
    return made


@contextmanager
def memcached_of(pod: Pod) -> Iterator[Container]:
    """The guard's memcached, once its startup probe succeeds."""
    described = containers(pod.spec)["memcached"]
    program = shutil.which(described["command"][0], path="/usr/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
    assert program is not None, "memcached is not installed: apt-get install memcached"
    with pod.container("memcached", [program, *described["command"][1:]]) as container:
        probe = described["startupProbe"]["exec"]["command"]
        eventually("the startup probe succeeds", lambda: pod.succeeds("memcached", *probe))
        yield container


_FETCH = """
import http.client, ssl, sys
address, port, path, authority, name, header = sys.argv[1:]
if authority:
    context = ssl.create_default_context(cafile=authority)
    wrap, context.wrap_socket = context.wrap_socket, lambda raw, **_: wrap(raw, server_hostname=name)
    connection = http.client.HTTPSConnection(address, int(port), timeout=5, context=context)
else:
    connection = http.client.HTTPConnection(address, int(port), timeout=5)
connection.request("GET", path, headers={"Authorization": header} if header else {})
answer = connection.getresponse()
print(answer.status, answer.read().decode().strip())
"""


def fetch(
    network: str, port: int, path: str, *, address: str = POD_ADDRESS, tls: Path | str = "", token: str = ""
) -> str:
    """Status and body, asked by the pod's address as kubelet and Prometheus do."""
    server_name = one("ServiceMonitor", "monitoring")["spec"]["endpoints"][0]["tlsConfig"]["serverName"]
    header = f"Bearer {token}" if token else ""
    command = [*inside(network), sys.executable, "-c", _FETCH, address, str(port), path, str(tls), server_name, header]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def probe(spec: Manifest, name: str, kind: str) -> tuple[int, str]:
    """Port and path that the kubelet asks."""
    container = containers(spec)[name]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = container[kind]["httpGet"]
    return ports[asked["port"]], asked["path"]


_TALK = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(10)
connection.connect(sys.argv[1])
for said in sys.argv[2:]:
    connection.sendall(said.encode().decode("unicode_escape").encode())
    received = b""
    while not received.endswith((b"END\\r\\n", b"STORED\\r\\n", b"denied\\r\\n", b"available\\r\\n")):
        part = connection.recv(65536)
        assert part, received
        received += part
    print(received.decode(), end="")
"""


def talk(pod: Pod, container: str, socket: str, *said: str) -> list[str]:
    """A memcached client in a container: the lines of all answers."""
    return pod.run(container, sys.executable, "-c", _TALK, socket, *said).splitlines()
