"""The program that runs one model: ``python -P -m parley.io.local.child``, its settings as a line of JSON on stdin.

A process of its own, because llama.cpp ends the whole process on some faults. It serves HTTP on a Unix socket, says
``{"ready": true}`` or ``{"failed": words}`` on stdout, and ends when its stdin does: with its parent, whatever
ended that.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from typing import Any, NoReturn, TextIO

from parley.io.local.gguf import HeaderError, Value, about, context, header

DEFAULT_BATCH = 2048
_PR_SET_PDEATHSIG = 1


def main() -> NoReturn:
    """Load and serve until stdin ends."""
    # What the engine prints must not mix with what we say.
    control = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    wanted = json.loads(sys.stdin.buffer.readline() or b"{}")
    if not wanted:
        os._exit(0)
    _die_with_parent(signal.SIGKILL)
    ended = threading.Thread(target=_wait_for_end, args=(wanted["socket"],), daemon=True)
    ended.start()
    server = _served(wanted, control)
    # From here on the thread that waits for the end can run, and it also takes away the socket.
    _die_with_parent(0)
    _say(control, {"ready": True})
    ended.join()
    del server
    os._exit(0)


def _served(wanted: dict[str, Any], control: TextIO) -> object:
    """The server, listening and loaded; leaves the process where that cannot be."""
    try:
        import xllamacpp

        return xllamacpp.Server(parameters(xllamacpp, wanted))
    except ImportError as error:
        _say(control, {"failed": f"the engine could not be imported: {error}"})
    except (OSError, ValueError, HeaderError) as error:
        _say(control, {"failed": str(error)})
    except RuntimeError:
        # The engine has said why on stderr.
        pass
    os._exit(1)


def parameters(engine: Any, wanted: dict[str, Any]) -> Any:
    """The engine's own parameters for what is wanted. ``engine`` is its module."""
    said = header(wanted["model"])
    params = engine.CommonParams()
    params.model.path = wanted["model"]
    params.model_alias = {wanted["alias"]}
    params.hostnames = [wanted["socket"]]
    params.use_jinja = True
    # Nobody but the gateway is to speak to it, and what is asked of models is all that is asked.
    params.ui = params.endpoint_slots = False
    # Old conversations are not kept beside the memory that was counted.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    _sizes(params, wanted, said)
    _weights(engine, params, wanted)
    if wanted["embeddings"]:
        params.embedding = True
        if about(said, "pooling_type") is None:
            params.pooling_type = engine.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if wanted["template"] is not None:
        params.chat_template = chat_template(wanted["template"])
    return params


def _sizes(params: Any, wanted: dict[str, Any], said: dict[str, Value]) -> None:
    length = context(said, wanted["context_size"])
    # The engine divides its context among those it serves at once.
    params.n_parallel = wanted["parallel"] or 1
    params.n_ctx = length * params.n_parallel
    batch = wanted["batch"] or min(length, DEFAULT_BATCH)
    params.n_batch = batch
    # A text to embed must fit into one physical batch.
    params.n_ubatch = batch if wanted["embeddings"] else min(params.n_ubatch, batch)
    threads = wanted["threads"] or _processors()
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    if wanted["gpu_layers"] is not None:
        params.n_gpu_layers = wanted["gpu_layers"]


def _weights(engine: Any, params: Any, wanted: dict[str, Any]) -> None:
    modes = engine.llama_load_mode
    if wanted["mmap"]:
        mode = modes.LLAMA_LOAD_MODE_MMAP_MLOCK if wanted["mlock"] else modes.LLAMA_LOAD_MODE_MMAP
    else:
        mode = modes.LLAMA_LOAD_MODE_MLOCK if wanted["mlock"] else modes.LLAMA_LOAD_MODE_NONE
    params.load_mode = mode
    if wanted["mmproj"] is not None:
        params.mmproj.path = wanted["mmproj"]
    if wanted["lora"]:
        params.lora_adapters = [engine.CommonAdapterLoraInfo(path, scale) for path, scale in wanted["lora"]]


def chat_template(path: str) -> str:
    """The text of a Jinja chat template; a template in Go's manner becomes one."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    from parley.io.local.prompts import as_chat_template

    return as_chat_template(text)


def _processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _wait_for_end(socket: str) -> None:
    sys.stdin.buffer.read()
    _leave(socket)


def _leave(socket: str) -> NoReturn:
    for remove, path in ((os.unlink, socket), (os.rmdir, os.path.dirname(socket))):
        try:
            remove(path)
        except OSError:
            # The parent or a sibling does it.
            continue
    os._exit(0)


def _die_with_parent(number: int) -> None:
    """Have Linux kill us with our parent while loading keeps our own threads from running; 0 takes it back."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _say(control: TextIO, word: dict[str, Any]) -> None:
    try:
        control.write(json.dumps(word) + "\n")
        control.flush()
    except OSError:
        os._exit(1)


if __name__ == "__main__":
    main()
