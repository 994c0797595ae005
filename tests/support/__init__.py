# SPDX-License-Identifier: MIT
"""What the tests of the real program share: processes, raw HTTP, a stand-in engine."""
