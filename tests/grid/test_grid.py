"""Every caller to every provider in every feature. docs/compatibility.md is what came of it.

Each cell is passed, or it is in ``cells`` with how it cannot be and why. GRID_WRITE=1 writes the table.
"""

import sys
from collections.abc import Iterator

import pytest

from fixtures.parley import Gateway, start
from grid import callers, cells, fakes, features, table
from grid.callers import Caller
from grid.proofs import Road, prove
from grid.upstream import Upstream, configuration

# Some official clients leave a connection to the collector, which may come in the middle of another cell.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
FAKES = [fake.name for fake in fakes.made()]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = configuration(upstream, list(callers.NAMES))
    running = start(sys.executable, tmp_path_factory.mktemp("grid"), made, {}, ())
    yield running
    running.stop()
    assert "sk-up" not in "\n".join(running.stderr_lines())


@pytest.fixture(scope="module")
def clients(gateway: Gateway) -> Iterator[dict[str, Caller]]:
    found = callers.made(gateway.url)
    yield found
    for caller in found.values():
        caller.close()


@pytest.mark.parametrize("feature", features.FEATURES)
@pytest.mark.parametrize("fake", FAKES)
@pytest.mark.parametrize("name", callers.NAMES)
def test_cell(upstream: Upstream, clients: dict[str, Caller], name: str, fake: str, feature: str) -> None:
    road = Road(upstream, clients[name], fake, feature)
    outcome = cells.outcome(name, clients[name].lacks, fake, feature)
    cells.MEASURED[name, fake, feature] = cells.measure(road, outcome, prove)


def test_the_page_says_what_was_measured(clients: dict[str, Caller]) -> None:
    made = table.page(clients, cells.MEASURED)
    if table.WRITE:
        table.PAGE.write_text(made, encoding="utf-8")
    assert table.PAGE.read_text(encoding="utf-8") == made, "make tables writes it anew"
