# SPDX-License-Identifier: MIT
"""Waiting without guessing: poll a condition until it holds or a deadline passes."""
import time

PATIENCE_S = 20.0  # far above what any step needs, so that a slow machine does not fail a test


def wait_for(condition, what, patience_s=PATIENCE_S):
    """Returns the first true value of condition(); raises AssertionError that says what did not happen."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {patience_s:g} s: {what}")
        time.sleep(0.005)
