# SPDX-License-Identifier: MIT
"""kvwarden demo: its report, its exit codes, and that nothing of it stays behind."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from support.program import binary, environment, run
from support.waiting import wait_for


def children_of(pid):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def exists(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def demo(tmp_path):
    """Starts a demo with its own TMPDIR; it and its children are dead after the test."""
    running = []

    def factory(*args):
        child = subprocess.Popen([binary(), "demo", *args], env=environment({"TMPDIR": str(tmp_path)}), text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.append(child)
        return child

    yield factory
    for child in running:
        child.kill()
        child.communicate()


@pytest.mark.load
def test_a_flood_makes_the_quiet_tenant_wait_and_the_report_says_how_long(tmp_path):
    file = tmp_path / "report.json"
    done = run("demo", "--arms", "solo,direct", "--duration", "3", "--json", file, timeout=90)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["schema"] == "kvwarden.report" and report["version"] == 1 and report["simulated"] is True
    solo, direct = report["arms"]
    assert (solo["name"], direct["name"]) == ("solo", "direct")
    assert not solo["saturated"] and direct["saturated"]
    assert direct["share_of_direct"] == 1
    quiet, flooder = direct["tenants"]
    assert (quiet["name"], flooder["name"]) == ("quiet", "flooder")
    assert quiet["ratio_to_solo"] > 10
    assert quiet["ttft_ms"]["p99"] is None, "too few samples for a p99"
    for t in (quiet, flooder):
        counts = dict(t["requests"])
        assert counts.pop("scheduled") == sum(counts.values())
    assert "SIMULATED" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("solo", "direct"))] == ["solo", "direct"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_its_processes(demo, tmp_path, number):
    child = demo("--arms", "direct", "--duration", "30")
    pids = wait_for(lambda: (lambda c: c if len(c) == 2 else None)(children_of(child.pid)), "engine and load run")
    child.send_signal(number)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 128 + number
    assert "nothing was left running" in errors
    assert not any(exists(p) for p in pids)
    assert not list(tmp_path.glob("kvwarden-*")), "its folder stayed"


def test_its_processes_die_with_it_however_it_dies(demo):
    child = demo("--arms", "direct", "--duration", "30")
    pids = wait_for(lambda: (lambda c: c if len(c) == 2 else None)(children_of(child.pid)), "engine and load run")
    child.kill()
    child.communicate()
    wait_for(lambda: not any(exists(p) for p in pids), "the children ended")


def test_a_process_that_dies_fails_the_arm(demo):
    child = demo("--arms", "direct", "--duration", "30")
    engine, load = wait_for(lambda: (lambda c: sorted(c) if len(c) == 2 else None)(children_of(child.pid)), "it runs")
    os.kill(load, signal.SIGKILL)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "the load was ended by signal 9" in errors
    assert not exists(engine)


@pytest.mark.parametrize("args", [["--arms", "winning"], ["--duration", "0"], ["--width", "x"], ["--nonsense"], ["word"]])
def test_wrong_usage_is_2(args):
    done = run("demo", *args)
    assert done.returncode == 2 and done.stderr


def test_an_address_that_is_none_is_1():
    done = run("demo", "--engine-url", "not a url")
    assert done.returncode == 1 and "not a url" in done.stderr


def test_an_unknown_preset_fails_with_the_engine_s_own_words():
    done = run("demo", "--preset", "abacus")
    assert done.returncode == 1
    assert "abacus" in done.stderr


@pytest.mark.load
def test_another_engine_is_asked_for_its_model_and_never_called_simulated(engine, tmp_path):
    file = tmp_path / "report.json"
    done = run("demo", "--engine-url", engine.url, "--arms", "solo", "--duration", "1", "--width", "4", "--json", file,
               timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(file.read_text())["simulated"] is False
    assert "SIMULATED" not in done.stdout
    assert "no arm is called saturated" in done.stdout
    assert {r.json()["model"] for r in engine.requests} == {"m"}
