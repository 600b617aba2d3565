"""The Kubernetes manifests as data: agreement with the Compose file, which is tried with real containers, and with the
rest of the code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts import names
from contracts.paths import PROJECT, StatePaths
from contracts.settings import Flink, Settings, variables
from operations.containers import COMPONENTS
from operations.embedded.flink import FlinkCluster
from operations.embedded.taskmanager import TaskManager

FOLDER = PROJECT / "deploy" / "kubernetes"
BASE, OPERATOR = FOLDER / "base", FOLDER / "flink-operator"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]
Object = dict[str, Any]


def objects_in(folder: Path) -> Iterator[Object]:
    """Of the files that the folder's kustomization names, and those it takes over from."""
    for name in loaded(folder / "kustomization.yaml")["resources"]:
        path = (folder / name).resolve()
        yield from objects_in(path) if path.is_dir() else yaml.safe_load_all(path.read_text(encoding="utf-8"))


def loaded(path: Path) -> Object:
    found: Object = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def workloads() -> dict[str, Object]:
    """The only container of each Deployment and Job, by name."""
    found = {}
    for each in objects_in(BASE):
        if each["kind"] in ("Deployment", "Job"):
            (found[each["metadata"]["name"]],) = each["spec"]["template"]["spec"]["containers"]
    return found


def environment() -> dict[str, str]:
    (found,) = (each["data"] for each in objects_in(BASE) if each["kind"] == "ConfigMap")
    return dict(found)


def test_kubernetes_every_file_is_named_by_a_kustomization() -> None:
    named = set()
    for path in FOLDER.rglob("kustomization.yaml"):
        content = loaded(path)
        entries = [*content["resources"], *(patch["path"] for patch in content["patches"] if "path" in patch)]
        named |= {path, *((path.parent / entry).resolve() for entry in entries)}
    assert set(FOLDER.rglob("*.yaml")) <= named


def test_kubernetes_runs_every_component_as_compose_does() -> None:
    found = workloads()
    assert set(found) == {*COMPONENTS, "prepare"}
    for name, container in found.items():
        service = SERVICES[name]
        assert container["args"] == service["command"], name
        assert container["image"] == service["image"].partition(":")[0], name
        assert container["resources"]["limits"]["memory"] == f"{service['mem_limit'].removesuffix('m')}Mi", name
        assert container["name"] == "component", f"{name}: the patch for all would not reach it"


def test_kubernetes_images_have_the_tag_that_compose_has() -> None:
    tagged = {f"{each['newName']}:{each['newTag']}" for each in loaded(BASE / "kustomization.yaml")["images"]}
    operator = loaded(OPERATOR / "flink.yaml")["spec"]["image"]
    assert operator == f"fraud-lakehouse/flink-operator:{next(iter(tagged)).partition(':')[2]}"
    assert tagged == {service["image"] for service in SERVICES.values() if "fraud-lakehouse/" in service["image"]}


def test_kubernetes_deployment_selects_its_own_pods_and_never_runs_twice() -> None:
    for each in objects_in(BASE):
        if each["kind"] == "Deployment":
            name, spec = each["metadata"]["name"], each["spec"]
            assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"], name
            assert spec["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
            assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate"), name


def test_kubernetes_service_leads_to_the_ports_of_its_deployment() -> None:
    containers = workloads()
    for each in objects_in(BASE):
        if each["kind"] == "Service":
            name = each["metadata"]["name"]
            wanted = {(port["name"], port["port"]) for port in each["spec"]["ports"]}
            assert wanted == {(port["name"], port["containerPort"]) for port in containers[name]["ports"]}, name


def test_kubernetes_settings_are_settings_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(environment()) <= set(variables())
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert not settings.supervised
    services = {each["metadata"]["name"] for each in objects_in(BASE) if each["kind"] == "Service"}
    addresses = settings.addresses(kafka_port=1, flink_rest_port=1, dagster_port=settings.dagster.port)
    assert {addresses.flink_rest[0], settings.dagster.host, settings.dagster.code_host} == services
    assert settings.state.parent == Path(_of_all()["containers"][0]["volumeMounts"][0]["mountPath"])


def test_kubernetes_gives_flink_the_memory_that_compose_gives() -> None:
    ours = {name: value for name, value in environment().items() if name.endswith("_MB")}
    assert ours == {name: value for name, value in SERVICES["jobs"]["environment"].items() if name.endswith("_MB")}


def _of_all() -> Object:
    """What the patch gives every pod."""
    found: Object = loaded(BASE / "every-component.yaml")["spec"]["template"]["spec"]
    return found


def test_kubernetes_pods_have_no_rights() -> None:
    operator = loaded(OPERATOR / "flink.yaml")["spec"]["podTemplate"]["spec"]
    for pod in (_of_all(), operator):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
    uid = re.search(r"useradd --uid (\d+)", (PROJECT / "Dockerfile").read_text(encoding="utf-8"))
    assert uid
    assert {pod["securityContext"]["runAsUser"] for pod in (_of_all(), operator)} == {int(uid[1])}


def test_kubernetes_lets_no_other_pod_in() -> None:
    (policy,) = (each["spec"] for each in objects_in(BASE) if each["kind"] == "NetworkPolicy")
    assert policy == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}]}],
    }


def test_kubernetes_holds_no_secret() -> None:
    assert not [each for each in objects_in(BASE) if each["kind"] == "Secret"]
    assert not [name for name in environment() if "PASSWORD" in name or "SECRET" in name]


def test_flink_operator_configures_flink_as_the_pipeline_does(tmp_path: Path) -> None:
    """Every key that it has; those of addresses and folders are the operator's."""
    found = loaded(OPERATOR / "flink.yaml")["spec"]
    settings = Flink()
    cluster = FlinkCluster(StatePaths(tmp_path), Path("/java"), (), (), settings, 1, 2).configuration()
    ours = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in cluster.items()}
    ours |= TaskManager.of(names.LAKEHOUSE_JOB, settings).configuration()
    own = {"kubernetes.entry.path"}
    assert {key: ours[key] for key in set(found["flinkConfiguration"]) - own} == {
        key: value for key, value in found["flinkConfiguration"].items() if key not in own
    }
    memory = [settings.alerting_taskmanager_mb, settings.lakehouse_taskmanager_mb]
    assert found["taskManager"]["resource"]["memory"] == f"{max(memory)}m"
    assert found["jobManager"]["resource"]["memory"] == f"{settings.jobmanager_mb}m"


def test_flink_operator_takes_the_place_of_the_pipelines_own_cluster() -> None:
    text = (OPERATOR / "without-own-cluster.yaml").read_text(encoding="utf-8")
    gone = [(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(text)]
    cluster = (names.JOBMANAGER, *names.TASKMANAGERS.values())
    assert gone == [("Service", names.JOBMANAGER), *(("Deployment", name) for name in cluster)]


def test_flink_operator_finds_the_password_file_where_prepare_writes_it() -> None:
    container = loaded(OPERATOR / "flink.yaml")["spec"]["podTemplate"]["spec"]["containers"][0]
    state = StatePaths(Path(environment()["PIPELINE_STATE"]))
    assert container["env"] == [{"name": "PGPASSFILE", "value": str(state.run / "pgpass")}]
