"""deploy/kubernetes: labels, ports, names, files, times and sizes agree wherever they stand, and pods are confined."""

import ipaddress
import re
from typing import Any

import pytest

from mcproxy import __version__
from mcproxy.config.units import parse_duration, parse_size
from tests.support.image import USER
from tests.support.kubernetes import ROOT, Manifest, containers, manifests, mounted, one, settings

STATEFUL, SERVICE, POLICY = (one(kind, "guard") for kind in ("StatefulSet", "Service", "NetworkPolicy"))
DEPLOYMENT, OUTWARD = one("Deployment", "gateway"), one("NetworkPolicy", "gateway")
MONITOR = one("ServiceMonitor", "monitoring")
PODS: dict[str, Manifest] = {
    "guard": STATEFUL["spec"]["template"]["spec"],
    "gateway": DEPLOYMENT["spec"]["template"]["spec"],
}
SETTINGS = {part: settings(one("ConfigMap", part)) for part in PODS}
PAGE = (ROOT / "docs/kubernetes.md").read_text()
EVERY_CONTAINER = [(part, name) for part, pod in PODS.items() for name in containers(pod)]


def labels(workload: Manifest) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def port_numbers(pod: Manifest, name: str = "mcproxy") -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in containers(pod)[name].get("ports", [])}


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize("workload", [STATEFUL, DEPLOYMENT], ids=lambda workload: str(workload["kind"]))
def test_all_that_selects_pods_selects_these(workload: Manifest) -> None:
    assert workload["spec"]["selector"]["matchLabels"] == labels(workload)


def test_all_that_selects_the_guards_pods_does() -> None:
    pods = labels(STATEFUL)
    assert SERVICE["spec"]["selector"] == pods
    assert STATEFUL["spec"]["serviceName"] == SERVICE["metadata"]["name"]
    assert POLICY["spec"]["podSelector"]["matchLabels"] == pods
    assert one("PodDisruptionBudget", "guard")["spec"]["selector"]["matchLabels"] == pods
    [spread] = PODS["guard"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == pods
    assert MONITOR["spec"]["selector"]["matchLabels"].items() <= SERVICE["metadata"]["labels"].items()
    assert OUTWARD["spec"]["podSelector"]["matchLabels"] == labels(DEPLOYMENT)


def test_every_object_is_in_its_namespace() -> None:
    for part, namespace in (("guard", "cache"), ("gateway", "shop"), ("monitoring", "cache")):
        for manifest in manifests(part):
            if manifest["kind"] == "Namespace":
                assert manifest["metadata"]["name"] == namespace
                assert manifest["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
            else:
                assert manifest["metadata"]["namespace"] == namespace, manifest["metadata"]


def test_ports_are_those_of_the_configuration() -> None:
    guard = SETTINGS["guard"]
    assert port_numbers(PODS["guard"]) == {
        "memcached": port_of(guard["listeners"]["applications"]["bind"][0]),
        "metrics": port_of(guard["admin"]["bind"]),
        "health": port_of(guard["admin"]["health_bind"]),
    }
    assert port_numbers(PODS["gateway"]) == {"health": port_of(SETTINGS["gateway"]["admin"]["health_bind"])}
    for port in SERVICE["spec"]["ports"]:
        assert port["port"] == port_numbers(PODS["guard"])[port["targetPort"]]
    assert MONITOR["spec"]["endpoints"][0]["port"] in {port["name"] for port in SERVICE["spec"]["ports"]}
    assert "mcproxy" in SERVICE["metadata"]["labels"][MONITOR["spec"]["jobLabel"]]
    for part, name in EVERY_CONTAINER:
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = containers(PODS[part])[name].get(kind, {}).get("httpGet")
            assert asked is None or asked["port"] in port_numbers(PODS[part], name)


def test_the_network_policy_lets_in_the_gateways_pods_and_prometheus() -> None:
    """Ports of the policy are names of the guard's; that of health is in none, since the kubelet needs no leave."""
    applications, prometheus = POLICY["spec"]["ingress"]
    assert applications["from"] == [selected("shop", labels(DEPLOYMENT))]
    assert [port["port"] for port in applications["ports"]] == ["memcached"]
    assert prometheus["from"] == [selected("monitoring", {"app.kubernetes.io/name": "prometheus"})]
    assert [port["port"] for port in prometheus["ports"]] == ["metrics"]
    assert POLICY["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert POLICY["spec"]["egress"] == []
    cache, names = OUTWARD["spec"]["egress"]
    assert cache["to"] == [selected("cache", labels(STATEFUL))]
    assert [port["port"] for port in cache["ports"]] == [port_numbers(PODS["guard"])["memcached"]]
    assert [(port["protocol"], port["port"]) for port in names["ports"]] == [("UDP", 53), ("TCP", 53)]


def selected(namespace: str, pods: dict[str, str]) -> Manifest:
    """A single peer: with two, pods of the policy's own namespace or all of the other one would be meant."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": pods},
    }


def test_the_gateway_knows_every_pod_of_the_guard_by_its_name() -> None:
    port = port_numbers(PODS["guard"])["memcached"]
    domain = f"{SERVICE['metadata']['name']}.{SERVICE['metadata']['namespace']}.svc.cluster.local"
    pods = [f"{STATEFUL['metadata']['name']}-{number}" for number in range(STATEFUL["spec"]["replicas"])]
    gateway = SETTINGS["gateway"]
    assert {name: upstream["address"] for name, upstream in gateway["upstreams"].items()} == {
        pod: f"{pod}.{domain}:{port}" for pod in pods
    }
    assert [listener["upstream"] for listener in gateway["listeners"].values()] == pods
    assert f"DNS:{domain},DNS:*.{domain}" in PAGE
    assert MONITOR["spec"]["endpoints"][0]["tlsConfig"]["serverName"] == domain
    sockets = [listener["bind"][0].removeprefix("unix:") for listener in gateway["listeners"].values()]
    application = containers(PODS["gateway"])["shop"]
    assert application["env"][0]["value"].split(",") == sockets
    assert gateway["grants"][0]["peer"]["uid"] == application["securityContext"]["runAsUser"]
    users = {upstream["login"]["username"] for upstream in gateway["upstreams"].values()}
    assert users == {grant["user"] for grant in SETTINGS["guard"]["grants"]} == {"shop"}
    assert f"mcproxy user add {users.pop()} " in PAGE


@pytest.mark.parametrize("part", PODS)
def test_every_file_that_the_configuration_names_is_mounted_and_made(part: str) -> None:
    [(mount, volume)] = [(m, v) for m, v in mounted(PODS[part], "mcproxy") if "projected" in v]
    assert mount["mountPath"] == "/etc/mcproxy" and mount["readOnly"] is True
    assert volume["projected"]["defaultMode"] == 0o440
    paths = {f"/etc/mcproxy/{item['path']}" for _, source in sources(volume) for item in source["items"]}
    named = set(re.findall(r"/etc/mcproxy/[\w./-]+", str(SETTINGS[part])))
    assert named | {"/etc/mcproxy/mcproxy.yaml"} == paths - {"/etc/mcproxy/users.key"}
    namespace = one("Namespace", part)["metadata"]["name"]
    for kind, source in sources(volume):
        keys = {item["key"] for item in source["items"]}
        assert made(kind, namespace, source["name"]) >= keys, source["name"]


def sources(volume: Manifest) -> list[tuple[str, Manifest]]:
    return [pair for source in volume["projected"]["sources"] for pair in source.items()]


def made(kind: str, namespace: str, name: str) -> set[str]:
    """The keys of a Secret or ConfigMap: of a manifest, or as docs/kubernetes.md has it made."""
    for manifest in manifests("guard", "gateway"):
        if (manifest["kind"], manifest["metadata"]["name"]) == ("ConfigMap", name):
            return set(manifest["data"])
    words = {"secret": r"secret (?:tls|generic)", "configMap": "configmap"}[kind]
    [options] = re.findall(rf"^kubectl --namespace {namespace} create {words} {name} (--.*[^\\])$", PAGE, re.MULTILINE)
    return set(re.findall(r"--(?:from-file|cert|key)=(\S+)", options))


def test_prometheus_can_read_what_it_needs() -> None:
    [endpoint] = MONITOR["spec"]["endpoints"]
    secret, authority = endpoint["authorization"]["credentials"], endpoint["tlsConfig"]["ca"]["configMap"]
    assert secret["key"] in made("secret", "cache", secret["name"])
    assert authority["key"] in made("configMap", "cache", authority["name"])


@pytest.mark.parametrize(("part", "name"), EVERY_CONTAINER)
def test_a_container_is_confined(part: str, name: str) -> None:
    """What Pod Security calls restricted, and beyond that a root that is read-only and users that are told apart."""
    pod, container = PODS[part], containers(PODS[part])[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod)
    own = container["securityContext"]
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert set(own) <= {"allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities", "runAsUser", "runAsGroup"}
    user = own.get("runAsUser", pod["securityContext"].get("runAsUser"))
    assert (user == USER) == (name == "mcproxy") and user > 0
    assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["memory"]
    for mount, volume in mounted(pod, name):
        assert "subPath" not in mount, "never updated"
        assert set(volume) - {"name"} <= {"emptyDir", "projected"}
        assert name == "mcproxy" or "projected" not in volume, "secrets are for mcproxy alone"
        assert mount.get("readOnly") is True or (part, name) in (("guard", "memcached"), ("gateway", "mcproxy"))


def test_memcached_has_no_port_and_the_socket_that_mcproxy_looks_for() -> None:
    memcached = containers(PODS["guard"])["memcached"]
    command: list[str] = memcached["command"]
    assert f"unix:{command[command.index('-s') + 1]}" == SETTINGS["guard"]["upstream"]["address"]
    assert "ports" not in memcached
    assert not {"-l", "-p", "--listen", "--port"} & set(command)
    assert command[command.index("-a") + 1] == "0660"
    assert memcached["securityContext"]["runAsGroup"] == PODS["guard"]["securityContext"]["fsGroup"] == USER
    memory = int(command[command.index("-m") + 1])
    assert mebibytes(memcached) >= memory + 100


def test_mcproxy_has_room_for_its_buffers() -> None:
    for pod, settings_ in zip(PODS.values(), SETTINGS.values(), strict=True):
        buffer = parse_size(settings_.get("limits", {}).get("total_buffer", "256MiB")) / 2**20
        assert mebibytes(containers(pod)["mcproxy"]) >= buffer + 128


def mebibytes(container: Manifest) -> int:
    limit: Any = container["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    return int(limit.removesuffix("Mi"))


def test_sidecars_come_first_and_go_last() -> None:
    """memcached must outlive mcproxy, and a gateway its application."""
    for part, sidecar, main in (("guard", "memcached", "mcproxy"), ("gateway", "mcproxy", "shop")):
        [first], [second] = PODS[part]["initContainers"], PODS[part]["containers"]
        assert (first["name"], second["name"]) == (sidecar, main)
        assert first["restartPolicy"] == "Always"
        assert "startupProbe" in first


def test_there_is_time_enough_to_drain() -> None:
    limits = SETTINGS["guard"]["limits"]
    drain = parse_duration(limits["drain_delay"]) + parse_duration(limits["drain_timeout"])
    assert PODS["guard"]["terminationGracePeriodSeconds"] >= drain + 10
    # By default there are 10 seconds, and no delay: nobody sends a gateway's only client elsewhere.
    assert "limits" not in SETTINGS["gateway"]
    assert PODS["gateway"]["terminationGracePeriodSeconds"] >= 30 + 10 + 5


def test_the_image_is_of_this_version() -> None:
    for pod in PODS.values():
        assert containers(pod)["mcproxy"]["image"] == f"registry.example.com/mcproxy:{__version__}"


def test_the_allowlist_is_a_private_network() -> None:
    [allowed] = SETTINGS["guard"]["listeners"]["applications"]["allow"]
    assert ipaddress.ip_network(allowed).is_private
