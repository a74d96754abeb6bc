"""Where gRPC is served, and folders of component files."""

from pathlib import Path

import pytest

from parley.config import load
from parley.config.load import load_text
from parley.settings import Signing

COMPONENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: NAME}
spec: {type: conversation.echo, version: v1}
"""


def component(name: str) -> str:
    return COMPONENT.replace("NAME", name)


def test_grpc_is_not_served_unasked(tmp_path: Path) -> None:
    assert load_text("", {}).settings.grpc == ""
    (tmp_path / "c.yaml").write_text(component("e"))
    assert load_text("include: c.yaml", {}, folder=tmp_path).settings.grpc == "127.0.0.1:50001"
    assert load_text("{include: c.yaml, grpc: 'localhost:1'}", {}, folder=tmp_path).settings.grpc == "localhost:1"
    assert load_text("grpc: '[::1]:50002'", {}).settings.grpc == "[::1]:50002"


def test_an_address_for_grpc_is_an_address() -> None:
    [problem] = load_text("grpc: here", {}).problems
    assert (problem.line, problem.column) == (1, 7)
    assert "HOST:PORT" in problem.message


def test_without_its_packages_grpc_is_refused_by_name_and_components_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.config.edge.find_spec", lambda name: None)
    [problem] = load_text("grpc: 127.0.0.1:50001", {}).problems
    assert problem.hint == "pip install 'parley[grpc]'"
    (tmp_path / "c.yaml").write_text(component("e"))
    loaded = load_text("include: c.yaml", {}, folder=tmp_path)
    assert (loaded.problems, loaded.settings.grpc) == ((), "")
    assert [note.hint for note in loaded.absent] == ["pip install 'parley[grpc]'"]


def test_a_folder_of_components_is_not_searched_below_and_holds_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(component("a") + "---" + component("b"))
    (tmp_path / "B.YML").write_text(component("c"))
    (tmp_path / "note.txt").write_text(component("d"))
    (tmp_path / "compose.yaml").write_text("services: {db: {image: x}}")
    (tmp_path / "sub.yaml").write_text("apiVersion: dapr.io/v2alpha1\nkind: Subscription\nmetadata: {name: s}\n")
    below = tmp_path / "below"
    below.mkdir()
    (below / "e.yaml").write_text(component("e"))
    loaded = load(None, {}, components=[tmp_path, tmp_path])
    assert (loaded.problems, loaded.rejected) == ((), ())
    assert sorted(loaded.settings.components) == ["a", "b", "c"]
    assert (str(tmp_path), ".") in loaded.sought
    assert str(tmp_path / "compose.yaml") in loaded.files


def test_a_wrong_file_of_components_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(component("a"))
    (tmp_path / "b.yaml").write_text(component("b").replace("conversation.echo", "conversation.nobody"))
    (tmp_path / "c.yaml").write_text("apiVersion: [")
    loaded = load(None, {}, components=[tmp_path])
    assert list(loaded.settings.components) == ["a"]
    assert sorted({Path(one.file).name for one in loaded.rejected}) == ["b.yaml", "c.yaml"]
    assert all(one.line for one in loaded.rejected)


def test_a_folder_that_is_gone_is_told_of(tmp_path: Path) -> None:
    [problem] = load(None, {}, components=[tmp_path / "no"]).rejected
    assert problem.file == str(tmp_path / "no")


def test_the_token_of_the_environment(tmp_path: Path) -> None:
    assert load_text("", {"DAPR_API_TOKEN": " t "}).settings.dapr_token == "t"
    assert load_text("", {}).settings.dapr_token == ""


@pytest.mark.parametrize(
    ("name", "hint"),
    [("trustAnchorArn", "AWS_PROFILE"), ("trustProfileArn", "AWS_PROFILE"), ("accessKey", "secretKey"),
     ("secretKey", "accessKey"), ("sessionToken", "remove it")],
)  # fmt: skip
def test_credentials_that_are_not_taken_or_not_whole_are_refused_by_name(tmp_path: Path, name: str, hint: str) -> None:
    properties = f"[{{name: region, value: eu-central-1}}, {{name: {name}, value: secret-value}}]"
    text = component("b").replace("conversation.echo", "conversation.aws.bedrock")
    (tmp_path / "b.yaml").write_text(text.replace("version: v1}", f"version: v1, metadata: {properties}}}"))
    [problem] = load(None, {}, components=[tmp_path]).rejected
    assert hint in problem.hint
    assert "secret-value" not in problem.message + problem.hint


def bedrock_component(tmp_path: Path, **properties: str) -> Signing | None:
    """What the calls of a component with these properties are signed with."""
    given = ", ".join(f"{{name: {name}, value: '{value}'}}" for name, value in properties.items())
    text = component("b").replace("conversation.echo", "conversation.aws.bedrock")
    (tmp_path / "b.yaml").write_text(text.replace("version: v1}", f"version: v1, metadata: [{given}]}}"))
    loaded = load(None, {"AWS_REGION": "eu-west-1"}, components=[tmp_path])
    assert loaded.rejected == ()
    [made] = [one for one in loaded.settings.providers.values() if one.transport == "bedrock"]
    assert made.keys == ()
    return made.signing


def test_credentials_of_a_component(tmp_path: Path) -> None:
    signing = bedrock_component(
        tmp_path, region="eu-central-1", accessKey="AKIA", secretKey="s/+", sessionToken="t", assumeRoleArn="arn:r"
    )
    assert signing == Signing(region="eu-central-1", access_key="AKIA", secret_key="s/+", token="t", role="arn:r")
    assert "s/+" not in repr(signing)


def test_without_credentials_they_are_found_where_aws_s_tools_find_them(tmp_path: Path) -> None:
    assert bedrock_component(tmp_path) is None
    assert bedrock_component(tmp_path, region="eu-north-1") == Signing(region="eu-north-1")
    assert bedrock_component(tmp_path, assumeRoleArn="arn:r") == Signing(region="eu-west-1", role="arn:r")


def test_values_of_properties_whose_name_says_secret_are_not_shown(tmp_path: Path) -> None:
    text = component("b").replace("conversation.echo", "conversation.aws.bedrock")
    given = "[{name: accessKey, value: AKIA}, {name: secretKey, value: 'wJ/al'}, {name: region, value: [x]}]"
    (tmp_path / "b.yaml").write_text(text.replace("version: v1}", f"version: v1, metadata: {given}}}"))
    [problem] = load(None, {}, components=[tmp_path]).rejected
    assert "region" in problem.source
    assert "AKIA" not in problem.source
    assert "wJ/al" not in problem.source
