"""Secrets and payloads that no test may bring to light: whatever a run printed or logged is searched for them."""

from __future__ import annotations

import pytest

SECRET = "canary5e1f0c7a93"
"""Stands for passwords, tokens and keys, and for what events hold."""
PAYLOAD = "the secret payload"
"""Is in the error that a handler raises."""


class CanaryWatch:
    """A plugin of pytest that searches what each test printed and logged, and fails the run for what it finds."""

    def __init__(self) -> None:
        self.sung: list[str] = []
        """Tests, each with where it was seen."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Search the output of one phase of a test."""
        for title, text in report.sections:
            if SECRET in text or PAYLOAD in text:
                self.sung.append(f"{report.nodeid.partition('[')[0]}: {title}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run."""
        if self.sung:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the tests."""
        if self.sung:
            terminalreporter.section("secrets or payloads were printed or logged", red=True)
            for line in self.sung:
                terminalreporter.line(line)
