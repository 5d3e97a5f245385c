"""Metrics, dashboard and alerts: each query is asked of a real Prometheus that scrapes a server with everything on."""

import json
import pathlib
import re
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest

from causeway import HOST, PASSWORD, USER, Causeway, free_port, wait_until
from coturn_tools import uclient
from otlp_collector import Collector
from redis_consumer import RedisServer
from test_webhooks import Sink
from turn_client import TurnClient

ROOT = pathlib.Path(__file__).parent.parent.parent
RULES = ROOT / "packaging" / "prometheus" / "causeway.rules.yml"
DASHBOARD = json.loads((ROOT / "packaging" / "grafana" / "causeway.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


@pytest.fixture(scope="module")
def server(echo):
    """Everything that has metrics is on, and has had something to count."""
    with RedisServer() as redis:
        sink, collector = Sink(), Collector()
        with Causeway(
            redis_statsdb=f"port={redis.port}", otlp_endpoint=collector.url, webhook_http=True, webhook_allow=[f"{HOST}/32"]
        ) as running:
            body = {"name": "monitoring", "url": sink.url, "events": ["session.started"]}
            status, _, answer = running.request("/api/v1/webhooks", "POST", body)
            assert status == 201, answer
            busy(running, echo)
            wait_until(lambda: running.metric('causeway_webhook_posts_total{outcome="taken"}') > 0, 20, "a post")
            wait_until(lambda: running.metric("causeway_spans_exported_total") > 0, 20, "a span")
            yield running
        sink.close()
        collector.close()


def busy(server, echo):
    """A session, a refusal and a drop."""
    assert uclient(server, peer=echo.address(), messages=5).code == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.sendto(b"\x00\x07garbage", (HOST, server.turn_port))


@pytest.fixture(scope="module")
def prometheus(server, echo, tmp_path_factory):
    """Scrapes the server, with the alerts loaded; has seen counters grow."""
    directory, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "causeway", "static_configs": [{"targets": [f"127.0.0.1:{server.http_port}"]}]}],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config))
    command = ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
    with open(directory / "log", "w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log, stdout=log)
    try:
        ask = Asker(port)
        wait_until(lambda: process.poll() is None and ask.is_ready(), 60, "Prometheus")
        wait_until(lambda: ask("causeway_allocations"), 30, "the first scrape")
        busy(server, echo)
        wait_until(lambda: ask('rate(causeway_drops_total{reason="malformed"}[1m]) > 0'), 30, "a drop that grows")
        yield ask
    finally:
        process.kill()
        process.wait()


class Asker:
    """Prometheus' own interface."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    def get(self, path, **parameters):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            answer = json.load(answer)
        assert answer["status"] == "success", answer
        return answer["data"]

    def __call__(self, query):
        """The series a query gives; a query Prometheus does not understand is an error."""
        return self.get("/api/v1/query", query=query)["result"]


def documented():
    """Kind and label by name, as the page has them."""
    rows = re.findall(r"^\| `(causeway_\w+)` \| (gauge|counter) \| (?:`(\w+)`: .*?)?\s*\|", (ROOT / "docs/metrics.md").read_text(), re.M)
    assert len(rows) > 20
    return {name: (kind, label or None) for name, kind, label in rows}


def test_each_exported_metric_is_documented_and_the_other_way_round(server):
    text = server.request("/metrics", token=False)[2]
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.M))
    labels = {name: None for name in re.findall(r"^(\w+) ", text, re.M)}
    labels |= dict(re.findall(r"^(\w+)\{(\w+)=\"[^\"]*\"\} ", text, re.M))
    assert {name: (kinds[name], label) for name, label in labels.items()} == documented()


def test_every_series_has_at_most_the_one_label_that_is_documented(server):
    for line in server.metrics():
        assert line.count("=") <= 1, line


def on_this_server(query):
    """As Grafana fills it in."""
    return query.replace("$job", "causeway").replace("$instance", ".+").replace("$__rate_interval", "1m")


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_each_query_of_the_dashboard_gives_what_its_legend_names(prometheus, panel):
    assert panel["targets"]
    for target in panel["targets"]:
        query = on_this_server(target["expr"])
        assert "$" not in query
        result = prometheus(query)
        assert result, f"no data: {query}"
        for series in result:
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) == set(series["metric"]), query


def test_the_dashboards_variables_find_the_server(server, prometheus):
    found = {}
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            found[variable["name"]] = prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": on_this_server(series)})
    assert found == {"job": ["causeway"], "instance": [f"127.0.0.1:{server.http_port}"]}


def test_panels_do_not_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def alerts(prometheus):
    [group] = prometheus.get("/api/v1/rules")["groups"]
    return group["rules"]


def test_each_alert_is_evaluated_on_series_that_exist(prometheus):
    wait_until(lambda: all(rule["health"] == "ok" for rule in alerts(prometheus)), 30, "every rule to be evaluated")
    for rule in alerts(prometheus):
        for part in rule["query"].split(" or "):
            series, compared = re.subn(r" (>|==) [\d.]+$", "", part)
            assert compared == 1 and prometheus(series), f"no data: {series}"
    names = [rule["name"] for rule in alerts(prometheus) if rule["state"] != "inactive"]
    assert names == [], "a server that is well"


def test_alerts_come_and_go_when_they_should():
    done = subprocess.run(["promtool", "test", "rules", str(RULES.with_suffix(".test.yml"))], capture_output=True, text=True)
    assert done.returncode == 0 and "SUCCESS" in done.stdout + done.stderr, done


def test_a_refused_peer_makes_the_series_of_its_alert_grow(server, prometheus):
    query = 'sum by (job, instance) (rate(causeway_turn_refusals_total{code="403"}[5m]))'
    with TurnClient((HOST, server.turn_port), USER, PASSWORD) as client:
        assert client.allocate().code == 0
        assert client.permit(("127.0.0.1", 0)).code == 403
    wait_until(lambda: float(prometheus(query)[0]["value"][1]) > 0, 30, "the refusal to be scraped")
