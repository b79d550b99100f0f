"""The manifests: valid by Kubernetes' schemas, locked down, with settings that the service accepts."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from core.process.draining import DRAIN_SECONDS
from tests.deploy.manifests import FOLDER, OVERLAYS, containers, pods, resources, settings, the
from tests.running_service import PROJECT, RunningService

PODS = {f"{overlay}: {name}": pod for overlay in OVERLAYS for name, pod in pods(resources(overlay)).items()}
CONTAINERS = {f"{name}: {one['name']}": one for name, pod in PODS.items() for one in containers(pod)}
SERVING = {name: pod for name, pod in PODS.items() if any(one["name"] == "api" for one in pod["containers"])}


def validate_all(text: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    for one in yaml.safe_load_all(text):
        if one["apiVersion"].partition("/")[0] not in ("monitoring.coreos.com", "kustomize.config.k8s.io"):
            validate.validate(one, "1.37.0", strict=True)


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.yaml")), ids=lambda file: str(file.relative_to(FOLDER)))
def test_file_is_valid(file: Path) -> None:
    if file.name != "kustomization.yaml":
        validate_all(file.read_text())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_output_of_kustomize_is_valid(overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on this machine")
    command = [kubectl, "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    validate_all(done.stdout)
    made = {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(done.stdout)}
    known = {(one["kind"], one["metadata"]["name"]) for one in resources(overlay) if one["kind"] != "ConfigMap"}
    assert {one for one in made if one[0] != "ConfigMap"} == known


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomization_lists_every_file(overlay: str) -> None:
    folder = FOLDER / "overlays" / overlay
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    files = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == {name for name in kustomization["resources"] if name.endswith(".yaml")}


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_is_locked_down(name: str) -> None:
    one = CONTAINERS[name]
    context = one["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
    assert "memory" in one["resources"]["limits"]
    image, _, tag = one["image"].partition(":")
    assert tag not in ("", "latest") or image.startswith("agent-router")


@pytest.mark.parametrize("name", PODS)
def test_pod_has_no_rights(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_contain_no_secrets(overlay: str) -> None:
    found = resources(overlay)
    assert not [one for one in found if one["kind"] == "Secret"]
    secret = re.compile(r"SECRET|TOKEN|PASSWORD|ACCESS_KEY")
    assert not [name for name in settings(FOLDER / "overlays" / overlay) if secret.search(name)]
    assert not [env["name"] for one in CONTAINERS.values() for env in one.get("env", ()) if secret.search(env["name"])]


@pytest.mark.parametrize("name", SERVING)
def test_there_is_time_to_stop(name: str) -> None:
    pod = SERVING[name]
    [api] = [one for one in pod["containers"] if one["name"] == "api"]
    timeout = int(settings(FOLDER / "overlays" / name.partition(":")[0])["SHUTDOWN_TIMEOUT_SECONDS"])
    takes = api["lifecycle"]["preStop"]["sleep"]["seconds"] + DRAIN_SECONDS + timeout
    assert takes + 10 <= pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", SERVING)
def test_probes_use_the_health_paths(name: str) -> None:
    [api] = [one for one in SERVING[name]["containers"] if one["name"] == "api"]
    paths = {kind: api[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/health/startup", "readiness": "/health/ready", "liveness": "/health/live"}
    # Readiness checks may take two seconds.
    assert api["readinessProbe"]["timeoutSeconds"] > 2


def test_postgres_runs_three_or_more_pods() -> None:
    found = resources("postgres")
    scaler, deployment = the(found, "HorizontalPodAutoscaler"), the(found, "Deployment", "agent-router")
    assert scaler["spec"]["minReplicas"] == 3
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for kind in ("PodDisruptionBudget", "Service"):
        spec = the(found, kind, "agent-router")["spec"]
        selector = spec["selector"].get("matchLabels", spec["selector"])
        assert selector.items() <= labels.items()
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert the(found, "Job")["spec"]["template"]["spec"]["containers"][0]["command"][-2:] == ["migrate", "--noinput"]


def test_sqlite_runs_exactly_one_pod() -> None:
    found = resources("sqlite")
    stateful_set, claim = the(found, "StatefulSet"), the(found, "PersistentVolumeClaim")
    assert stateful_set["spec"]["replicas"] == 1
    assert "volumeClaimTemplates" not in stateful_set["spec"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert not {"HorizontalPodAutoscaler", "Deployment"} & {one["kind"] for one in found}
    policy, binding = the(found, "ValidatingAdmissionPolicy"), the(found, "ValidatingAdmissionPolicyBinding")
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    [condition] = policy["spec"]["matchConditions"]
    assert f"'{stateful_set['metadata']['name']}'" in condition["expression"]
    [rule] = policy["spec"]["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["statefulsets", "statefulsets/scale"]


def test_sqlite_is_restored_then_migrated_then_replicated() -> None:
    pod = the(resources("sqlite"), "StatefulSet")["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["initContainers"]] == ["restore", "migrate", "litestream"]
    # Kubernetes stops a sidecar after the service.
    assert [one.get("restartPolicy") for one in pod["initContainers"]] == [None, None, "Always"]
    copy = FOLDER / "overlays" / "sqlite" / "litestream.yml"
    assert copy.read_text() == (PROJECT / "deploy" / "litestream.yml").read_text()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_network_policy_allows_only_named_ports(overlay: str) -> None:
    found = resources(overlay)
    policies = [one["spec"] for one in found if one["kind"] == "NetworkPolicy"]
    assert all({"Ingress", "Egress"} & set(one["policyTypes"]) for one in policies)
    everything = the(found, "NetworkPolicy", "agent-router")["spec"]
    assert everything["policyTypes"] == ["Ingress", "Egress"]
    labels = {"app.kubernetes.io/name": "agent-router"}
    assert everything["podSelector"]["matchLabels"] == labels
    assert all("ports" in rule for one in policies for rule in (*one.get("ingress", ()), *one.get("egress", ())))


def api_of(overlay: str) -> dict[str, Any]:
    """Return the container of the service."""
    [pod] = [pod for name, pod in SERVING.items() if name.startswith(overlay)]
    [api] = [one for one in pod["containers"] if one["name"] == "api"]
    return dict(api)


def environment_of(overlay: str, folder: Path) -> dict[str, str]:
    """Return the environment of that container, with a made-up secret and resolved references."""
    known = settings(FOLDER / "overlays" / overlay)
    # This test has another database, no Redis, and other paths.
    known |= {"REDIS_URL": "", "DB_DSN": f"sqlite:///{folder / 'app.db'}", "POD_IP": "127.0.0.1"}
    known |= {"METRICS_TOKEN": "token-of-the-test"}
    for env in api_of(overlay)["env"]:
        if "value" in env:
            known[env["name"]] = re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], env["value"])
    return known


@pytest.mark.slow
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_service_runs_with_these_settings(overlay: str, tmp_path: Path) -> None:
    """The service also answers the Host headers of probes and Prometheus."""
    environment: dict[str, Any] = environment_of(overlay, tmp_path)
    api = api_of(overlay)
    with RunningService(tmp_path, **environment) as service, service.client() as client:
        for kind in ("startup", "readiness", "liveness"):
            probe = api[f"{kind}Probe"]["httpGet"]
            headers = {header["name"]: header["value"] for header in probe["httpHeaders"]}
            assert client.get(probe["path"], headers=headers).status_code == 200
        metrics = {"Authorization": "Bearer token-of-the-test", "Host": f"{environment['POD_IP']}:8000"}
        assert client.get("/metrics", headers=metrics).status_code == 200
        assert client.get("/", headers={"Host": environment["PUBLIC_HOST"]}).status_code == 200
        assert answer_for(client, "attacker.example.org") == 400
        assert service.manage("doctor").returncode == 0


def answer_for(client: httpx.Client, host: str) -> int:
    return client.get("/health/live", headers={"Host": host}).status_code
