# SPDX-License-Identifier: Apache-2.0
"""unittest with TAP output, one line per test case, so that scripts/test can count."""
import sys
import unittest


class TapResult(unittest.TestResult):
    def line(self, good, test, note=""):
        name = test.id().replace("__main__.", "")
        print(f"{'ok' if good else 'not ok'} {self.testsRun} - {name}{note}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line(True, test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line(True, test, f" # SKIP {reason}")

    def report(self, test, error):
        self.line(False, test)
        text = self._exc_info_to_string(error, test)
        print("".join(f"# {line}\n" for line in text.splitlines()), end="", flush=True)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.report(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.report(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.report(subtest, error)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    print(f"1..{suite.countTestCases()}")
    result = suite.run(TapResult())
    sys.exit(0 if result.wasSuccessful() else 1)
