"""The guide "Use your AWS client with causeway" says what is true: its samples are run as they are written."""

import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import tomllib

import pytest

from kvs import CLIENTS, REGION, KvsServer, Peer

GUIDE = pathlib.Path(__file__).parent.parent.parent / "docs" / "compat" / "aws-kvs.md"
BLOCKS = [(language, textwrap.dedent(text)) for language, text in re.findall(r"^ *```(\w+)\n(.*?)^ *```$", GUIDE.read_text(), re.M | re.S)]


def samples(language):
    return [text for kind, text in BLOCKS if kind == language]


@pytest.fixture(scope="module")
def kvs():
    """A server with the keys of the guide's configuration."""
    (written,) = samples("toml")
    settings = tomllib.loads(written)
    tables = written[written.index("[kvs]") :]
    server = KvsServer()
    server.tables = tables + '[[kvs.access_key]]\nid = "AKIDADMIN"\nsecret = "secretADMIN/KEY+1"\npreset = "admin"\n'
    assert {"http_tls_listen", "public_host", "tls_cert", "tls_key", "kvs"} == set(settings), "every key was looked at"
    with server:
        server.master = settings["kvs"]["access_key"][0]
        yield server


def run(server, command, text=None, **environment):
    environment = {
        **os.environ, "TOKEN": server.token, "AWS_ACCESS_KEY_ID": server.master["id"],
        "AWS_SECRET_ACCESS_KEY": server.master["secret"], "AWS_DEFAULT_REGION": REGION, "AWS_CA_BUNDLE": server.ca,
        "CURL_CA_BUNDLE": server.ca, "NODE_EXTRA_CA_CERTS": server.ca, "HOME": server.scratch.name,
        "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"], **environment,
    }
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, timeout=90, cwd=CLIENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_sample_of_the_guide_works(kvs):
    here = lambda text: text.replace("https://kvs.example.com", kvs.url)
    (python,) = samples("python")
    printed = run(kvs, [sys.executable, "-c", here(python)])
    assert "turn:" in printed and printed.rstrip().endswith(" 300")
    seen = set()
    for text in samples("sh"):
        if "CONTROL_PLANE_URI" in text:
            shown = run(kvs, ["sh", "-euc", text + '\nprintf %s "$CONTROL_PLANE_URI $AWS_ACCESS_KEY_ID $AWS_DEFAULT_REGION"'])
            # The C client takes https and no port.
            assert shown == f"https://kvs.example.com {kvs.master['id']} {REGION}" and ":443" not in text
            seen.add("c")
            continue
        answer = json.loads(run(kvs, ["sh", "-euc", here(text)]))
        if "access-keys" in text:
            arn = kvs.client(key=pair(answer)).describe_signaling_channel(ChannelName="cam-1")["ChannelInfo"]["ChannelARN"]
            seen.add("key")
        elif "temporary-credentials" in text:
            Peer(kvs, arn, "viewer-1", key=(*pair(answer), answer["sessionToken"])).close()
            seen.add("temporary")
        else:
            assert answer["ChannelInfo"]["ChannelName"] == "cam-1"
            seen.add("cli")
    assert seen == {"c", "key", "temporary", "cli"}


def pair(made):
    return made["accessKeyId"], made["secretAccessKey"]


def test_the_sample_in_javascript_connects(kvs):
    (script,) = samples("js")
    made = json.loads(kvs.request("/api/v1/aws/access-keys", "POST", {"preset": "viewer"})[2])
    client = kvs.client()
    if not client.list_signaling_channels()["ChannelInfoList"]:
        client.create_signaling_channel(ChannelName="cam-1")
    # Node 20 has no WebSocket of its own; and the sample would go on for ever.
    script = "import ws from 'ws';\nglobalThis.WebSocket ??= ws;\n" + script + "\nclient.on('open', () => process.exit(0));\n"
    script = script.replace("https://kvs.example.com", kvs.url)
    path = os.path.join(CLIENTS, f"guide-{os.getpid()}.mjs")
    try:
        with open(path, "w") as file:
            file.write(script)
        key = {"AWS_ACCESS_KEY_ID": made["accessKeyId"], "AWS_SECRET_ACCESS_KEY": made["secretAccessKey"]}
        assert run(kvs, ["node", path], **key) == "connected; 1 ICE servers for the RTCPeerConnection\n"
    finally:
        os.unlink(path)
