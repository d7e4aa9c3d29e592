"""Runs the BIDS validator on each folder and lists its errors and warnings; exit 1 if there is an error.

    check_validator.py FOLDER..."""
import collections
import json
import subprocess
import sys
from pathlib import Path

failed = False
for folder in sys.argv[1:]:
    program = Path(sys.executable).with_name("bids-validator-deno")
    run = subprocess.run([program, "--format", "json", folder], capture_output=True, text=True, env={"NO_COLOR": "1", "PATH": "/usr/bin:/bin", "HOME": folder})
    issues = json.loads(run.stdout)["issues"]["issues"]
    count = collections.Counter((i["severity"], i["code"], i.get("subCode", "")) for i in issues)
    for (severity, code, sub), n in sorted(count.items()):
        where = next(i["location"] for i in issues if i["code"] == code)
        print(f"{folder}: {severity} {code} {sub} x{n}, first in {where}")
    errors = sum(n for (severity, *_), n in count.items() if severity == "error")
    print(f"{folder}: {errors} errors")
    failed |= errors > 0
sys.exit(failed)
