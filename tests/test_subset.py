"""Runs of some of a data set's tasks: the same examples and start, and an identity of their own."""

import pytest
import torch

from mtlstudy import InputError, RunConfig, fit
from mtlstudy.training.build import build, load


def yeast(**fields):
    return RunConfig(**{"data": "yeast", "steps": 20, "evaluations": 2, **fields})


def test_all_tasks_are_the_run_from_before_and_the_order_does_not_matter():
    names = [task.name for task in yeast().tasks]
    assert yeast(only=names).run_id == yeast(only=[]).run_id == yeast().run_id
    two = yeast(only=["class5", "class2"])
    assert two.only == ["class2", "class5"] and two.run_id == yeast(only=two.only).run_id
    assert len({yeast().run_id, two.run_id, yeast(only=["class2"]).run_id}) == 3
    assert [task.name for task in two.tasks] == two.only and two.but(seed=1).only == two.only


def test_the_examples_are_those_of_all_tasks():
    whole, some = load(yeast())[1], load(yeast(only=["class2"]))[1]
    assert torch.equal(whole.train.inputs, some.train.inputs)
    assert list(some.test.targets) == ["class2"]
    assert torch.equal(whole.test.targets["class2"], some.test.targets["class2"])


def test_of_tasks_with_inputs_of_their_own_the_others_are_left_out():
    options = {"train": 50, "multi_input": True}
    c = RunConfig(data="synthetic", only=["task3", "task1"], data_options=options)
    data, splits, model, _ = build(c)
    assert list(splits.train.inputs) == list(splits.train.targets) == ["task1", "task3"]
    assert set(model.heads) == {"task1", "task3"} == {task.name for task in data.tasks}
    direct = c.data_set().load(0)
    assert torch.equal(direct.train.inputs["task3"], splits.train.inputs["task3"])


def test_one_task_by_hard_sharing_is_the_single_task_model():
    run = fit(yeast(only=["class4"]), progress=False)
    alone = fit(yeast(only=["class4"], sharing="single_task"), progress=False)
    assert list(run.record["results"]["test"]) == ["class4"]
    assert run.record["summary"]["parameters"] == alone.record["summary"]["parameters"]


def test_a_task_that_is_not_there_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"only = 'klass1' is unknown; did you mean 'class1'"):
        yeast(only=["klass1"])
    with pytest.raises(InputError, match=r"only = 'class1': allowed: a list"):
        yeast(only="class1")
