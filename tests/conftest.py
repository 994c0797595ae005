# SPDX-License-Identifier: MIT
"""Fixtures of the tests that run the real program.  Each gives a factory and ends what it made."""
import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.chat import HeldEngine, Sender  # noqa: E402
from support.engine import Engine  # noqa: E402
from support.program import Program  # noqa: E402
from support.waiting import wait_for  # noqa: E402
from support.wire import ask  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "load: needs the speed of a plain build; not run under sanitizers")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the logs of the programs that the test ran."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for program in getattr(item, "programs", []):
            report.sections.append((f"log of {' '.join(program.args[1:])}", program.log()[-8000:]))


@pytest.fixture
def start(request, tmp_path):
    """start("sim", "--port", 0) -> Program; a non-zero exit on SIGTERM fails the test."""
    request.node.programs = programs = []

    def factory(*args, env=None):
        program = Program(tmp_path / f"log-{len(programs)}.txt", *args, env=env)
        programs.append(program)
        return program

    yield factory
    ended_by_test = [not p.running() for p in programs]
    codes = [p.stop() for p in programs]
    for program, ended, code in zip(programs, ended_by_test, codes):
        assert ended or code == 0, f"{program.args[1]} ended with {code}\n{program.log()}"


@pytest.fixture
def engine():
    """A stand-in engine on a free port; see support/engine.py."""
    e = Engine()
    yield e
    e.stop()


@pytest.fixture
def held():
    """A stand-in engine that answers when the test says so; see support/chat.py."""
    e = HeldEngine()
    yield e
    e.stop()


@pytest.fixture
def sender():
    """sender(port) -> Sender: requests whose answers are read later."""
    made = []

    def factory(port):
        made.append(Sender(port))
        return made[-1]

    yield factory
    for s in made:
        s.close()


@pytest.fixture
def gateway(start, tmp_path):
    """gateway(engine, tenants=[...], ...) -> Program of `kvwarden serve` in front of that engine.

    Keyword arguments are top-level keys of the config file.  Returns once /health says ok, unless
    ready=False.  The decision log is gateway.decisions(), a list of dicts.
    """
    made = 0

    def factory(engine_or_url, ready=True, model=None, args=(), env=None, **config):
        nonlocal made
        made += 1
        url = engine_or_url if isinstance(engine_or_url, str) else engine_or_url.url
        config = {
            "host": "127.0.0.1",
            "port": 0,
            "models": [{"model_id": "m", "engine": "openai", "endpoint": url, **(model or {})}],
            **config,
        }
        path = tmp_path / f"config-{made}.yaml"
        path.write_text(json.dumps(config, indent=1))  # JSON is YAML
        log = tmp_path / f"decisions-{made}.jsonl"
        program = start("serve", "--config", path, "--decision-log", log, *args, env=env)
        program.config_path, program.config = path, config
        program.decisions = lambda: [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if ready:
            wait_for(lambda: ask(program.port, "GET", "/health").status == 200, "/health answers 200")
        return program

    return factory
