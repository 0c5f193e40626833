"""Numbers of every entry stay what they were as long as its version does: runs of before are then
runs of the present code. See tests/golden.py."""

from dataclasses import replace

import golden
import pytest

from mtlstudy.registry import entry

ENTRIES = golden.entries()


@pytest.mark.parametrize("name", ENTRIES)
def test_numbers_are_those_of_the_version(name):
    version, where, compute = ENTRIES[name]
    fault = golden.fault(name, version, where, compute())
    assert not fault, fault


def test_no_golden_numbers_without_an_entry():
    gone = golden.read().keys() - ENTRIES.keys()
    assert not gone, f"{sorted(gone)} are entries no more: `{golden.COMMAND}`"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A file of golden numbers of one entry."""
    monkeypatch.setattr(golden, "FILE", tmp_path / "golden.json")
    some = {"weighting.equal": ENTRIES["weighting.equal"]}
    monkeypatch.setattr(golden, "entries", lambda: some)
    return some


def test_a_new_entry_a_raised_version_and_moved_numbers_are_named(book):
    version, where, compute = book["weighting.equal"]
    numbers = compute()
    assert golden.fault("weighting.equal", version, where, numbers) == (
        "weighting.equal has no golden numbers: `python tests/golden.py`"
    )
    assert golden.main() == ""
    assert golden.fault("weighting.equal", version, where, numbers) == ""
    nearly = [x * (1 + 1e-5) for x in numbers]
    assert golden.fault("weighting.equal", version, where, nearly) == ""
    assert golden.fault("weighting.equal", version, where, [*numbers[:-1], 1.01 * numbers[-1]]) == (
        "weighting.equal: numbers moved: raise version in mtlstudy/weighting/equal.py, "
        "then `python tests/golden.py`"
    )
    said = golden.fault("weighting.equal", version + 1, where, numbers)
    assert "has version 2 and its golden numbers are of version 1" in said


def test_moved_numbers_are_not_written_under_the_same_version(book):
    golden.main()
    version, where, compute = book["weighting.equal"]
    before = golden.FILE.read_text()
    book["weighting.equal"] = (version, where, lambda: [2 * x for x in compute()])
    assert "raise version in mtlstudy/weighting/equal.py first" in golden.main()
    assert golden.FILE.read_text() == before
    book["weighting.equal"] = (version + 1, where, book["weighting.equal"][2])
    assert golden.main() == "" and golden.FILE.read_text() != before


def test_a_weight_that_is_another_is_seen(monkeypatch):
    """The numbers tell of what a weighting does, though Adam hides the scale of a gradient."""
    before = golden.steps(weighting="nash")
    solve = entry("weighting", "nash").solve

    def slightly(self, gramians):
        solution = solve(self, gramians)
        return replace(solution, weights=1.01 * solution.weights)

    monkeypatch.setattr(entry("weighting", "nash"), "solve", slightly)
    assert golden.moved(golden.steps(weighting="nash"), before)
