import pytest
import torch

from cliptune.analysis.nearest_words import nearest_words

WORDS = ("cat", "dog", "car", "tiny")
TABLE = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 0.1], [0.01, 0.01]])


def words_of(rows):
    return [[near.word for near in row] for row in rows]


def test_distance_and_direction_differ():
    vectors = torch.tensor([[2.0, 0.0], [0.21, 0.2]])
    near = nearest_words(vectors, TABLE, WORDS.__getitem__, count=2)
    assert words_of(near) == [["cat", "car"], ["tiny", "cat"]]
    assert near[0][0].value == pytest.approx(1.0) and near[0][1].value == pytest.approx(1.01**0.5)
    like = nearest_words(vectors, TABLE, WORDS.__getitem__, count=1, measure="cosine")
    assert words_of(like) == [["cat"], ["tiny"]] and like[1][0].value == pytest.approx(1.0, abs=1e-3)


def test_a_words_own_vector_is_at_distance_zero():
    table = torch.randn(500, 64, generator=torch.Generator().manual_seed(0)) * 0.01
    near = nearest_words(table[[3, 77]], table, str, count=1)
    assert [(row[0].word, row[0].value) for row in near] == [("3", 0.0), ("77", 0.0)]


def test_unusable_tokens_are_not_listed():
    near = nearest_words(TABLE[:1], TABLE, WORDS.__getitem__, count=9, usable=[False, True, True, False])
    assert words_of(near) == [["dog", "car"]]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"vectors must be \(m, 2\)"):
        nearest_words(torch.zeros(shape), TABLE, WORDS.__getitem__)
