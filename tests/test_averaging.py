from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor, nn

from crossmodal.averaging import Average


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def trained(model: nn.Module, step: int) -> None:
    """Another state of the model: weights and running statistics moved."""
    generator = torch.Generator().manual_seed(step)
    model.train()
    model(torch.randn(6, 3, generator=generator))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def averaged(average: Average, model: nn.Module) -> dict[str, Tensor]:
    with average.applied(model):
        return copied(model)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_equals_a_plain_loop(decay: float) -> None:
    model = network()
    average, expected = Average(model, decay), list[float]()
    for update in range(12):
        trained(model, update)
        average.update(model)
        # the ramp as it is known: the first update copies, then min(decay, (1 + t) / (10 + t)) from t = 0 on
        stays = min(decay, (1 + update - 1) / (10 + update - 1)) if update else 0.0
        flat = torch.cat([model[0].weight.flatten(), model[1].running_var]).tolist()
        expected = [stays * old + (1 - stays) * new for old, new in zip(expected or flat, flat, strict=True)]
    found = averaged(average, model)
    assert torch.cat([found["0.weight"].flatten(), found["1.running_var"]]).tolist() == pytest.approx(
        expected, rel=1e-4
    )


def test_first_update_takes_nothing_of_the_beginning() -> None:
    model = network()
    average = Average(model, 0.999)
    trained(model, 0)
    average.update(model)
    found = averaged(average, model)
    assert all(torch.equal(value, found[name]) for name, value in model.state_dict().items())


def test_before_the_first_update_it_is_the_model() -> None:
    model = network()
    average = Average(model, 0.9)
    trained(model, 0)  # what is fitted to data between building and the first step
    own = copied(model)
    assert all(torch.equal(value, own[name]) for name, value in averaged(average, model).items())


def test_swaps_in_and_back_even_after_an_error() -> None:
    model = network()
    average = Average(model, 0.9)
    for step in range(3):
        trained(model, step)
        average.update(model)
    own = copied(model)

    def within() -> None:
        with average.applied(model):
            assert not torch.equal(model[0].weight, own["0.weight"])
            assert not torch.equal(model[1].running_mean, own["1.running_mean"])
            raise RuntimeError("within")

    with pytest.raises(RuntimeError, match="within"):
        within()
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_integers_and_frozen_weights_stay_the_models_own() -> None:
    model = network()
    model[0].requires_grad_(False)
    average = Average(model, 0.9)
    for step in range(3):
        trained(model, step)
        average.update(model)
    assert not {"0.weight", "0.bias", "1.num_batches_tracked"} & average.state_dict()["values"].keys()
    found = averaged(average, model)
    assert torch.equal(found["0.weight"], model[0].weight)
    assert found["1.num_batches_tracked"] == 3


def test_resumes_to_the_same_bits() -> None:
    model, other = network(), network(seed=1)
    average, resumed = Average(model, 0.9), Average(other, 0.9)
    file = io.BytesIO()
    for step in range(20):
        if step == 10:
            torch.save([model.state_dict(), average.state_dict()], file)
        trained(model, step)
        average.update(model)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    other.load_state_dict(weights)
    resumed.load_state_dict(state)
    for step in range(10, 20):
        trained(other, step)
        resumed.update(other)
    found, expected = averaged(resumed, other), averaged(average, model)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_what_it_gives_for_saving_does_not_move_on() -> None:
    model = network()
    average = Average(model, 0.5)
    average.update(model)
    resumed = Average(model, 0.5)
    resumed.load_state_dict(average.state_dict())
    before = average.values["0.weight"].clone()
    trained(model, 0)
    resumed.update(model)
    assert torch.equal(average.values["0.weight"], before)


def test_state_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the average is of other weights: 1\.bias"):
        Average(network()[:1], 0.9).load_state_dict(Average(network(), 0.9).state_dict())
