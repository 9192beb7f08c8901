"""The key-value cache: the equation's sums, a gradient by hand, class names, a search, states of any length."""

import pytest
import torch
import torch.nn.functional as F

from cliptune.adapters.key_value_cache import KeyValueCache
from tiny_clips import normal

NAMES = ("cat", "dog", "pig")
LABELS = torch.tensor([2, 0, 0, 2, 2, 1, 0])
ALPHA, BETA = 1.3, 4.0


def units(n: int, seed: int):
    return F.normalize(normal(n, 5, seed=seed), dim=-1)


def filled(learned: bool = False) -> KeyValueCache:
    cache = KeyValueCache(NAMES, 5, ALPHA, BETA, learned)
    cache.fill(units(7, seed=1), LABELS)
    return cache


def expected(image, clip, keys, names):
    """`clip + alpha * sum_i exp(-beta (1 - f . k_i)) [class of i is that of the column]`, a term at a time."""
    logits = clip.clone()
    for b in range(len(image)):
        for c, name in enumerate(names):
            for i in range(len(keys)):
                if NAMES[LABELS[i]] == name:
                    logits[b, c] += ALPHA * torch.exp(-BETA * (1 - image[b] @ keys[i]))
    return logits


@pytest.mark.parametrize("names", [NAMES, ("pig", "cat", "dog"), ("owl", "pig"), ("owl", "bat"), (*NAMES, "owl")])
def test_nearby_keys_are_added_to_their_class(names):
    cache, image, clip = filled(), units(4, seed=2), normal(4, len(names), seed=3)
    got = cache().head(image, clip, classnames=names)
    torch.testing.assert_close(got, expected(image, clip, cache.keys, names))
    assert torch.equal(got[:, [i for i, n in enumerate(names) if n not in NAMES]], clip[:, [
        i for i, n in enumerate(names) if n not in NAMES
    ]]), "what it does not know keeps CLIP's logit"  # fmt: skip


def test_classes_with_equal_names_stay_separate():
    cache = KeyValueCache(("crane", "crane"), 5, ALPHA, BETA, False)
    cache.fill(units(2, seed=1), torch.tensor([0, 1]))
    got = cache().head(units(3, seed=2), torch.zeros(3, 2), classnames=("crane", "crane"))
    assert (got[:, 0] != got[:, 1]).all()


def test_the_gradient_of_the_keys():
    cache, image, clip, labels = (
        filled(learned=True),
        units(4, seed=2),
        normal(4, 3, seed=3),
        torch.tensor([0, 2, 1, 1]),
    )
    logits = cache().head(image, clip, classnames=NAMES)
    F.cross_entropy(logits, labels).backward()
    pull = (logits.softmax(-1) - F.one_hot(labels, 3)) / len(labels)
    by_hand = torch.zeros(7, 5)
    for i in range(7):
        for b in range(4):
            near = torch.exp(-BETA * (1 - image[b] @ cache.keys[i]))
            by_hand[i] += pull[b, LABELS[i]] * ALPHA * BETA * near.detach() * image[b]
    assert cache.keys.grad is not None
    torch.testing.assert_close(cache.keys.grad, by_hand.detach())


def test_an_empty_cache_changes_nothing():
    clip = normal(4, 3, seed=3)
    assert torch.equal(
        KeyValueCache(NAMES, 5, ALPHA, BETA, True)().head(units(4, seed=2), clip, classnames=NAMES), clip
    )


def test_the_first_of_equal_best_values_is_chosen():
    cache, image, clip = filled(), units(40, seed=4), 3 * normal(40, 3, seed=5)
    labels = torch.randint(3, (40,), generator=torch.Generator().manual_seed(0))
    alphas, betas, best = (0.1, 1.0, 2.0, 30.0), (0.5, 3.0, 9.0), (-1, 0.0, 0.0)
    for beta in betas:
        for alpha in alphas:
            near = [[torch.exp(-beta * (1 - f @ k)) for k in cache.keys] for f in image]
            added = [[sum(row[i] for i in range(7) if LABELS[i] == c) for c in range(3)] for row in near]
            right = sum(
                int(torch.stack([clip[b, c] + alpha * added[b][c] for c in range(3)]).argmax() == labels[b])
                for b in range(40)
            )
            best = max(best, (right, alpha, beta), key=lambda found: found[0])
    cache.search(image, clip, labels, alphas, betas)
    assert (cache.alpha.item(), cache.beta.item()) == pytest.approx(best[1:])
    assert best[1:] != (alphas[0], betas[0])
    cache.search(image, 1e9 * F.one_hot(labels, 3), labels, alphas[1:], betas[1:])
    assert (cache.alpha.item(), cache.beta.item()) == (1.0, 3.0), "of equals the first"


def test_states_of_any_length_are_loaded():
    one, other = filled(), KeyValueCache(NAMES, 5, 1.0, 1.0, True)
    keys = other.keys
    other.load_state_dict(one.state_dict())
    assert other.keys is keys and other.keys.requires_grad, "an optimiser may hold it"
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    with pytest.raises(RuntimeError, match="size mismatch for keys"):
        KeyValueCache(NAMES, 6, 1.0, 1.0, True).load_state_dict(one.state_dict())
    with pytest.raises(RuntimeError, match="Missing key.*labels"):
        other.load_state_dict({"keys": one.keys, "alpha": one.alpha, "beta": one.beta})
