# SPDX-License-Identifier: MIT
"""`kvwarden sim` as a process: its report, its ends, its errors, its determinism."""
import os
import signal
import subprocess
import sys

import pytest

from support.program import binary, run
from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes, stream

JSON = {"Content-Type": "application/json"}
BODY = {"model": "llama31-8b", "prompt": "Hello", "max_tokens": 8}


def words(program, **more):
    return ask(program.port, "POST", "/v1/completions", JSON, {**BODY, **more}).json()["choices"][0]["text"]


def test_it_says_that_it_simulates(start):
    program = start("sim", "--port", 0, "--instant")
    wait_for(lambda: "SIMULATED" in program.log(), "the log says so")


def test_the_same_seed_says_the_same_words(start):
    one, two = (start("sim", "--port", 0, "--speed", 1000, "--seed", 7) for _ in range(2))
    assert [words(one) for _ in range(3)] == [words(two) for _ in range(3)]


def test_it_listens_on_a_unix_socket(start, tmp_path):
    path = tmp_path / "sim.sock"
    start("sim", "--unix", path, "--instant")
    with Connection(0, unix=path) as c:
        c.send(request_bytes("POST", "/v1/completions", JSON, BODY))
        assert c.response().status == 200


def test_a_port_in_use_is_an_error_that_names_it(start):
    program = start("sim", "--port", 0, "--instant")
    done = run("sim", "--port", program.port, "--instant")
    assert done.returncode == 1
    assert str(program.port) in done.stderr and "in use" in done.stderr


@pytest.mark.parametrize("args", [["--no-such-flag"], ["--port", "70000"], ["--port", "x"], ["--personality", "none"],
                                  ["--port", "0", "--fault", "no-such-fault"]])
def test_a_wrong_flag_is_refused_with_its_name(args):
    done = run("sim", *args)
    assert done.returncode in (1, 2)
    assert args[-1].lstrip("-").split("=")[0] in done.stderr


def test_sigterm_ends_it_with_0_even_in_the_middle_of_a_stream(start):
    program = start("sim", "--port", 0, "--fault", "hang-after=1")
    c, _, events = stream(program.port, "/v1/completions", {**BODY, "stream": True}, JSON)
    next(iter(events))
    assert program.stop() == 0
    c.close()


def test_it_ends_with_the_process_that_started_it():
    """A killed parent leaves no engine behind."""
    script = ("import os, subprocess, sys\n"
              "r, w = os.pipe()\n"
              "p = subprocess.Popen([sys.argv[1], 'sim', '--port', '0', '--die-with-parent', '--report-fd', str(w)],"
              " pass_fds=[w], stderr=subprocess.DEVNULL)\n"
              "os.read(r, 4096)\n"
              "print(p.pid, flush=True)\n"
              "sys.stdin.read()\n")
    parent = subprocess.Popen([sys.executable, "-c", script, binary()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()

    def gone():
        try:
            with open(f"/proc/{child}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"  # dead, though nobody reaped it
        except FileNotFoundError:
            return True

    try:
        wait_for(gone, "the child ended")
    finally:
        if not gone():
            os.kill(child, signal.SIGKILL)
