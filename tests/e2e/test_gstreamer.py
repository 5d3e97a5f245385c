"""GStreamer's webrtcbin, over libnice, calls through the relay: another ICE agent than the browsers'."""

import subprocess
from pathlib import Path

import pytest

from causeway import HOST

SCRIPT = Path(__file__).parent / "clients" / "gstreamer_call.py"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_two_gstreamer_peers_pass_audio_and_data_through_the_relay(server, transport):
    entry = server.mint(ttl=600)["iceServers"][1]
    url = f"turn://{entry['username']}:{entry['credential']}@{HOST}:{server.turn_port}?transport={transport}"
    # Debian's own Python: the bindings of GStreamer are a Debian package.
    run = subprocess.run(["/usr/bin/python3", SCRIPT, url], capture_output=True, text=True, timeout=90)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "alice has a relay candidate" in run.stdout
