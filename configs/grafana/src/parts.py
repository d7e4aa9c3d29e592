"""What dashboards are made of: queries, panels, variables, and the grid they stand on. One function a kind of panel."""

import urllib.parse

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus_datasource}"}
LOKI = {"type": "loki", "uid": "${loki_datasource}"}
TEMPO = {"type": "tempo", "uid": "${tempo_datasource}"}

# The variables that choose a service, as a matcher of each language. Loki refuses a selector that may match nothing.
JOB = 'job=~"$service"'
LOGS = '{service_name=~"$service"}'
SPANS = 'resource.service.name=~"$service"'

# How much telemetry a process has written grows with every report, every 15 s: what has not grown in two minutes is the last
# word of a process that is gone, and the Collector repeats it for an hour.
ALIVE = 'neuro_telemetry_spooled_bytes{signal="metrics"}'
GONE = f"({ALIVE} == {ALIVE} offset 2m)"


def counted(metric, *labels, over="$__range", back="15d"):
    """How much each counter has grown in the range: its end less its start, or its end where it began in the range.

    increase() would miss what a short run counts: its counters appear with their final value, and Prometheus sees no growth.
    It would also guess at the edges, and ten scans would be 10.3. A counter that is smaller at the end began again.

    The start is looked for in the 15 days before the range, which Prometheus keeps also for a range of two weeks (30 d). After
    a longer pause all that was ever counted counts as new.
    """
    series = f'{metric}{{{", ".join([JOB, *labels])}}}'
    end = f"last_over_time({series}[{over}])"
    return f"{end} - last_over_time({series}[{back}] offset {over}) >= 0 or {end}"


def stepwise(metric, *labels):
    """The same for each step of a graph. There are many buckets and steps, so the start is looked for in one day only: after a
    longer pause the first step holds all there ever was, which moves a mean or percentile of that step and no other."""
    return counted(metric, *labels, over="$__rate_interval", back="1d")


def alive(metric):
    """A gauge that each process has, of those that still report."""
    return f"{metric}{{{JOB}}} unless on (instance) {GONE}"


def prom(expr, legend="", *, instant=False, table=False, heatmap=False):
    """A PromQL query; `instant` is one value at the end of the range."""
    kind = "table" if table else "heatmap" if heatmap else "time_series"
    one = instant or table
    return {"datasource": PROMETHEUS, "expr": expr, "legendFormat": legend or "__auto", "format": kind, "instant": one,
            "range": not one, "editorMode": "code"}


def loki(expr, legend="", *, instant=False):
    """A LogQL query: lines, or numbers made of them."""
    query = {"datasource": LOKI, "expr": expr, "queryType": "instant" if instant else "range", "editorMode": "code"}
    return query | ({"legendFormat": legend} if legend else {})


def tempo(query, *, table="traces", limit=50):
    """A TraceQL query; `table` is what its rows are, traces or spans."""
    return {"datasource": TEMPO, "query": query, "queryType": "traceql", "tableType": table, "limit": limit, "filters": []}


def panel(kind, title, description, targets, size, *, unit="none", options=None, custom=None, thresholds=None, decimals=None,
          no_value=None, low=None, high=None, overrides=(), links=(), transformations=(), colour="palette-classic"):
    """What all kinds have in common. `size` is width (of 24) and height."""
    steps = [{"color": c, "value": v} for v, c in thresholds or [(None, "green")]]
    defaults = {"unit": unit, "color": {"mode": "thresholds" if thresholds else colour}, "mappings": [],
                "thresholds": {"mode": "absolute", "steps": steps}}
    extra = {"custom": custom, "decimals": decimals, "noValue": no_value, "min": low, "max": high,
             "links": list(links) or None}
    defaults |= {key: value for key, value in extra.items() if value is not None}
    for letter, target in zip("ABCDEFGH", targets, strict=False):
        target["refId"] = letter
    made = {"type": kind, "title": title, "description": description, "datasource": targets[0]["datasource"],
            "targets": targets, "options": options or {}, "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
            "gridPos": {"w": size[0], "h": size[1]}}
    return made | ({"transformations": list(transformations)} if transformations else {})


def reduce(calc="lastNotNull"):
    return {"calcs": [calc], "fields": "", "values": False}


def stat(title, description, expr, unit="none", size=(4, 4), **more):
    """One number, by PromQL, or LogQL with `loki=True`."""
    target = loki(expr, instant=True) if more.pop("loki", False) else prom(expr, instant=True)
    options = {"reduceOptions": reduce(), "colorMode": "value", "graphMode": "none", "textMode": "value",
               "justifyMode": "auto", "orientation": "auto"}
    more = {"no_value": "no data", "colour": "fixed"} | more
    return panel("stat", title, description, [target], size, unit=unit, options=options, **more)


def series(title, description, targets, unit="none", size=(12, 8), *, bars=False, stacked=False, **more):
    """Lines, or bars where each counts what happened in its step."""
    custom = {"drawStyle": "bars" if bars else "line", "lineWidth": 1, "fillOpacity": 60 if bars else 10,
              "showPoints": "auto", "spanNulls": False, "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}
    options = {"legend": {"displayMode": "table", "placement": "right", "showLegend": True, "calcs": ["max", "lastNotNull"]},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, description, targets, size, unit=unit, options=options, custom=custom, low=0, **more)


def bars(title, description, expr, legend, unit="none", size=(12, 8), **more):
    """One bar a label, longest first."""
    options = {"reduceOptions": reduce(), "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True,
               "valueMode": "color", "namePlacement": "left", "sizing": "auto", "minVizHeight": 16, "minVizWidth": 8}
    more = {"no_value": "none"} | more
    target = prom(f"sort_desc({expr})", legend, instant=True)
    return panel("bargauge", title, description, [target], size, unit=unit, options=options, low=0, **more)


def heatmap(title, description, expr, unit, size=(12, 9)):
    """A histogram of the program over time: dark is many."""
    options = {"calculate": False, "yAxis": {"unit": unit, "axisPlacement": "left"}, "rowsFrame": {"layout": "auto"},
               "color": {"mode": "scheme", "scheme": "Oranges", "exponent": 0.5, "fill": "dark-orange", "reverse": False,
                         "steps": 64},
               "cellGap": 1, "filterValues": {"le": 1e-9}, "tooltip": {"mode": "single", "yHistogram": True},
               "legend": {"show": True}, "exemplars": {"color": "rgba(255,0,255,0.7)"}}
    return panel("heatmap", title, description, [prom(expr, "{{le}}", heatmap=True)], size, unit=unit, options=options)


def table(title, description, target, size=(12, 9), *, rename=None, order=(), hide=("Time",), **more):
    """Rows of one query. `rename` titles its columns, `order` sorts them."""
    organize = {"excludeByName": {name: True for name in hide}, "renameByName": rename or {},
                "indexByName": {name: place for place, name in enumerate(order)}}
    options = {"showHeader": True, "cellHeight": "sm"}
    custom = {"align": "auto", "filterable": True}
    changes = [{"id": "organize", "options": organize}] if any(organize.values()) else []
    return panel("table", title, description, [target], size, options=options, custom=custom, transformations=changes, **more)


def logs(title, description, expr, size=(24, 10)):
    """Log lines, the newest first."""
    options = {"showTime": True, "wrapLogMessage": True, "prettifyLogMessage": False, "enableLogDetails": True,
               "dedupStrategy": "none", "sortOrder": "Descending", "showLabels": False, "showCommonLabels": False}
    return panel("logs", title, description, [loki(expr)], size, options=options)


def column(name, **properties):
    """How one column of a table differs: `unit`, `links`, `decimals`."""
    return {"matcher": {"id": "byName", "options": name},
            "properties": [{"id": key, "value": value} for key, value in properties.items()]}


def trace_link(field):
    """From a cell with a trace id to the trace. What Grafana replaces stays as it is, the rest is encoded."""
    pane = ('{"t":{"datasource":"${tempo_datasource}","queries":[{"refId":"A","datasource":{"type":"tempo","uid":'
            '"${tempo_datasource}"},"queryType":"traceql","query":"FIELD"}],"range":{"from":"${__from}","to":"${__to}"}}}')
    encoded = urllib.parse.quote(pane, safe="${}_,:").replace("FIELD", f"${{__data.fields.{field}}}")
    return {"title": "Show the trace", "url": f"/explore?schemaVersion=1&orgId=1&panes={encoded}", "targetBlank": False}


# What goes along to another dashboard.
KEPT = "&".join(f"${{{name}:queryparam}}" for name in ("prometheus_datasource", "loki_datasource", "tempo_datasource", "service"))
KEPT += "&${__url_time_range}"


def participant_link(field):
    """From a cell with a participant to the dashboard of that participant."""
    here = f"var-participant=${{__data.fields.{field}}}&{KEPT}"
    return {"title": "Show this participant", "url": f"/d/neuro-subject?{here}", "targetBlank": False}


def datasource(kind):
    """The variable that chooses a data source; those of the stack are provisioned as neuro-prometheus and so on."""
    uid = f"neuro-{kind}"
    return {"type": "datasource", "name": f"{kind}_datasource", "label": f"{kind.capitalize()} data source", "query": kind,
            "current": {"text": uid, "value": uid}, "hide": 0, "includeAll": False, "multi": False, "options": [],
            "refresh": 1, "regex": "", "skipUrlSync": False}


def choice(name, label, metric, key, description, *, many=True):
    """A variable with the values a label has in the range shown."""
    selector = metric if key == "job" else f"{metric}{{{JOB}}}"
    query = {"query": f"label_values({selector}, {key})", "refId": name}
    made = {"type": "query", "name": name, "label": label, "description": description, "datasource": PROMETHEUS,
            "query": query, "definition": query["query"], "refresh": 2, "sort": 1, "hide": 0, "options": [], "regex": "",
            "includeAll": many, "multi": many, "skipUrlSync": False, "allowCustomValue": True}
    everything = {"allValue": ".+", "current": {"text": ["All"], "value": ["$__all"]}}
    return made | (everything if many else {"current": {}})


def text(name, label, description):
    """A variable that is typed, or filled in by a link."""
    return {"type": "textbox", "name": name, "label": label, "description": description, "query": "", "hide": 0,
            "current": {"text": "", "value": ""}, "options": [], "skipUrlSync": False}


SERVICE = choice("service", "Service", "neuro_scans_processed_total", "job",
                 "The service.name of the runs: one for each study that sets OTEL_SERVICE_NAME.")
MODALITY = choice("modality", "Modality", "neuro_scans_processed_total", "modality", "T1w, bold or both.")
STAGE = choice("stage", "Stage", "neuro_stage_duration_seconds_count", "stage", "One, some or all stages.")


def dashboard(name, title, description, variables, rows):
    """Places the panels of each row from left to right, and numbers them."""
    placed, y = [], 0
    for heading, panels in rows:
        placed.append({"type": "row", "title": heading, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        x, y, tallest = 0, y + 1, 0
        for one in panels:
            size = one["gridPos"]
            if x + size["w"] > 24:
                x, y, tallest = 0, y + tallest, 0
            placed.append(one | {"gridPos": {"x": x, "y": y} | size})
            x, tallest = x + size["w"], max(tallest, size["h"])
        y += tallest
    for number, one in enumerate(placed, 1):
        one["id"] = number
    links = [{"type": "dashboards", "title": "neuro-preprocess", "tags": ["neuro-preprocess"], "asDropdown": False,
              "icon": "external link", "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""}]
    return {"uid": f"neuro-{name}", "title": title, "description": description, "tags": ["neuro-preprocess"],
            "schemaVersion": 41, "editable": True, "graphTooltip": 1, "timezone": "browser", "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"}, "timepicker": {}, "fiscalYearStartMonth": 0, "preload": False,
            "annotations": {"list": []}, "templating": {"list": variables}, "links": links, "panels": placed}
