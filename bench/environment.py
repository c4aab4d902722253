"""What the figures were measured on: without it they mean nothing to anybody else."""

import argparse
import os
import platform
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench.forms import Form
from bench.peers import ROOT, Peer


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    git = ["git", "-C", str(ROOT)]
    try:
        found = subprocess.run([*git, "describe", "--always", "--dirty"], capture_output=True, text=True)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def describe(peers: Sequence[Peer], form: Form, arguments: argparse.Namespace) -> dict[str, object]:
    """Machine, versions, and what ran on which core."""
    cores = sorted(os.sched_getaffinity(0))
    if arguments.pin:
        layout = "memcached and the generator on one core, the proxy (or direct memcached) alone on another"
    else:
        layout = "nothing pinned: the kernel spread generator, proxy and memcached over the cores as it liked"
    quick = ", a quick run" if arguments.quick else ""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "mcproxy commit": commit(),
        "mcproxy form": form.name,
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "openssl": ssl.OPENSSL_VERSION,
        "versions": ", ".join(f"{peer.name} {peer.version_text()}" for peer in peers),
        "layout": layout if arguments.pin else f"{layout} ({len(cores)} allowed)",
        "upstream": f"one memcached with one thread, {arguments.upstream} sockets",
        "rounds": f"{arguments.rounds} of {arguments.seconds:g} s, interleaved{quick}",
        "load averages": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
