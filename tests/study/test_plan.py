"""The one list: every name on it exists, every cell is a run, and what cannot be is refused."""

from fnmatch import fnmatch

import pytest

from mtlstudy import InputError
from mtlstudy.registry import names
from mtlstudy.study import plan


@pytest.mark.parametrize("profile", plan.PROFILES)
def test_every_cell_is_a_configuration_of_its_profile(profile):
    cells = plan.cells(profile)
    assert len({cell.name for cell in cells}) == len(cells) == len(set(cells))
    for cell in cells:
        config, run = cell.config, cell.scale.run
        assert (config.data, config.method) == (cell.data, cell.method)
        assert {name: getattr(config, name) for name in run} == dict(run)


def test_the_lists_name_what_there_is():
    assert set(plan.WEIGHTINGS) <= set(names("weighting"))
    assert {*plan.FAMILIES, *plan.STRUCTURES} == set(names("sharing"))  # every family is compared
    assert plan.BASELINE in {cell.method for cell in plan.cells("quick")}


@pytest.mark.parametrize("name", plan.COMPARISONS)
def test_what_is_declared_is_among_the_methods(name):
    comparison = plan.COMPARISONS[name]
    for side in (side for sides in comparison.declared.values() for side in sides):
        assert any(fnmatch(method, side) for method in comparison.methods), side


def test_a_cell_takes_over_the_values_of_another_of_its_data():
    like = {cell: cell.like for cell in plan.cells("quick") if cell.like}
    assert like
    for cell, other in like.items():
        assert other in plan.cells("quick") and other.data == cell.data


def test_other_data_and_methods_are_selected_by_name_with_the_baseline():
    cells = plan.select("weightings", "quick", "diabetes", "hard+nash, mmoe+equal")
    assert [cell.method for cell in cells] == [plan.BASELINE, "hard+nash", "mmoe+equal"]
    assert {cell.data for cell in cells} == {"diabetes"}


def test_methods_have_a_place_by_sharing_then_weighting_then_name():
    given = ["mmoe+equal", "hard+nash", "single_task+equal", "hard+aligned_mtl", "hard+equal"]
    expected = ["single_task+equal", "hard+equal", "hard+nash", "hard+aligned_mtl", "mmoe+equal"]
    assert sorted(given, key=plan.place) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("weighting", "quick"), "comparison = 'weighting' is unknown; did you mean 'weightings'"),
        (("weightings", "quik"), "profile = 'quik' is unknown; did you mean 'quick'"),
        (("weightings", "quick", "yeest"), "did you mean 'yeast'"),
        (("weightings", "quick", "", "hard+nahs"), "did you mean 'nash'"),
        (("weightings", "quick", "", "hrad+nash"), "did you mean 'hard'"),
        (("weightings", "quick", "", "hard"), "methods = 'hard': allowed: sharing+weighting"),
    ],
)
def test_what_is_not_on_it_is_refused_in_one_line(arguments, message):
    with pytest.raises(InputError) as error:
        plan.select(*arguments)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_profiles_tune_within_their_number_on_seeds_of_their_own():
    for profile in (*plan.PROFILES.values(), *plan.SCALES["full"].values()):
        budget = profile.budget
        assert budget.grid * len(budget.dropouts) * len(budget.schedules) == budget.trials
        assert budget.seeds >= 3 and budget.tuning_seeds >= 1
