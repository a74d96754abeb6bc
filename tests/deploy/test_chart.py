"""The Helm chart, rendered by helm itself and judged by Kubernetes' own schemas."""

import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import parley
from parley.config import load

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/parley"
HELM = ROOT / ".cache/helm/bin/helm"
KUBERNETES = "1.33"
# Everything that can be turned on, together.
FULL = {
    "workers": 2,
    "secrets": ["keys"],
    "env": [{"name": "PARLEY_ADMIN_KEY", "value": "x"}],
    "grpc": {"enabled": True},
    "ingress": {
        "enabled": True,
        "host": "ai.example.org",
        "className": "nginx",
        "tls": [{"hosts": ["ai.example.org"]}],
    },
    "autoscaling": {"enabled": True},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "imagePullSecrets": [{"name": "pull"}],
}


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert HELM.exists(), "scripts/helm builds it"
    return subprocess.run([str(HELM), *arguments], capture_output=True, text=True, check=False)


def rendered(tmp_path: Path, values: dict) -> list[dict]:
    given = tmp_path / "values.yaml"
    given.write_text(yaml.safe_dump(values))
    made = helm("template", "ours", str(CHART), "--values", str(given))
    assert made.returncode == 0, made.stderr
    return [one for one in yaml.safe_load_all(made.stdout) if one]


def kind(documents: list[dict], name: str) -> dict:
    (found,) = (one for one in documents if one["kind"] == name)
    return found


def test_helm_finds_nothing_to_complain_about():
    linted = helm("lint", "--strict", str(CHART))
    assert linted.returncode == 0, linted.stdout


def test_the_chart_is_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == parley.__version__


@pytest.mark.parametrize("values", [{}, FULL, {"replicas": 1, "persistence": {"enabled": True}}])
def test_what_it_renders_is_what_kubernetes_takes(tmp_path: Path, values: dict):
    documents = rendered(tmp_path, values)
    assert {"Deployment", "Service", "ConfigMap"} <= {one["kind"] for one in documents}
    for one in documents:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_its_configuration_is_one_that_parley_takes(tmp_path: Path):
    config = tmp_path / "parley.yaml"
    config.write_text(kind(rendered(tmp_path, {}), "ConfigMap")["data"]["parley.yaml"])
    loaded = load(config, {})
    assert not loaded.problems
    assert loaded.settings.auth_required
    assert loaded.settings.listen == ("0.0.0.0:4242",)


def test_a_pod_leaves_the_service_before_it_ends(tmp_path: Path):
    pod = kind(rendered(tmp_path, {}), "Deployment")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert before >= 2 * container["readinessProbe"]["periodSeconds"]
    assert pod["terminationGracePeriodSeconds"] >= before + 30 + 5
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_several_pods_cannot_share_one_file(tmp_path: Path):
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"replicas": 2, "persistence": {"enabled": True}}))
    made = helm("template", "ours", str(CHART), "--values", str(values))
    assert made.returncode != 0
    assert "set replicas to 1" in made.stderr
