"""What every generative learner promises: probabilities add up, and samples follow them."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from metaloop.catalogue.nets import NETS
from metaloop.core.examples import EpisodeBatch, Examples
from metaloop.core.generation import BITS_PER_DIM, GENERATION
from metaloop.core.learner import trained
from metaloop.core.randomness import torch_stream
from metaloop.core.task_map import loop_over_tasks

_DRAWN = 4000


def test_the_probabilities_of_all_images_add_up_to_one(
    tiny_case: Any, every_tiny_image: Tensor
) -> None:
    total = float(tiny_case.log_prob(tiny_case.support(), every_tiny_image).exp().sum())
    if tiny_case.learner.exact:
        assert total == pytest.approx(1.0, abs=1e-4)
    else:  # a lower bound of each
        assert 0.2 < total < 1.05  # of few draws: a little noise


def test_samples_are_as_frequent_as_they_are_likely(
    tiny_case: Any, every_tiny_image: Tensor
) -> None:
    support = tiny_case.support()
    drawn = tiny_case.sample(support, _DRAWN)
    assert drawn.shape == (_DRAWN, 1, 2, 2) and set(drawn.unique().tolist()) <= {0.0, 1.0}
    places = (drawn.flatten(1) @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    shares = torch.bincount(places, minlength=16) / _DRAWN
    likely = tiny_case.log_prob(support, every_tiny_image).exp()
    if tiny_case.learner.exact:
        errors = (likely * (1 - likely) / _DRAWN).sqrt().clamp(min=1 / _DRAWN)
        assert bool(((shares - likely).abs() < 4.5 * errors).all())
    else:
        seen = shares > 0  # on average a bound is below what it bounds
        bound = (shares * likely.log())[seen].sum()
        assert float(bound) < float((shares * shares.log())[seen].sum()) + 0.01


def test_colour_probabilities_add_up_to_one_and_samples_follow_them(colours_case: Any) -> None:
    """Of all 6,561 images of two by two pixels with two channels and three levels."""
    images = torch.cartesian_prod(*[torch.arange(3) / 2] * 8).view(-1, 2, 2, 2)
    support = colours_case.support()
    logs = colours_case.log_prob(support, images)
    drawn = colours_case.sample(support, 1000)
    assert drawn.shape == (1000, 2, 2, 2) and set(drawn.unique().tolist()) <= {0.0, 0.5, 1.0}
    places = ((2 * drawn).flatten(1) @ 3.0 ** torch.arange(7, -1, -1)).round().long()
    assert torch.equal(images[places], drawn)
    told = logs[places].double()  # on average minus the entropy
    likely, logs = logs.double().exp(), logs.double()
    if colours_case.learner.exact:
        assert float(likely.sum()) == pytest.approx(1.0, abs=2e-3)
        error = float(told.std()) / 1000**0.5
        assert float(told.mean()) == pytest.approx(float((likely * logs).sum()), abs=4.5 * error)
    else:  # a lower bound of each
        assert 0.2 < float(likely.sum()) < 1.05


def test_the_order_of_the_support_changes_nothing(case: Any) -> None:
    support = case.support(4)
    turned = support.with_inputs(support.features[[2, 0, 3, 1]])
    images = case.support(5, seed=1).features
    torch.testing.assert_close(
        case.log_prob(support, images), case.log_prob(turned, images), atol=1e-4, rtol=1e-4
    )


def test_padding_of_a_support_is_not_looked_at(case: Any) -> None:
    support, images = case.support(3), case.support(2, seed=1).features
    padded = replace(
        support,
        inputs=torch.cat([support.features, torch.ones_like(support.features[:1])]),
        targets=torch.cat([support.targets, support.targets[:1]]),
        mask=torch.tensor([True, True, True, False]),
        padded=True,
    )
    torch.testing.assert_close(
        case.log_prob(support, images), case.log_prob(padded, images), atol=1e-4, rtol=1e-4
    )


def test_adapt_does_not_change_meta_params(case: Any) -> None:
    before = deepcopy(case.meta_params)
    case.log_prob(case.support(), case.support(2, seed=1).features)
    case.sample(case.support(), 2)
    assert all(torch.equal(case.meta_params[name], before[name]) for name in before)


def test_the_same_seed_draws_the_same_images(case: Any) -> None:
    support = case.support()
    first, again = case.sample(support, 6), case.sample(support, 6)
    assert torch.equal(first, again)
    assert not torch.equal(first, case.sample(support, 6, seed=1))


def test_predict_tells_nats_per_dimension_and_figures_are_in_bits(case: Any) -> None:
    support, images = case.support(), case.support(4, seed=1).features
    nats = case.log_prob(support, images)
    with torch.no_grad():
        state = case.learner.adapt(case.meta_params, support)
        outputs = case.learner.predict(case.meta_params, state, images)
    assert outputs.shape == (4, 1)
    values = math.prod(case.format.shape)
    torch.testing.assert_close(outputs[:, 0], nats / values)
    there = torch.ones(1, 4, dtype=torch.bool)
    assert BITS_PER_DIM.score is not None
    bits = BITS_PER_DIM.score(outputs[None], outputs[None], there)
    assert float(bits) == pytest.approx(-float(nats.mean()) / values / math.log(2), rel=1e-5)


def test_what_a_support_says_of_an_image_is_beside_what_is_known_without_one(
    case: Any,
) -> None:
    support, images = case.support(3), case.support(4, seed=1).features
    learner, phi = case.learner, case.meta_params
    with torch.no_grad():
        told = learner.told_by_support(phi, learner.adapt(phi, support), images)
        before = {
            "set_pixelcnn": lambda: learner.known_of(phi, support.features[:0].unsqueeze(0)),
            "fomaml_pixelcnn": lambda: phi,
        }.get(case.name)
        known = 0.0 if before is None else learner.log_prob(phi, before(), images)
    expected = case.log_prob(support, images) - known
    assert before is None or float(torch.as_tensor(known).abs().max()) > 1e-3
    torch.testing.assert_close(told, expected, atol=1e-4, rtol=1e-4)


def test_a_support_makes_what_is_like_it_likelier(new_case: Any) -> None:
    case = new_case("blurred_mixture", (1, 6, 5), 2)
    support = case.support(1)
    other = 1 - support.features
    near, far = (float(case.log_prob(support, each)) for each in (support.features, other))
    assert near > far + 5


def _trained(
    case: Any, batches: Callable[[int], EpisodeBatch], steps: int
) -> tuple[dict[str, Tensor], list[float]]:
    """Returns meta-parameters after so many steps, and the loss of each."""
    leaves = {name: tensor.clone() for name, tensor in case.meta_params.items()}
    for tensor in trained(leaves).values():
        tensor.requires_grad_()
    optimiser = torch.optim.Adam(list(trained(leaves).values()), lr=3e-3)
    losses = []
    torch.manual_seed(0)  # latent variables are drawn from torch's own stream
    for step in range(steps):
        batch = batches(step)
        found = case.learner.meta_loss(leaves, batch, torch_stream(step), loop_over_tasks)
        losses.append(float(found.loss.detach()))
        optimiser.zero_grad()
        found.loss.backward()
        optimiser.step()
    return {name: tensor.detach() for name, tensor in leaves.items()}, losses


def _stacked(side: Examples) -> Examples:
    return replace(
        side, inputs=side.features[None], targets=side.targets[None], mask=side.mask[None]
    )


@pytest.mark.parametrize("name", ["set_pixelcnn", "pixelcnn", "fomaml_pixelcnn", "set_vae"])
def test_training_on_one_image_makes_it_likelier(name: str, new_case: Any) -> None:
    case = new_case(name, (1, 6, 5), 2)
    image = case.support(1).features
    side = _stacked(case.support(2).with_inputs(image.expand(2, -1, -1, -1)))
    support = case.support(1).with_inputs(image)
    before = float(case.log_prob(support, image))
    case.meta_params, losses = _trained(case, lambda step: EpisodeBatch(side, side), 30)
    assert min(losses) < (0.9 if name == "set_vae" else 0.5) * losses[0]
    assert float(case.log_prob(support, image)) > before


@pytest.mark.parametrize("name", ["set_pixelcnn", "fomaml_pixelcnn", "set_vae"])
def test_a_support_makes_images_of_its_class_likelier_once_nets_are_trained(
    name: str, new_case: Any
) -> None:
    """Classes are dark or light, with noise: what a few images of one tell of the others."""
    case = new_case(name, (1, 4, 4), 2)

    def images(share: float, number: int, seed: int) -> Examples:
        drawn = torch.rand(number, 1, 4, 4, generator=torch_stream(seed, "images", str(share)))
        return case.support(number).with_inputs((drawn < share).float())

    def batch(step: int) -> EpisodeBatch:
        share = 0.1 if step % 2 else 0.9
        return EpisodeBatch(
            _stacked(images(share, 3, 2 * step)), _stacked(images(share, 6, 2 * step + 1))
        )

    case.meta_params, _ = _trained(case, batch, 80)
    for own, other in ((0.1, 0.9), (0.9, 0.1)):
        asked = images(own, 20, -1).features
        near, far = (case.log_prob(images(s, 3, -2), asked).mean() for s in (own, other))
        assert float(near) > float(far) + 1.0


def test_the_constant_answer_is_the_entropy_of_how_often_levels_occur() -> None:
    targets = torch.tensor([[[0.75, 0.25], [0.25, 0.75], [0.0, 0.0]]], dtype=torch.float64)
    there = torch.tensor([[True, True, False]])
    assert GENERATION.primary.constant(targets, there, 0) == pytest.approx(1.0)


def test_images_are_drawn_as_they_are_scored_whatever_the_net_sees(
    new_case: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn with all the noise at its middle, each pixel is what its probability says."""
    case = new_case("set_pixelcnn", (1, 7, 8), 2)
    for far in (0, 2):
        build = NETS["pixelcnn"].constructor
        module = build((1, 7, 8), levels=2, far=far).eval()
        with torch.no_grad():
            for tensor in module.parameters():
                tensor += 0.1 * torch.randn(tensor.shape, generator=torch_stream(far, "net"))
            known = module(case.support().features[None], call="encode")
            with monkeypatch.context() as patched:
                patched.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, 0.5))
                drawn = module(known, 3, torch_stream(1), 1.0, call="draw")
            logits = module(known, drawn[None], call="parameters_of")[0, ..., 0]
        assert torch.equal(drawn[:, 0], (logits > 0).float())


def test_a_lower_temperature_sharpens_what_the_support_says_and_nothing_else() -> None:
    torch.manual_seed(0)
    net = NETS["pixelcnn"].constructor((1, 8, 8), levels=2)
    support = (torch.rand(1, 3, 1, 8, 8) < 0.3).float()

    def drawn(temperature: float) -> Tensor:
        with torch.no_grad():
            known = net(support, call="encode")
            rng = torch_stream(0, "drawn")
            return net(known, 20, rng, temperature, call="draw")  # type: ignore[no-any-return]

    assert not torch.equal(drawn(1.0), drawn(0.2))
    with torch.no_grad():  # the first pixel has no past: what is said of it is the same in all
        blank = torch.zeros(1, 1, 1, 8, 8)
        shown, unshown = (
            net(net(some, call="encode"), blank, call="parameters_of")[0, 0, 0, 0, 0]
            for some in (support, support[:, :0])
        )
    assert (drawn(1e-6)[:, 0, 0, 0] == float(shown > unshown)).all()
    with torch.no_grad():
        for part in (net.map, net.whole, net.taken):  # all that hears of the support
            part.weight.zero_()
        net.map.bias.zero_()
        net.whole.bias.zero_()
    assert torch.equal(drawn(1.0), drawn(0.2))


def test_a_pixel_hangs_on_earlier_ones_alone(new_case: Any) -> None:
    """The log probability of what comes before a pixel is the same whatever that pixel is."""
    case = new_case("set_pixelcnn", (1, 5, 6), 2)
    net, support = case.learner.net, case.support()
    known = net.call(case.meta_params, "encode", support.features[None])
    images = case.support(1, seed=2).features
    for place in (0, 7, 17, 29):
        changed = images.clone().flatten()
        changed[place] = 1 - changed[place]
        said = [
            net.call(case.meta_params, "parameters_of", known, each.view(1, 1, 1, 5, 6)).flatten()
            for each in (images, changed)
        ]
        assert torch.allclose(said[0][: place + 1], said[1][: place + 1], atol=1e-6)
