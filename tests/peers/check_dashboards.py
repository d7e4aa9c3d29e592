"""Holds dashboards against Grafana's own types (grafana-foundation-sdk): python check_dashboards.py FOLDER

Each file is read into those types and written again. A key that they do not know is gone then, which is how it is found;
values are compared with the types' annotations, and units with Grafana's list. Ends with 1 when something is wrong."""

import enum
import json
import pathlib
import sys
import typing

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, units

# Keys that Grafana itself writes and its types do not have.
UNTYPED = {"definition"}
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}


def lost(before, after, path=""):
    """Paths of what is not as it was."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in UNTYPED:
                continue
            if key not in after:
                if value not in (None, [], {}):
                    yield f"{path}.{key} is unknown to Grafana"
            else:
                yield from lost(value, after[key], f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}[{place}]")
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


def written(model):
    return json.loads(json.dumps(model, cls=JSONEncoder))


def fits(value, hint):
    """Whether a value is of an annotated type; types made of other models are looked into by `wrong`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in (typing.Any, object) or isinstance(hint, typing.TypeVar):
        return True
    if origin is typing.Union:
        return any(fits(value, a) for a in args)
    if origin is typing.Literal:
        return value in args
    if origin is list:
        return isinstance(value, list) and all(fits(v, args[0]) for v in value)
    if origin is dict:
        return isinstance(value, dict)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if isinstance(value, dict) and hasattr(hint, "from_json"):  # what the types' own reader leaves as it is
        return not [*lost(value, written(hint.from_json(value)))]
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if hint is type(None) else isinstance(value, hint)


def wrong(model, path, seen):
    """Paths of values that are not of their annotated type."""
    if isinstance(model, list):
        for place, one in enumerate(model):
            yield from wrong(one, f"{path}[{place}]", seen)
    elif type(model).__module__.startswith("grafana_foundation_sdk.models") and not isinstance(model, enum.Enum):
        seen.add(type(model).__name__)
        for name, hint in typing.get_type_hints(type(model)).items():
            value = getattr(model, name)
            if not fits(value, hint):
                yield f"{path}.{name}: {value!r} is not {hint}"
            yield from wrong(value, f"{path}.{name}", seen)
    elif isinstance(model, dict):
        for key, value in model.items():
            yield from wrong(value, f"{path}.{key}", seen)


def main():
    register_default_plugins()
    problems, seen, files = [], set(), sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
    for file in files:
        before = json.loads(file.read_text(encoding="utf-8"))
        model = dashboard.Dashboard.from_json(before)
        found = [*lost(before, written(model)), *wrong(model, "", seen)]
        for panel in before["panels"]:
            config = panel.get("fieldConfig", {})
            named = [config.get("defaults", {}).get("unit")]
            named += [p["value"] for o in config.get("overrides", []) for p in o["properties"] if p["id"] == "unit"]
            found += [f"{panel['title']}: no unit {u}" for u in named if u and u not in UNITS and not u.startswith("suffix:")]
        problems += [f"{file.name}{problem}" for problem in found]
    print("\n".join(problems))
    print(f"{len(files)} dashboards of {len(seen)} types, {len(problems)} problems")
    sys.exit(1 if problems else 0)


main()
