"""Serves one GGUF file with llama.cpp: ``python llama.py MODEL PORT``.

A process of its own, because llama.cpp aborts the whole process on a grammar that its model cannot meet.
It ends when its standard input does, so no test run can leave it behind.
"""

import sys

import xllamacpp


def serve(model: str, port: int) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"tiny"}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = 4096
    params.n_parallel = 1
    params.n_threads_http = 4
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.cache_prompt = False  # the same request must report the same usage each time
    params.warmup = False
    params.use_jinja = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201 (the parent reads this line)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
