"""The one exception for what a user can mend, the search for the nearest spelling, and the numbers
that a public function takes."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
from reprlib import Repr

SYNONYMS = {
    "architecture": "sharing",
    "batch": "batch_size",
    "dataset": "data",
    "epochs": "steps",
    "gpu": "cuda",
    "hidden_size": "width",
    "iterations": "steps",
    "layers": "depth",
    "learning_rate": "lr",
    "method": "weighting",
    "model": "sharing",
    "n_steps": "steps",
    "uniform": "equal",
    "wd": "weight_decay",
}
"""What others call it → what it is called here."""
SHORT = Repr()
SHORT.maxstring = SHORT.maxother = SHORT.maxlong = 80


class InputError(ValueError):
    """Bad input, in one line: the field, the value, what is allowed. The command line then exits
    with code 2."""


def shown(value: object) -> str:
    """Any value as a short text of one line.

    >>> shown("a\\nb"), len(shown("x" * 10**6))
    ("'a\\\\nb'", 80)
    """
    try:
        return " ".join(SHORT.repr(value).split())
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return "a number of thousands of digits"


def unknown(kind: str, name: object, allowed: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not on a list, with the nearest spelling.

    >>> str(unknown("weighting", "nahs", ["equal", "nash"]))
    "weighting = 'nahs' is unknown; did you mean 'nash'? allowed: equal, nash"
    """
    names = sorted(allowed)
    said = f"{nearest(name, names)}allowed: {', '.join(names) or 'none'}"
    return InputError(f"{kind} = {shown(name)} is unknown; {said}")


def nearest(name: object, names: list[str]) -> str:
    """ "did you mean …? ", or nothing where no name is near."""
    if not isinstance(name, str):
        return ""
    known = {one.lower(): one for one in names}
    word = name.lower()[:80].replace("-", "_")
    near = get_close_matches(SYNONYMS.get(word, word), known, n=1, cutoff=0.5)
    return f"did you mean {known[near[0]]!r}? " if near else ""


def real(name: str, x: Any, ndim: int = 0) -> "Tensor":
    """Real numbers of any width, as a tensor: a tensor as it is (one of whole numbers in float64),
    arrays and nested lists in float64. ndim: dimensions at least.

    Raises:
        InputError: numbers that are not real, rows of different lengths, too few dimensions.

    >>> real("gramian", [[1, 2], [2, 5]]).dtype
    torch.float64
    """
    import numpy as np  # here: importing this module must stay cheap
    import torch

    tensor: torch.Tensor = x
    if not isinstance(x, torch.Tensor):
        try:
            array = np.asarray(x)
        except (ValueError, TypeError, RuntimeError):
            array = np.asarray(None)
        if array.dtype.kind not in "iuf":
            kind = "no table" if array.dtype.kind == "O" else f"of dtype {array.dtype}"
            raise InputError(f"{name} is {kind} ({type(x).__name__}); allowed: real numbers")
        tensor = torch.from_numpy(np.array(array, dtype=np.float64))
    if tensor.dtype == torch.bool or tensor.is_complex() or tensor.layout != torch.strided:
        what = tensor.dtype if tensor.layout == torch.strided else tensor.layout
        raise InputError(f"{name} is of {what}; allowed: dense tensors of real numbers")
    if tensor.ndim < ndim:
        shape = tuple(tensor.shape)
        raise InputError(f"{name} has shape {shape}; allowed: {ndim} dimensions or more")
    return tensor if tensor.is_floating_point() else tensor.double()
