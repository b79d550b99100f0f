"""The resources of an overlay of deploy/kubernetes, put together as kustomize does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.running_service import PROJECT

FOLDER = PROJECT / "deploy" / "kubernetes"
OVERLAYS = ("postgres", "sqlite")
type Resource = dict[str, Any]


def resources(overlay: str) -> list[Resource]:
    """Return all resources of an overlay, its base and its components, with generated ConfigMaps."""
    folder = FOLDER / "overlays" / overlay
    return [*_of_files(folder), {"kind": "ConfigMap", "metadata": {"name": "agent-router"}, "data": settings(folder)}]


def _of_files(folder: Path) -> Iterator[Resource]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in (*kustomization["resources"], *kustomization.get("components", ())):
        path = (folder / name).resolve()
        assert path.is_relative_to(FOLDER)
        yield from _of_files(path) if path.is_dir() else yaml.safe_load_all(path.read_text())


def settings(folder: Path) -> dict[str, str]:
    """Return the settings of the base and the overlay."""
    lines = (FOLDER / "base" / "settings.env").read_text().splitlines()
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    [own] = [one for one in kustomization["configMapGenerator"] if one["name"] == "agent-router"]
    lines += own["literals"]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def the(found: list[Resource], kind: str, name: str = "") -> Resource:
    """Return the only resource of a kind, or of a kind and a name."""
    [one] = [one for one in found if one["kind"] == kind and name in ("", one["metadata"]["name"])]
    return one


def pods(found: list[Resource]) -> dict[str, Resource]:
    """Return all pod specifications, by kind and name."""
    specs = {}
    for one in found:
        spec = one.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            specs[f"{one['kind']} {one['metadata']['name']}"] = spec["template"]["spec"]
    return specs


def containers(pod: Resource) -> list[Resource]:
    return [*pod.get("initContainers", ()), *pod["containers"]]
