"""The manifests are what Kubernetes takes, and `reload` is what its client takes: without a cluster."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from weighin.cli import parser
from weighin.contract.release import Deploy

FOLDER = Path(__file__).resolve().parent.parent / "examples/kubernetes"
MANIFESTS = [p for p in sorted(FOLDER.glob("*.yaml")) if p.name != "deploy.yaml"]
DOCUMENTS = [pytest.param(d, id=f"{p.name}:{d['kind']}") for p in MANIFESTS for d in yaml.safe_load_all(p.read_text())]
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize("document", DOCUMENTS)
def test_manifests_are_what_kubernetes_takes(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.34", strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**document, "specs": {}}, "1.34", strict=True)


def pods(name: str = "") -> list[dict[str, Any]]:
    found = []
    for parameter in DOCUMENTS:
        if not str(parameter.id).startswith(name):
            continue
        spec = parameter.values[0].get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found.append(spec["template"]["spec"])
    return found


def test_every_pod_has_the_walls_of_a_container_of_ours() -> None:
    assert pods()
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "@sha256:" in container["image"]
            assert container["resources"]["limits"]["memory"]
            assert all("secretKeyRef" in e["valueFrom"] for e in container.get("env", []))


def document(name: str, kind: str) -> dict[str, Any]:
    return next(d for d in yaml.safe_load_all((FOLDER / name).read_text()) if d["kind"] == kind)


def arguments(pod: dict[str, Any]) -> list[str]:
    found: list[str] = pod["containers"][0]["args"]
    return found


def test_looks_on_a_schedule_never_overlap_are_not_repeated_and_end_before_the_next_is_due() -> None:
    spec = document("monitor-cronjob.yaml", "CronJob")["spec"]
    job, pod = spec["jobTemplate"]["spec"], spec["jobTemplate"]["spec"]["template"]["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/5 * * * *", "Forbid")
    # Below ten seconds Kubernetes may never start it; it looks at schedules every ten.
    assert 10 < spec["startingDeadlineSeconds"] < 300
    assert job["activeDeadlineSeconds"] < 300
    assert (job["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert arguments(pod)[:2] == ["weighin", "monitor"]
    assert "--every" not in arguments(pod)


def test_the_monitor_that_stays_is_alone_and_asked_whether_it_lives() -> None:
    spec = document("monitor.yaml", "Deployment")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert {"--every", "--health-port=8081"} <= set(container["args"])
    assert container["ports"] == [{"name": "health", "containerPort": 8081}]
    probes = {name: container[name]["httpGet"] for name in ("readinessProbe", "livenessProbe")}
    assert probes == {
        "readinessProbe": {"path": "/ready", "port": "health"},
        "livenessProbe": {"path": "/alive", "port": "health"},
    }


@pytest.mark.parametrize("name", ["monitor-cronjob.yaml", "monitor.yaml"])
def test_a_monitor_writes_only_where_something_is_mounted_and_tells_a_gateway(name: str) -> None:
    pod = next(p for p in pods(name) if p["containers"][0]["name"] == "monitor")
    mounted = {m["mountPath"] for m in pod["containers"][0]["volumeMounts"] if not m.get("readOnly")}
    given = dict(a.split("=", 1) for a in arguments(pod) if "=" in a)
    assert given["--out"] in mounted
    assert given["--contract"] == "/contract/model_contract.yaml"
    assert given["--pushgateway"].startswith("http://")
    assert {m["name"] for m in pod["containers"][0]["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert parser(arguments(pod)[1:]).parse_args(arguments(pod)[1:]).command == "monitor"


@pytest.mark.kubectl
def test_reload_writes_the_digest_where_a_change_restarts_the_pods(tmp_path: Path) -> None:
    assert shutil.which("kubectl"), "kubectl is needed: Debian's kubernetes-client has it"
    spec = Deploy.model_validate(yaml.safe_load((FOLDER / "deploy.yaml").read_text())["deploy"])
    one = tmp_path / "deployment.yaml"
    one.write_text((FOLDER / "deployment.yaml").read_text().split("\n---\n")[0])
    # The real client, on the manifest instead of a cluster; the second call has nothing to wait for.
    client = tmp_path / "kubectl"
    real = shutil.which("kubectl")
    client.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = patch ]; then shift 3; exec {real} patch --local -f {one} "$@" -o yaml; fi\n'
        'echo "$@" >&2\n'
    )
    client.chmod(0o755)
    words = [w.replace("{model}", "flight-delay").replace("{digest}", DIGEST) for w in spec.reload]
    ran = subprocess.run(
        words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.strip().endswith("rollout status deployment flight-delay --timeout 100s")
    patched = yaml.safe_load(ran.stdout)
    assert patched["spec"]["template"]["metadata"]["annotations"] == {"weigh-in.dev/digest": DIGEST}
