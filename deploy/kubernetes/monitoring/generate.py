#!/usr/bin/env python3
"""Writes prometheus-rule.yaml: the recording rules and alerts of deploy/prometheus for the Prometheus operator.

Run it after a change of those; `--check` says whether it is needed, by its exit status.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = [HERE.parents[1] / "prometheus" / name for name in ("recording.yaml", "alerts.yaml")]
WRITTEN = HERE / "prometheus-rule.yaml"
HEAD = """\
# Written by generate.py from deploy/prometheus/recording.yaml and alerts.yaml: change those, and run it again.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: mcproxy
  namespace: cache
  labels: {app.kubernetes.io/name: mcproxy, app.kubernetes.io/instance: cache}
spec:
  groups:
"""


def resource() -> str:
    """The groups of both files, as they are written there, comments included.

    Expressions keep their lines: kustomize adds empty ones to folded text that has indented lines in it.
    """
    parts = [HEAD]
    for source in SOURCES:
        before, mark, groups = source.read_text().partition("\ngroups:\n")
        if not mark or not all(line.startswith("#") for line in before.splitlines()):
            raise SystemExit(f"generate.py: {source} has something else than a comment before its groups")
        lines = groups.replace("expr: >-\n", "expr: |-\n").splitlines(keepends=True)
        parts += [f"  {line}" if line.strip() else line for line in lines]
    return "".join(parts)


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        if WRITTEN.exists() and WRITTEN.read_text() == resource():
            return 0
        print(f"{WRITTEN} is not what deploy/prometheus says; run: python3 {Path(__file__)}", file=sys.stderr)
        return 1
    if arguments:
        print("usage: generate.py [--check]", file=sys.stderr)
        return 2
    WRITTEN.write_text(resource())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
