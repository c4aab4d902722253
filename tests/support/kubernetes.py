"""The manifests of deploy/kubernetes as objects, and what their validators say of them."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "deploy/kubernetes"
_INSTALLED = ROOT / ".debian/prometheus-operator"

Manifest = dict[str, Any]


def manifests(*parts: str) -> list[Manifest]:
    """Every object of these parts ("guard", "gateway", "monitoring"), in the order of their files' names."""
    return [
        manifest
        for part in parts
        for path in sorted((DIRECTORY / part).glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for manifest in yaml.safe_load_all(path.read_text())
    ]


def one(kind: str, *parts: str) -> Manifest:
    """The only object of this kind."""
    [found] = [manifest for manifest in manifests(*parts) if manifest["kind"] == kind]
    return found


def containers(pod: Manifest) -> dict[str, Manifest]:
    """By name, those that begin before the others first. `pod` is a pod's spec."""
    return {container["name"]: container for container in [*pod.get("initContainers", []), *pod["containers"]]}


def settings(configuration: Manifest) -> Any:
    """What the ConfigMap says to mcproxy."""
    return yaml.safe_load(configuration["data"]["mcproxy.yaml"])


def problem(manifest: Manifest, version: str) -> str | None:
    """What stands against it for this version of Kubernetes, of which a field or a kind that isn't known is one."""
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return str(error.message)
    return None


def operator_problems(objects: Sequence[Manifest]) -> list[tuple[int, str]]:
    """What stands against kinds of the Prometheus operator, each with the object's index."""
    package = _INSTALLED / "node_modules/@kubernetes-models/prometheus-operator"
    assert package.is_dir(), f"{package} is not there: scripts/test installs it"
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("operator_models.mjs")), str(_INSTALLED)],
        input=json.dumps(objects),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [(index, words) for index, words in json.loads(done.stdout)]


def mounted(pod: Manifest, container: str) -> Iterator[tuple[Manifest, Manifest]]:
    """What a container mounts: each with the volume that it names. Raises KeyError for a volume that isn't there."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in containers(pod)[container].get("volumeMounts", []):
        yield mount, volumes[mount["name"]]
