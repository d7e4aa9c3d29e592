"""Checks that the configurations of the stack can be read and agree with each other and with the dashboards; exit 1 where not.

    check_stack.py CONFIGS BUILDER.yaml"""
import json
import re
import sys
from pathlib import Path

import yaml

configs, builder = Path(sys.argv[1]), Path(sys.argv[2])
problems = []


def expect(holds, what):
    if not holds:
        problems.append(what)


def table(name):
    lines = (configs / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def find(value, key):
    """Every value of a key, however deep."""
    if isinstance(value, dict):
        for k, v in value.items():
            if k == key:
                yield v
            yield from find(v, key)
    elif isinstance(value, list):
        for v in value:
            yield from find(v, key)


documents = {p.relative_to(configs).as_posix(): yaml.safe_load(p.read_text()) for p in configs.rglob("*.y*ml")}
texts = {p.relative_to(configs).as_posix(): p.read_text() for p in configs.rglob("*") if p.suffix in (".yml", ".yaml", ".alloy")}

# Ports: each has one number, and whoever names it has that as the default.
ports, versions = table("ports.env"), table("versions.env")
expect(len(set(ports.values())) == len(ports), "two services have one port")
for name, text in texts.items():
    for port, default in re.findall(r"\$\{(\w+_PORT):-(\d+)\}", text):
        expect(ports.get(port) == default, f"{name}: {port} is {default}")
    for port in re.findall(r"\$(\w+_PORT)\b", text):
        expect(port in ports, f"{name}: {port} is no port of the stack")
served = {
    "OTELCOL_GRPC": "OTLP_GRPC_PORT", "OTELCOL_HTTP": "OTLP_HTTP_PORT", "OTELCOL_PROMETHEUS": "COLLECTOR_PROMETHEUS_PORT",
    "OTELCOL_HEALTH": "COLLECTOR_HEALTH_PORT", "TEMPO_ENDPOINT": "TEMPO_OTLP_HTTP_PORT", "LOKI_ENDPOINT": "LOKI_PORT",
    "PROMETHEUS_WRITE_URL": "PROMETHEUS_PORT",
}
for name in ("otel-collector-config.yaml", "alloy/config.alloy"):
    defaults = re.findall(r'\$\{env:(\w+):-[^}]*?:(\d+)|sys\.env\("(\w+)"\), "[^"]*?:(\d+)', texts[name])
    defaults = {a or c: b or d for a, b, c, d in defaults}
    expect(len(defaults) >= 5, f"{name}: {len(defaults)} addresses")
    for variable, port in defaults.items():
        expect(ports[served[variable]] == port, f"{name}: {variable} is at {port}")
targets = {t for t in (x for ts in find(documents["prometheus.yml"], "targets") for x in ts)}
wanted = {"COLLECTOR_PROMETHEUS_PORT", "COLLECTOR_METRICS_PORT", "PROMETHEUS_PORT", "LOKI_PORT", "TEMPO_PORT"}
expect(targets == {f"127.0.0.1:{ports[p]}" for p in wanted}, f"prometheus.yml scrapes {sorted(targets)}")
expect(versions["OTELCOL_VERSION"] == yaml.safe_load(builder.read_text())["dist"]["version"], "two versions of the Collector")

# Data sources: what refers to one refers to one that is there, and dashboards too.
sources = documents["grafana/provisioning/datasources/neuro-preprocess.yml"]["datasources"]
kinds = {s["uid"]: s["type"] for s in sources}
expect(kinds == {"neuro-prometheus": "prometheus", "neuro-loki": "loki", "neuro-tempo": "tempo"}, f"data sources {kinds}")
references = [uid for s in sources for uid in find(s["jsonData"], "datasourceUid")]
expect(set(references) == set(kinds), f"data sources refer to {references}")
for dashboard in sorted(configs.glob("grafana/dashboards/*.json")):
    for source in find(json.loads(dashboard.read_text()), "datasource"):
        uid = source.get("uid", "") if isinstance(source, dict) else source
        known = uid in kinds or uid in ("-- Grafana --", "grafana", None) or str(uid).startswith("$")
        expect(known, f"{dashboard.name}: no data source {uid}")

# Tempo: what comes late is found for as long as it is kept, and TraceQL metrics have what they are made from.
tempo = documents["tempo-config.yaml"]
kept = tempo["compactor"]["compaction"]["block_retention"]
generator, frontend = tempo["metrics_generator"], tempo["query_frontend"]
late = {
    "storage.trace.wal": tempo["storage"]["trace"]["wal"]["ingestion_time_range_slack"],
    "query_ingesters_until": frontend["search"]["query_ingesters_until"],
    "metrics_ingestion_time_range_slack": generator["metrics_ingestion_time_range_slack"],
    "traces_storage": generator["traces_storage"]["ingestion_time_range_slack"],
}
expect(set(late.values()) == {kept}, f"Tempo keeps traces {kept}, but takes late ones as {late}")
processors = tempo["overrides"]["defaults"]["metrics_generator"]["processors"]
expect("local-blocks" in processors and generator["traces_storage"]["path"], "Tempo: nothing answers TraceQL metrics")
expect(tempo["ingester"]["trace_idle_period"] == "1s", "Tempo: acknowledged spans stay long in memory only")

# Alloy: every block is closed, whatever is referred to is declared, and it joins processes by the Collector's statements.
alloy = re.sub(r"^\s*//.*$", "", texts["alloy/config.alloy"], flags=re.M)
plain = re.sub(r'`[^`]*`|"[^"]*"', '""', alloy)
for pair in ("{}", "[]", "()"):
    expect(plain.count(pair[0]) == plain.count(pair[1]), f"config.alloy: unequal {pair}")
declared = {f"{kind}.{label}" for kind, label in re.findall(r'^([a-z_.]+) "(\w+)" \{', alloy, flags=re.M)}
used = set(re.findall(r"\b((?:otelcol|prometheus)(?:\.\w+)+)\.(?:input|receiver|handler|targets)\b", plain))
expect(declared >= used, f"config.alloy: not declared: {sorted(used - declared)}")
expect({d for d in declared if not d.startswith(("otelcol.receiver", "prometheus.scrape"))} <= used, f"config.alloy: unused: {sorted(declared - used)}")
collector = [s for name in ("transform/join_processes", "transform/arrival")
             for block in documents["otel-collector-config.yaml"]["processors"][name]["metric_statements"]
             for s in block["statements"]]
expect(sorted(collector) == sorted(re.findall(r"`([^`]*)`", alloy)), "config.alloy: other statements than the Collector's")

print("\n".join(problems) or f"{len(documents)} documents, {len(declared)} components of Alloy, {len(ports)} ports")
sys.exit(bool(problems))
