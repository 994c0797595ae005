# SPDX-License-Identifier: MIT
"""Runs the program under test as a child process.

The program is build/src/cli/kvwarden, or what KVWARDEN_BIN names.  Listening commands are started
with port 0 and --report-fd: they write one JSON line {"address":..., "port":...} there once they
accept connections, so no test guesses a port or sleeps.
"""
import json
import os
import pathlib
import select
import signal
import subprocess
import time

from .waiting import PATIENCE_S

TOP = pathlib.Path(__file__).resolve().parents[2]


def binary():
    return os.environ.get("KVWARDEN_BIN", str(TOP / "build/src/cli/kvwarden"))


def run(*args, env=None, timeout=PATIENCE_S, stdin=None):
    """Runs a command that ends by itself; returns the CompletedProcess with text output."""
    return subprocess.run([binary(), *map(str, args)], env=environment(env), timeout=timeout, text=True,
                          input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def environment(extra=None):
    """The test's own environment, less what would configure the program."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("KVWARDEN_")}
    env.update(extra or {})
    return env


class Program:
    """One child that listens.  Use stop() or kill(); the fixtures do, whatever the test does."""

    def __init__(self, log_path, *args, env=None):
        self.log_path = pathlib.Path(log_path)
        read_fd, write_fd = os.pipe()
        self.args = [binary(), *map(str, args), "--report-fd", str(write_fd)]
        with open(self.log_path, "wb") as log:
            self.child = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          pass_fds=[write_fd], env=environment(env))
        os.close(write_fd)
        try:
            self.report = self._read_report(read_fd)
        except BaseException:
            self.kill()
            raise
        finally:
            os.close(read_fd)
        self.port = self.report.get("port")  # none on a Unix socket
        self.address = self.report.get("address")

    def _read_report(self, fd):
        deadline = time.monotonic() + PATIENCE_S
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no report on --report-fd within {PATIENCE_S:g} s: {self.args}\n{self.log()}"
            piece = os.read(fd, 4096)
            assert piece, f"ended without a report: {self.args}\n{self.log()}"
            line += piece
        return json.loads(line)

    @property
    def pid(self):
        return self.child.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=PATIENCE_S):
        """The exit code; negative for a signal."""
        return self.child.wait(timeout)

    def running(self):
        return self.child.poll() is None

    def kill(self):
        if self.running():
            self.child.kill()
        self.child.wait()

    def stop(self):
        """The normal end: SIGTERM, then the exit code.  A second SIGTERM cuts the drain short."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                return self.wait(1)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end after two SIGTERM\n{self.log()}") from None
