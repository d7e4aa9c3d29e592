"""Stands in tests where Tempo and Grafana stand, which no package registry has; the first argument says for which.

As `tempo`, it is an OpenTelemetry Collector that takes traces where Tempo would, and this program, which answers three of
Tempo's questions from the Collector's file: whether it is ready, whether it is there, and for a trace by its id. As `grafana`, it answers for its
health and passes questions on to the data sources of the shipped provisioning, to who knows the password it was started with.
Neither tells anything about Tempo or Grafana: they let the scripts of the stack be tried against something that answers.
"""

import base64
import ctypes
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import string
import subprocess
import sys
import urllib.error
import urllib.request

COLLECTOR = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:$TEMPO_OTLP_HTTP_PORT"}}}}
exporters: {file: {path: "$TEMPO_DATA/traces.jsonl", rotation: {max_megabytes: 1000}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [file]}}
"""


def end_with_parent():
    """A child of a killed parent would keep the port."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code, body = self.answer()
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Tempo(Answers):
    def answer(self):
        if self.path == "/ready":
            with socket.socket() as probe:
                up = probe.connect_ex(("127.0.0.1", int(os.environ["TEMPO_OTLP_HTTP_PORT"]))) == 0
            return (200, b"ready") if up else (503, b"not yet")
        if self.path == "/api/echo":
            return 200, b"echo"
        found = re.fullmatch("/api/v2/traces/([0-9a-f]{32})", self.path)
        spans = self.spans(found[1]) if found else []
        if not spans:
            return 404, b"trace not found"
        return 200, json.dumps({"trace": {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}}).encode()

    @staticmethod
    def spans(trace):
        file = pathlib.Path(os.environ["TEMPO_DATA"], "traces.jsonl")
        lines = file.read_text().splitlines() if file.exists() else []
        of = [s for l in lines for r in json.loads(l)["resourceSpans"] for p in r["scopeSpans"] for s in p["spans"]]
        return [
            # As Tempo writes them: bytes in base 64.
            span | {key: base64.b64encode(bytes.fromhex(span[key])).decode() for key in ("traceId", "spanId")}
            for span in of
            if span["traceId"] == trace
        ]


class Grafana(Answers):
    def answer(self):
        if self.path == "/api/health":
            return 200, b'{"database":"ok"}'
        file = re.fullmatch(r"\$__file{(.*)}", os.environ["GF_SECURITY_ADMIN_PASSWORD"])[1]
        word = base64.b64encode(f"admin:{pathlib.Path(file).read_text().strip()}".encode()).decode()
        if self.headers["Authorization"] != f"Basic {word}":
            return 401, b"unauthorized"
        called = re.fullmatch("/api/datasources/proxy/uid/([^/]*)/(.*)", self.path)
        sources = pathlib.Path(os.environ["GF_PATHS_PROVISIONING"], "datasources")
        text = "".join(f.read_text() for f in sources.glob("*.y*ml"))
        urls = dict(re.findall(r"^ +uid: (\S+)\n(?:.*\n)*?^ +url: (\S+)", text, re.M))
        if not called or called[1] not in urls:
            return 404, b"no such data source"
        url = string.Template(urls[called[1]]).substitute(os.environ)
        try:
            with urllib.request.urlopen(f"{url}/{called[2]}") as answer:
                return answer.status, answer.read()
        except (urllib.error.URLError, OSError) as error:
            return 502, str(error).encode()


if __name__ == "__main__":
    if sys.argv[1] == "tempo":
        config = string.Template(COLLECTOR).substitute(os.environ)
        path = pathlib.Path(os.environ["TEMPO_DATA"], "stand-in.yaml")
        path.write_text(config)
        subprocess.Popen(["otelcol", "--config", path], preexec_fn=end_with_parent)
        port, handler = os.environ["TEMPO_PORT"], Tempo
    else:
        port, handler = os.environ["GF_SERVER_HTTP_PORT"], Grafana
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler).serve_forever()
