"""Tasks that a worker reuses for consecutive runs."""

from dataclasses import replace

import pytest

from cliptune import methods, tasks
from cliptune.config import RunConfig
from cliptune.errors import UserError
from cliptune.runners.worker import Worker

SMALL = "emoji:test_per_class=1"


def run_of(method, **options):
    return RunConfig(methods.build(method), data=SMALL, shots=1, protocol="base_to_novel", **options)


def test_methods_that_need_the_same_images_share_a_task():
    worker = Worker()
    assert worker.task_of(run_of("coop")) is worker.task_of(run_of("maple+dapt"))


def test_a_method_with_a_pool_gets_its_own_task():
    worker = Worker()
    shots, pool = worker.task_of(run_of("coop")), worker.task_of(run_of("promptkd"))
    assert (shots.pool, pool.pool, pool.transductive) == (False, True, True) and len(pool.train) > len(shots.train)
    assert not worker.task_of(run_of("coop")).pool
    released = run_of("promptkd")
    released = replace(released, method=replace(released.method, compat="release"))
    assert worker.task_of(released).chosen_on == "base" and not pool.chosen_on


def test_a_method_that_uses_validation_images_gets_its_own_task():
    worker = Worker()
    search = run_of("tip_adapter")
    search = replace(search, method=replace(search.method, search=True))
    assert worker.task_of(run_of("coop")) is not worker.task_of(search)


def test_a_task_without_a_pool_is_refused():
    with pytest.raises(UserError, match="promptkd trains on a pool .* this task has none"):
        tasks.validate_images(run_of("promptkd"), tasks.build_task(run_of("coop")))
