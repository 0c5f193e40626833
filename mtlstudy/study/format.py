"""Numbers for the eye. Negative numbers carry U+2212; what is missing is an en dash."""

import math
import re

NONE = "–"


def number(value: float, digits: int = 1, *, sign: bool = False) -> str:
    """Fixed digits, thousands separated, no negative zero; – where there is no number.

    >>> number(-4.04), number(4.6, sign=True), number(-0.04, sign=True), number(12345, 0)
    ('−4.0', '+4.6', '0.0', '12,345')
    >>> number(float("nan")), number(float("-inf"))
    ('–', '−∞')
    """
    if not math.isfinite(value):
        return NONE if math.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if not re.search("[1-9]", text):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def bracket(low: float, high: float, digits: int = 1) -> str:
    """An interval in brackets; – where there is none.

    >>> bracket(-1.25, 3.0)
    '[−1.2, +3.0]'
    """
    if not math.isfinite(low + high):
        return NONE
    return f"[{number(low, digits, sign=True)}, {number(high, digits, sign=True)}]"


def power(value: float) -> str:
    """A small or large number in powers of ten.

    >>> power(3.14e-14), power(1.0), power(0.0)
    ('3.1 × 10⁻¹⁴', '1.0', '0')
    """
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else number(value)
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return number(float(mantissa)) + (f" × 10{raised}" if int(exponent) else "")
