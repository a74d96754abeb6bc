"""The gateways compared: how each is started as a plain forwarder to one upstream."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from workload import ANTHROPIC, OPENAI, Dialect

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".cache" / "peers"
PRODUCT = ROOT / ".cache" / "product"


def compiled() -> bool:
    """Whether the Parley that is measured has its data path compiled."""
    return any(PRODUCT.glob("lib/python3*/site-packages/parley__mypyc*"))


# A configuration's text for (port, upstream port, folder).
Text = Callable[[int, int, Path], str]


@dataclass(frozen=True)
class Gateway:
    """One program to measure. In ``command``, {port}, {up} and {config} are filled in.

    ``rows`` are the ways it is asked: the row's title and the caller's dialect.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    rows: tuple[tuple[str, Dialect], ...]
    config: Text | None = None
    env: dict[str, str] = field(default_factory=dict)

    def argv(self, port: int, upstream: int, config: Path) -> list[str]:
        return [part.format(port=port, up=upstream, config=config) for part in self.command]

    @property
    def installed(self) -> bool:
        return "/" not in self.command[0] or Path(self.command[0]).exists()


def nginx_config(port: int, upstream: int, folder: Path) -> str:
    return f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log; user root;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; tcp_nodelay on; client_max_body_size 0; client_body_buffer_size 4m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


def parley_config(port: int, upstream: int, folder: Path, models: int = 1) -> str:
    """One provider; ``bench`` and as many more models as asked for."""
    lines = [
        "providers:",
        f"  up: {{type: openai, base_url: 'http://127.0.0.1:{upstream}/v1', api_key: bench}}",
        "models:",
    ]
    names = ["bench", *(f"bench-{number}" for number in range(1, models))]
    lines += [f"  - {{model: {name}, targets: [up/model-a]}}" for name in names]
    return "\n".join(lines) + "\n"


def guarded_config(port: int, upstream: int, folder: Path) -> str:
    """The same for a platform team: keys, every kind of limit, a budget, prices, one row a request in the store."""
    return (
        parley_config(port, upstream, folder)
        + f"""
store: sqlite:///{folder}/store.db
auth: {{required: true, admin_key: bench}}
ledger: {{requests: on}}
prices: {{up/model-a: {{input: 0.15, output: 0.60, cached: 0.075}}}}
quotas:
  all: {{requests: {{minute: 100000000, day: 1000000000}}, tokens: 1000000000000, parallel: 100000, budget: 1000000}}
"""
    )


def litellm_config(port: int, upstream: int, folder: Path) -> str:
    return f"""
model_list:
  - model_name: bench
    litellm_params: {{model: openai/model-a, api_base: "http://127.0.0.1:{upstream}/v1", api_key: bench}}
"""


def router(name: str, module: str) -> Gateway:
    return Gateway(
        name=name,
        command=(
            f"{PEERS}/{name}/bin/python",
            *("-m", module, "--host", "127.0.0.1", "--port", "{port}", "--worker-urls", "http://127.0.0.1:{up}"),
            *("--policy", "round_robin"),
        ),
        ready="/readiness",
        rows=((name, OPENAI),),
    )


NGINX = Gateway("nginx", ("nginx", "-c", "{config}"), "/v1/models", (("nginx", OPENAI),), nginx_config)
PARLEY = Gateway(
    "parley",
    (f"{PRODUCT}/bin/parley", "serve", "{config}", "--listen", "127.0.0.1:{port}"),
    "/readyz",
    (("Parley, verbatim", OPENAI), ("Parley, Anthropic -> OpenAI", ANTHROPIC)),
    parley_config,
)
GUARDED = Gateway(
    "parley-guarded",
    PARLEY.command,
    "/readyz",
    (("Parley, keys limits ledger", OPENAI),),
    guarded_config,
)
LITELLM = Gateway(
    "litellm",
    (f"{PEERS}/litellm/bin/litellm", "--config", "{config}", "--host", "127.0.0.1", "--port", "{port}"),
    "/health/readiness",
    (("LiteLLM proxy", OPENAI),),
    litellm_config,
    {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        # No gateway here asks for keys.
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    },
)
ROUTERS = (router("vllm-router", "vllm_router.launch_router"), router("sglang-router", "sglang_router.launch_router"))
ALL = (NGINX, PARLEY, GUARDED, *ROUTERS, LITELLM)
SHORT = (NGINX, PARLEY, GUARDED)
