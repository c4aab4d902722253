"""deploy/kubernetes: Kubernetes or the Prometheus operator knows every field of every object, and so does kustomize."""

import copy
import shutil
import subprocess
import sys
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import all_versions

from tests.support.kubernetes import DIRECTORY, Manifest, manifests, one, operator_problems, problem

OLDEST = "1.29"
"""The first with sidecars (an init container with restartPolicy) unless told otherwise."""

KNOWN = [version for version in all_versions() if int(version.split(".")[1]) >= 29]
VERSIONS = [OLDEST, KNOWN[len(KNOWN) // 2], KNOWN[-1]]
PARTS = ("guard", "gateway", "monitoring")
KUBERNETES = manifests("guard", "gateway")
OPERATORS = manifests("monitoring")


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", KUBERNETES, ids=named)
def test_kubernetes_reads_all_of_it(manifest: Manifest, version: str) -> None:
    assert problem(manifest, version) is None


def test_the_operator_reads_all_of_it() -> None:
    assert [manifest["kind"] for manifest in OPERATORS] == ["PrometheusRule", "ServiceMonitor"]
    assert operator_problems(OPERATORS) == []


def changed(manifest: Manifest, *path: str | int, key: str, value: Any) -> Manifest:
    """A copy with another value somewhere in it."""
    new = copy.deepcopy(manifest)
    place: Any = new
    for step in path:
        place = place[step]
    place[key] = value
    return new


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_wrong_is_found(version: str) -> None:
    pod = ("spec", "template", "spec")
    stateful = one("StatefulSet", "guard")
    policy = one("NetworkPolicy", "guard")
    misspelt = [
        changed(stateful, *pod, "containers", 0, "readinessProbe", key="periodSecond", value=5),
        changed(stateful, *pod, "initContainers", 0, key="restartpolicy", value="Always"),
        changed(stateful, *pod, key="automountServiceAccountToken", value="no"),
        changed(policy, "spec", key="egres", value=[]),
        changed(stateful, key="kind", value="StatefulSets"),
        one("ServiceMonitor", "monitoring"),  # a kind that it doesn't know
    ]
    assert all(problem(manifest, version) for manifest in misspelt)


def test_what_is_wrong_for_the_operator_is_found() -> None:
    monitor, rule = one("ServiceMonitor", "monitoring"), one("PrometheusRule", "monitoring")
    endpoint = ("spec", "endpoints", 0)
    wrong = [
        changed(monitor, *endpoint, key="intervall", value="15s"),
        changed(monitor, *endpoint, key="interval", value="15 seconds"),
        changed(monitor, *endpoint, "authorization", "credentials", key="nam", value="x"),
        changed(monitor, "spec", key="endpoints", value={}),
        changed(monitor, key="kind", value="ServiceMonitors"),
        changed(monitor, "metadata", key="lables", value={}),
        changed(rule, "spec", "groups", 0, "rules", 0, key="expression", value="1"),
    ]
    assert {index for index, _ in operator_problems(wrong)} == set(range(len(wrong)))


@pytest.mark.parametrize("part", PARTS)
def test_kustomize_is_told_of_every_file(part: str) -> None:
    kustomization = yaml.safe_load((DIRECTORY / part / "kustomization.yaml").read_text())
    assert set(kustomization) <= {"apiVersion", "kind", "resources", "images"}
    files = {path.name for path in (DIRECTORY / part).glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files


@pytest.mark.parametrize("part", PARTS)
def test_kustomize_makes_the_same_of_them(part: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", str(DIRECTORY / part)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    made = {named(manifest): manifest for manifest in yaml.safe_load_all(done.stdout)}
    assert made == {named(manifest): manifest for manifest in manifests(part)}


def test_prometheus_rule_is_what_the_rules_of_deploy_prometheus_say() -> None:
    command = [sys.executable, "-B", str(DIRECTORY / "monitoring/generate.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
    written = one("PrometheusRule", "monitoring")["spec"]["groups"]
    files = [DIRECTORY.parent / f"prometheus/{name}.yaml" for name in ("recording", "alerts")]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    assert [on_one_line(group) for group in written] == [on_one_line(group) for group in groups]


def on_one_line(group: Any) -> Any:
    """Where the lines of an expression end means nothing."""
    return {
        **group,
        "rules": [{**rule, "expr": " ".join(rule["expr"].split())} for rule in group["rules"]],
    }
