"""What a child tells its engine, and how it ends: the program itself, without a gateway."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xllamacpp
from msgspec.structs import asdict

from fixtures.children import eventually
from parley.io.local.child import parameters
from parley.settings import Engine

PROGRAM = (sys.executable, "-P", "-m", "parley.io.local.child")


def wanted(model: Path, **settings: Any) -> dict[str, Any]:
    return {**asdict(Engine(model=str(model), **settings)), "socket": "/s/0.sock", "alias": "tiny"}


def begun(order: dict[str, Any]) -> Any:
    pipe = subprocess.PIPE
    child = subprocess.Popen(PROGRAM, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert child.stdin is not None
    child.stdin.write(json.dumps(order) + "\n")
    child.stdin.flush()
    return child


def test_nothing_set_is_a_bounded_engine_for_one_request(tiny_gguf: Path) -> None:
    params = parameters(xllamacpp, wanted(tiny_gguf))
    assert (params.model.path, params.model_alias, params.hostnames) == (str(tiny_gguf), {"tiny"}, ["/s/0.sock"])
    assert (params.n_ctx, params.n_parallel, params.n_batch) == (4096, 1, 2048)
    assert params.cpuparams.n_threads == params.cpuparams_batch.n_threads == len(os.sched_getaffinity(0))
    assert params.load_mode == xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP
    assert (params.embedding, params.n_gpu_layers, params.chat_template) == (False, -1, "")
    assert (params.ui, params.endpoint_slots, params.cache_ram_mib) == (False, False, 0)


def test_all_that_is_set_is_handed_over(tiny_gguf: Path, tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    settings: dict[str, Any] = {
        "threads": 3,
        "context_size": 512,
        "parallel": 2,
        "batch": 128,
        "gpu_layers": 0,
        "mmproj": "/m/eyes.gguf",
        "lora": (("/m/a.gguf", 0.5), ("/m/b.gguf", 1.0)),
        "template": str(template),
        "embeddings": True,
    }
    params = parameters(xllamacpp, wanted(tiny_gguf, **settings))
    assert (params.cpuparams.n_threads, params.cpuparams_batch.n_threads) == (3, 3)
    assert (params.n_ctx, params.n_parallel, params.n_batch, params.n_ubatch) == (1024, 2, 128, 128)
    assert (params.n_gpu_layers, params.mmproj.path) == (0, "/m/eyes.gguf")
    assert [(one.path, one.scale) for one in params.lora_adapters] == [("/m/a.gguf", 0.5), ("/m/b.gguf", 1.0)]
    assert params.chat_template == template.read_text()
    assert params.embedding
    assert params.pooling_type == xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN


@pytest.mark.parametrize(
    ("mmap", "mlock", "mode"),
    [(True, False, "MMAP"), (True, True, "MMAP_MLOCK"), (False, True, "MLOCK"), (False, False, "NONE")],
)
def test_how_weights_are_held(tiny_gguf: Path, mmap: bool, mlock: bool, mode: str) -> None:
    params = parameters(xllamacpp, wanted(tiny_gguf, mmap=mmap, mlock=mlock))
    assert params.load_mode == getattr(xllamacpp.llama_load_mode, f"LLAMA_LOAD_MODE_{mode}")


def test_it_serves_until_its_stdin_ends_and_takes_its_socket_away(tiny_gguf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir()
    order = {**wanted(tiny_gguf, threads=1), "socket": str(folder / "0.sock")}
    with begun(order) as child:
        assert json.loads(child.stdout.readline()) == {"ready": True}
        assert (folder / "0.sock").is_socket()
        child.stdin.close()
        assert child.wait(30) == 0
    assert not folder.exists()


def test_without_an_order_it_ends() -> None:
    assert subprocess.run(PROGRAM, stdin=subprocess.DEVNULL, check=False, timeout=90).returncode == 0


def test_what_it_cannot_read_it_says(tmp_path: Path) -> None:
    with begun(wanted(tmp_path / "no.gguf")) as child:
        assert "No such file" in json.loads(child.stdout.readline())["failed"]
        assert child.wait(30) == 1


# Starts the program on the stdin it has itself, says its number, and waits.
PARENT = f"""
import subprocess, time
child = subprocess.Popen({PROGRAM!r})
print(child.pid, flush=True)
time.sleep(60)
"""


def test_while_it_loads_it_dies_with_its_parent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.gguf")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        order = {**wanted(tmp_path / "model.gguf"), "socket": str(tmp_path / "0.sock")}
        parent.stdin.write(json.dumps(order) + "\n")
        parent.stdin.flush()
        child = Path("/proc", parent.stdout.readline().strip())
        # It has begun to load, and its stdin stays open all the time.
        descriptor = os.open(tmp_path / "model.gguf", os.O_WRONLY)
        assert (child / "stat").exists()
        parent.kill()
        parent.wait(30)
        eventually(lambda: not child.exists() or ") Z " in (child / "stat").read_text(), 30, "it is gone")
        os.close(descriptor)
        parent.stdin.close()
