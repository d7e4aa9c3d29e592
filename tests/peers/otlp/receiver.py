"""An OTLP receiver (gRPC, and HTTP with protobuf) on the official Python definitions, which can misbehave on purpose.

What it takes is appended to traces.jsonl, logs.jsonl and metrics.jsonl (OTLP JSON, one request a line) before it answers;
what it was asked and answered to requests.jsonl. Prints "ready" once both ports are open.

modes  ok          takes everything
       hang        reads, never answers
       503         answers 503 / UNAVAILABLE, takes nothing
       429:N       answers the first N requests 429 / RESOURCE_EXHAUSTED with "retry after 1 s", then takes everything
       partial     refuses the first item of every request of spans or logs, and takes the rest
       die:N       takes N requests, then ends without an answer
       redirect:URL  answers 302, 307 or 308 (traces, metrics, logs) over HTTP, with the same path at URL as where to go
"""

import argparse
import base64
import gzip
import json
import os
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from google.protobuf import any_pb2, duration_pb2, json_format
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

SIGNALS = {
    "traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
    "logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
    "metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
}
REDIRECTIONS = {"traces": 302, "metrics": 307, "logs": 308}
RETRY_AFTER = 1
IDS = ("traceId", "spanId", "parentSpanId")


def otlp_json(value):
    """protobuf's own JSON writes ids as base64, OTLP's as hexadecimal digits."""
    if isinstance(value, dict):
        return {
            k: base64.b64decode(v).hex() if k in IDS and isinstance(v, str) else otlp_json(v) for k, v in value.items()
        }
    return [otlp_json(v) for v in value] if isinstance(value, list) else value


class Answer:
    """What to say to one request."""

    def __init__(self, code, body=None):
        self.code, self.body = code, body


class Receiver:
    def __init__(self, mode, out):
        self.mode, _, rest = mode.partition(":")
        self.elsewhere = rest if self.mode == "redirect" else None
        self.number, self.out = int(rest or 0) if self.elsewhere is None else 0, Path(out)
        self.asked, self.lock = 0, threading.Lock()

    def append(self, name, value):
        with open(self.out / f"{name}.jsonl", "a") as f:
            f.write(json.dumps(value) + "\n")

    def note(self, signal, protocol, answer, refused=0):
        line = {"time": time.time(), "signal": signal, "protocol": protocol, "answer": answer, "refused": refused}
        self.append("requests", line)

    def answer(self, signal, protocol, request):
        if self.mode == "hang":
            with self.lock:
                self.note(signal, protocol, "none")
            time.sleep(3600)
        with self.lock:
            self.asked += 1
            if self.mode == "die" and self.asked > self.number:
                os._exit(9)
            if self.mode == "503" or (self.mode == "429" and self.asked <= self.number):
                self.note(signal, protocol, self.mode)
                return Answer(int(self.mode))
            if self.elsewhere is not None:
                self.note(signal, protocol, "redirect")
                return Answer(REDIRECTIONS[signal])
            body = SIGNALS[signal][1]()
            refused = self.refuse(signal, request, body) if self.mode == "partial" else 0
            self.append(signal, otlp_json(json_format.MessageToDict(request, use_integers_for_enums=True)))
            self.note(signal, protocol, "ok", refused)
            return Answer(200, body)

    @staticmethod
    def refuse(signal, request, body):
        """Takes the first item out of the request, and says so in the response."""
        if signal == "traces":
            del request.resource_spans[0].scope_spans[0].spans[0]
            body.partial_success.rejected_spans = 1
        elif signal == "logs":
            del request.resource_logs[0].scope_logs[0].log_records[0]
            body.partial_success.rejected_log_records = 1
        else:
            return 0
        body.partial_success.error_message = "the first one is refused"
        return 1


def http_handler(receiver):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def body(self):
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline().strip(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def do_GET(self):
            """What comes of a redirection that is followed as a browser does."""
            receiver.note(self.path, "http", "GET")
            self.send_error(405)

        def do_POST(self):
            raw = self.body()
            if self.headers.get("Content-Encoding") == "gzip":
                raw = gzip.decompress(raw)
            signal = self.path.removeprefix("/v1/")
            answer = receiver.answer(signal, "http", SIGNALS[signal][0].FromString(raw))
            body = answer.body.SerializeToString() if answer.body is not None else b""
            self.send_response(answer.code)
            if answer.code == 429:
                self.send_header("Retry-After", str(RETRY_AFTER))
            if receiver.elsewhere is not None:
                self.send_header("Location", receiver.elsewhere + self.path)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def refuse_grpc(context, code):
    if code == 503:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=RETRY_AFTER)))
    status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="too many requests", details=[detail])
    context.abort_with_status(rpc_status.to_status(status))


def servicer(base, signal, receiver):
    class Servicer(base):
        def Export(self, request, context):
            answer = receiver.answer(signal, "grpc", request)
            if answer.code != 200:
                refuse_grpc(context, answer.code)
            return answer.body

    return Servicer()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grpc", type=int, required=True, help="port")
    parser.add_argument("--http", type=int, required=True, help="port")
    parser.add_argument("--mode", default="ok")
    parser.add_argument("--out", required=True, help="an existing folder")
    args = parser.parse_args()
    receiver = Receiver(args.mode, args.out)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    traces_grpc.add_TraceServiceServicer_to_server(
        servicer(traces_grpc.TraceServiceServicer, "traces", receiver), server
    )
    logs_grpc.add_LogsServiceServicer_to_server(servicer(logs_grpc.LogsServiceServicer, "logs", receiver), server)
    metrics_grpc.add_MetricsServiceServicer_to_server(
        servicer(metrics_grpc.MetricsServiceServicer, "metrics", receiver), server
    )
    server.add_insecure_port(f"127.0.0.1:{args.grpc}")
    server.start()
    web = ThreadingHTTPServer(("127.0.0.1", args.http), http_handler(receiver))
    web.daemon_threads = True
    print("ready", flush=True)
    web.serve_forever()


main()
