"""The campaign's parts at a small count, and its record."""

import json
import sys

import pytest
from reliability import PARTS, PROMISES, Outcome, bounds, mutants, record, run

from mtlstudy.study import claims, text


@pytest.mark.parametrize("part", PROMISES)
def test_no_promise_is_broken(part):
    outcome = run(part, PARTS[part].small)
    assert outcome.part == part and outcome.tried > 0
    assert outcome.failed == 0, outcome


def test_who_tries_the_network_is_noted(tmp_path):
    from reliability import offline

    log = tmp_path / "tried"
    command = [sys.executable, "-c", "import urllib.request as u; u.urlopen('http://192.0.2.1')"]
    assert offline.isolated(command, tmp_path, log).returncode == 1
    assert "192.0.2.1" in log.read_text()


def test_a_part_replaces_its_own_record_alone(tmp_path):
    file = tmp_path / "reliability.json"
    record(Outcome(10, 1, {"worst": 0.5}, "a", 1.0), file)
    record(Outcome(5, 0, {}, "b", 1.0), file)
    record(Outcome(20, 0, {"worst": 0.25}, "a", 2.0), file)
    read = json.loads(file.read_text())
    assert list(read) == ["a", "b"] and read["a"]["tried"] == 20 and read["b"]["tried"] == 5
    assert read["a"]["details"] == {"worst": 0.25} and read["a"]["processor"]


def test_every_part_of_the_published_record_has_its_sentence():
    for claim in text.on_reliability():
        assert claim.sentence()
    assert claims.sentences(text.on_reliability())


def test_what_is_listed_as_equivalent_is_a_mutant_with_a_reason():
    tested = {file for files in mutants.GROUPS.values() for file in files}
    assert set(mutants.EQUIVALENT) <= tested
    for file, listed in mutants.EQUIVALENT.items():
        assert set(listed) <= {mutant.name for mutant in mutants.mutants(file)} and all(
            listed.values()
        )


@pytest.mark.slow
def test_a_fault_is_seen_and_the_package_as_it_is_is_not_one():
    file, tests = "study/metrics.py", mutants.GROUPS["metrics"]["study/metrics.py"]
    text = (mutants.ROOT / "mtlstudy" / file).read_text()
    with mutants.bench() as fail:
        for changed, seen in ((text, False), (text.replace("100.0 *", "99.0 *"), True)):
            assert fail(file, changed, tests) == seen


def test_the_oldest_packages_are_those_that_are_just_allowed():
    ranges = (bounds.ROOT / "pyproject.toml").read_text()
    held = [line.partition("==") for line in bounds.oldest() if not line.startswith("torch==")]
    assert len(held) > 30
    for name, _, lowest in held:
        assert f'"{name}>={lowest}' in ranges or f'"{name}=={lowest}' in ranges or not lowest
