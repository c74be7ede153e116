"""``python -m tests.checker``: compare a history, a log and a store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.checker.check import check


def main() -> int:
    """Print the report; 1 if there are anomalies."""
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    parser.add_argument("--log", required=True, help="kafka://HOST:PORT or sqlite:///FILE")
    parser.add_argument("--store", required=True, help="a URL of SQLAlchemy's form")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--projection", required=True)
    parser.add_argument("--schemas", required=True, type=Path, help="the directory of the contract files")
    parser.add_argument("--sent", required=True, type=Path, help="the load generator's file")
    parser.add_argument("--report", type=Path, help="a directory for the report as JSON and Markdown")
    chosen = parser.parse_args()
    report = check(chosen.log, chosen.topic, chosen.schemas, chosen.store, chosen.projection, chosen.sent)
    if chosen.report:
        report.write(chosen.report, "check")
    print(report.as_markdown())
    return bool(report.anomalies)


if __name__ == "__main__":
    sys.exit(main())
