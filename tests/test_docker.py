"""The image definition and the compose file are of a form that a builder takes; nothing is built here."""

import re
from pathlib import Path

import pytest
import yaml

DOCKER = Path(__file__).parents[1] / "docker"


def test_the_image_serves_with_a_login_and_runs_as_nobody_special():
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    instructions = [line.split()[0] for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert instructions[0] == "FROM"
    assert instructions.index("USER") < instructions.index("CMD")
    assert '"--login"' in text.splitlines()[-1]
    assert "constraints.txt" in text


def test_the_compose_file_has_navidrome_beside_deepcuts():
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    assert "\t" not in text
    assert re.findall(r"^  (\w+):$", text, re.MULTILINE) == ["navidrome", "deepcuts"]
    assert "navidrome:/navidrome:ro" in text  # its database is read, never written


@pytest.fixture
def cluster() -> dict:
    return yaml.safe_load((DOCKER / "kuberay.yaml").read_text(encoding="utf-8"))


def pods(cluster: dict) -> list[tuple[dict, dict]]:
    """`ray start` parameters and pod of the head and of each group of workers."""
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    return [(group["rayStartParams"], group["template"]["spec"]) for group in groups]


def test_the_cluster_is_what_the_kuberay_operator_takes(cluster):
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert cluster["metadata"]["name"]
    for group in cluster["spec"]["workerGroupSpecs"]:
        assert group["groupName"]
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for parameters, pod in pods(cluster):
        assert all(isinstance(value, str) for value in parameters.values())  # the operator refuses numbers
        assert {container["image"] for container in pod["containers"]} == {"REGISTRY/deepcuts"}


def test_the_cluster_runs_the_ray_that_is_tested(cluster):
    pinned = re.search(r"^ray==(\S+)$", (DOCKER.parent / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    assert cluster["spec"]["rayVersion"] == pinned[1]


def test_the_head_runs_no_tasks_and_all_pods_share_a_disk_and_enough_shared_memory(cluster):
    (head, _), *workers = pods(cluster)
    assert head["num-cpus"] == "0"
    assert all(int(parameters["num-cpus"]) > 0 for parameters, _ in workers)
    for parameters, pod in pods(cluster):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert "persistentVolumeClaim" in volumes[mounts["/data"]]
        shared = int(volumes[mounts["/dev/shm"]]["emptyDir"]["sizeLimit"].removesuffix("Gi")) << 30
        assert int(parameters["object-store-memory"]) < shared
        limits = pod["containers"][0]["resources"]["limits"]
        assert shared < int(limits["memory"].removesuffix("Gi")) << 30
        assert int(parameters["num-cpus"]) <= int(limits["cpu"])
