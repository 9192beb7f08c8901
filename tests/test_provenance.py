"""The provenance of a record: the fingerprint of its data."""

from dataclasses import replace

from cliptune import provenance
from tiny_tasks import task


def test_the_fingerprint_of_data_depends_on_draws_and_names():
    one, again, other = task(seed=1), task(seed=1), task(seed=2)
    assert provenance.data_fingerprint(one) == provenance.data_fingerprint(again)
    renamed = replace(one, classnames=("a", "b", "c"))
    assert len({provenance.data_fingerprint(t) for t in (one, other, renamed)}) == 3
