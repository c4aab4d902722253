"""The real Prometheus, on a port of loopback that the kernel chose, with its storage in a directory of the test."""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.support.waiting import eventually

LISTENING = re.compile(r'msg="Listening on".* address=(\S+)')


class Prometheus:
    """`configuration` is that of prometheus.yml. Use it as a context manager."""

    def __init__(self, directory: Path, configuration: Mapping[str, Any]) -> None:
        self.directory = directory
        self.address = ""
        self._configuration = directory / "prometheus.yml"
        self._configuration.write_text(yaml.safe_dump(dict(configuration), sort_keys=False))
        self._log = directory / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What it has for this PromQL now: samples with `metric` and `value`. Raises AssertionError if it complains."""
        samples = self._api("query", query=expression)["result"]
        assert isinstance(samples, list)
        return samples

    def series(self, selector: str) -> list[dict[str, str]]:
        """The labels of all series that a selector of names and labels finds."""
        found = self._api("series", **{"match[]": selector})
        assert isinstance(found, list)
        return found

    def targets(self) -> dict[str, dict[str, Any]]:
        """Of each job one target: its health ("up"), lastError and so on."""
        return {target["labels"]["job"]: target for target in self._api("targets")["activeTargets"]}

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with `health` ("ok") and `lastError`."""
        return [rule for group in self._api("rules")["groups"] for rule in group["rules"]]

    def _api(self, what: str, **parameters: str) -> Any:
        url = f"http://{self.address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            with refused:
                raise AssertionError(f"{what} {parameters}: {refused.read().decode()}") from None

    def __enter__(self) -> Self:
        program = shutil.which("prometheus", path="/usr/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
        assert program is not None, "prometheus is not installed: apt-get install prometheus"
        command = [program, f"--config.file={self._configuration}", f"--storage.tsdb.path={self.directory}/data"]
        command += ["--web.listen-address=127.0.0.1:0", "--log.format=logfmt"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            listening = eventually("Prometheus listens", lambda: LISTENING.search(self._running()))
            assert listening is not None
            self.address = listening[1]
            eventually("Prometheus is ready", lambda: "Server is ready" in self._running())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _running(self) -> str:
        assert self._process is not None
        log = self._log.read_text()
        assert self._process.poll() is None, f"Prometheus ended:\n{log}"
        return log

    def _stop(self) -> None:
        """At once: nobody reads its storage again."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
