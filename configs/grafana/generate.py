#!/usr/bin/env python3
"""Writes dashboards/*.json from src/*.py. Needs nothing but Python 3.

    python3 configs/grafana/generate.py

docs/05-creating-dashboards.md says how to change a dashboard or add one; tests/dashboards fails when the files are not what
this writes.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE / "src"))

import errors  # noqa: E402
import health  # noqa: E402
import overview  # noqa: E402
import performance  # noqa: E402
import run  # noqa: E402
import subject  # noqa: E402

DASHBOARDS = {
    "overview": overview.dashboard,
    "run": run.dashboard,
    "performance": performance.dashboard,
    "errors": errors.dashboard,
    "subject": subject.dashboard,
    "health": health.dashboard,
}


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "dashboards"
    for name, dashboard in DASHBOARDS.items():
        text = json.dumps(dashboard(), indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
