"""A component of AWS with its keys in it: its calls are signed with them, and nobody is ever told them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from fixtures.children import bare_environment, free_port
from fixtures.parley import start
from real.bedrock import KEYS, REGION, serving
from real.dapr_parts import component
from real.test_dapr_http import TWO, ask, user

VAULT = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "vault"},
    "spec": {"type": "secretstores.local.env", "version": "v1"},
}
SECRETS = (KEYS.secret_key, KEYS.token)


def keyed(url: str) -> dict[str, Any]:
    """The component: its secret comes from a store, its token from the environment."""
    made = component("cloud", "conversation.aws.bedrock", region=REGION, endpoint=url, model="text")
    made["spec"]["metadata"] += [
        {"name": "accessKey", "value": KEYS.access_key},
        {"name": "secretKey", "secretKeyRef": {"name": "MINE", "key": "MINE"}},
        {"name": "sessionToken", "envRef": "ALSO_MINE"},
    ]
    return made | {"auth": {"secretStore": "vault"}}


def test_calls_are_signed_with_the_keys_of_the_component(tmp_path: Path) -> None:
    (tmp_path / "components").mkdir()
    environment = {"MINE": KEYS.secret_key, "ALSO_MINE": KEYS.token, "AWS_EC2_METADATA_DISABLED": "true"}
    with serving() as bedrock:
        documents = "\n---\n".join(map(json.dumps, (keyed(bedrock.url), VAULT)))
        (tmp_path / "components/all.yaml").write_text(documents)
        config = {"include": "components/*.yaml", "grpc": f"127.0.0.1:{free_port()}"}
        # On the sources alone: the product is installed without extras.
        running = start(sys.executable, tmp_path, config, environment, ())
        try:
            reply = ask(running.port, "POST", TWO.format("cloud"), user("hi"))
            assert reply.status == 200, reply.body
            [output] = json.loads(reply.body)["outputs"]
            assert output["choices"][0]["message"]["content"] == "Bedrock says hi."
        finally:
            running.stop()
        assert len(bedrock.seen) == 1
        assert bedrock.forged == []
        told = "\n".join(running.stderr_lines())
        for command in (("check", "--json"), ("check",)):
            done = subprocess.run(
                [sys.executable, "-m", "parley", *command, str(running.path)],
                env={**bare_environment(tmp_path), **environment},
                capture_output=True,
                text=True,
                check=False,
                timeout=90,
            )
            assert done.returncode == 0, done.stderr
            told += done.stdout + done.stderr
    assert not any(secret in told for secret in SECRETS)
