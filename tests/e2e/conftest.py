"""Servers that several tests share; each test module may start its own with other options."""

import os

import pytest

from causeway import Causeway, paths
from coturn_tools import TurnutilsPeer
from layout import SERVER_SPACE, suit_xdp


FAST_PATH = os.environ.get("E2E_FAST_PATH")


def pytest_sessionstart():
    if SERVER_SPACE and FAST_PATH == "xdp":
        suit_xdp()


def pytest_terminal_summary(terminalreporter):
    if SERVER_SPACE:
        terminalreporter.write_line(
            f"fast path {FAST_PATH or 'auto'}: {paths.in_kernel:.0f} packets relayed in the kernel, {paths.by_xdp:.0f} by XDP"
        )


def pytest_sessionfinish(session, exitstatus):
    """A run that was to try a path and never went there shows nothing."""
    taken = {
        "off": not paths.in_kernel,
        "tc": paths.in_kernel and not paths.by_xdp,
        "xdp": paths.by_xdp,
    }.get(FAST_PATH, True)
    if SERVER_SPACE and session.testscollected > 20 and exitstatus == 0 and not taken:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope=lambda **_: "module" if SERVER_SPACE else "session")
def server():
    """A server with every transport, both families, a static user and a TURN REST secret; test peers are allowed.

    It holds the one place for XDP at the link, so it does not outlive the modules that use it where there is one."""
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


@pytest.fixture(scope="module", params=[FAST_PATH] if SERVER_SPACE and FAST_PATH else ["off", "tc"])
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
