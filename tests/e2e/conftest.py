"""Servers that several tests share; each test module may start its own with other options."""

import pytest

from causeway import Causeway
from coturn_tools import TurnutilsPeer


@pytest.fixture(scope="session")
def server():
    """A server with every transport, both families, a static user and a TURN REST secret; test peers are allowed."""
    with Causeway() as running:
        yield running


@pytest.fixture
def start(request):
    """Starts servers with options of the test's own and stops them afterwards."""
    running = []

    def start_one(**options):
        server = Causeway(**options)
        request.addfinalizer(server.stop)
        running.append(server)
        return server.__enter__()

    return start_one


@pytest.fixture(scope="module", params=["off", "tc"])
def fast_path(request):
    """For refusals, which no fast path may get round: servers that the module starts relay in user space, then in the kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("E2E_FAST_PATH", request.param)
        yield request.param


@pytest.fixture(scope="session")
def echo():
    """Debian's turnutils_peer: sends everything back, on both families and on two neighbouring ports."""
    with TurnutilsPeer() as peer:
        yield peer
