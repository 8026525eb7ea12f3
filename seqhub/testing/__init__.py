"""Checks that every task and every model family passes, for `seqhub check` and for pytest.

In a test file of your own package:

    import pytest
    from seqhub.testing import checks_of

    @pytest.mark.parametrize("check", checks_of("my_package/majority.py"), ids=str)
    def test_majority(check):
        check.run()
"""

from seqhub.testing.check import Check, CheckFailedError, Result, checks_of, run_checks

__all__ = ["Check", "CheckFailedError", "Result", "checks_of", "run_checks"]
