"""Runs the tests of a script, and prints at the end what each attack came to, beside its bound."""

import sys
import unittest

_ROWS = [("attack", "figure", "bound")]


def note(attack, figure, bound):
    _ROWS.append((attack, figure, bound))


def at_most(case, attack, value, bound, unit):
    """Notes the figure of an attack, and fails the test case where it is above the bound."""
    note(attack, f"{value:.4g} {unit}", f"<= {bound:.4g} {unit}")
    case.assertLessEqual(value, bound, attack)


def main(names):
    program = unittest.main(argv=sys.argv[:1] + names, verbosity=2, exit=False)
    widths = [max(len(row[column]) for row in _ROWS) for column in range(3)]
    for row in _ROWS:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip(),
              file=sys.stderr)
    sys.exit(not program.result.wasSuccessful())
