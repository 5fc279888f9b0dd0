from __future__ import annotations

import pytest
import torch

from crossmodal.audio.augment import waveform as w
from crossmodal.audio.augment.chain import PRESETS, Chain
from crossmodal.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def music(items: int, samples: int = 4000, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(items, 1, samples, generator=generator(seed))


def full(x: torch.Tensor) -> torch.Tensor:
    return torch.full((len(x),), x.shape[-1])


def chain(*blocks: dict) -> Chain:
    return Chain(blocks, "waveform", sample_rate=16_000)


def test_no_block_no_change():
    x = music(3)
    assert torch.equal(chain()(x, generator(), full(x)), x)
    assert chain().changes == set()


def test_each_item_is_changed_with_the_probability():
    x = music(2000, 4)
    y = chain({"name": "polarity", "p": 0.3})(x, generator(), full(x))
    turned = (y == -x).all(dim=(1, 2))
    assert torch.equal(y[~turned], x[~turned])
    assert float(turned.float().mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.equal(chain({"name": "polarity"})(x, generator(), full(x)), -x)
    assert torch.equal(chain({"name": "polarity", "p": 0})(x, generator(), full(x)), x)


def test_only_the_drawn_items_are_given_to_the_function():
    x = music(8)
    drawn = (torch.rand(8, generator=(state := generator(3))) < 0.5).nonzero().flatten()
    expected = x.clone()
    expected[drawn] = w.gain(x[drawn], state, low_db=-9.0, high_db=-3.0)
    y = chain({"name": "gain", "p": 0.5, "low_db": -9, "high_db": -3})(x, generator(3), full(x))
    assert 0 < len(drawn) < 8
    assert torch.equal(y, expected)


def test_blocks_follow_each_other_in_order():
    x = music(1)
    loud = {"name": "gain", "low_db": 6.0, "high_db": 6.0}
    noise = {"name": "noise", "low_snr_db": 0.0, "high_snr_db": 0.0}
    first, second = (chain(*blocks)(x, generator(), full(x)) for blocks in ((noise, loud), (loud, noise)))
    torch.testing.assert_close(first.std(), second.std(), rtol=0.1, atol=0)
    assert not torch.allclose(first, second)


def test_padding_is_silent_after_every_step_and_not_turned_to_the_front():
    x = music(3, 9000)
    lengths = torch.tensor([5000, 9000, 1])
    x[0, :, 5000:] = x[2, :, 1:] = 0
    blocks = [{"name": "delay"}, {"name": "reverb"}, {"name": "reverse"}, {"name": "noise", "low_snr_db": 0.0}]
    y = chain(*blocks)(x, generator(), lengths)
    assert y[0, :, 5000:].abs().max() == 0
    assert y[2, :, 1:].abs().max() == 0
    assert y[0, :, :5000].abs().min() > 0
    alone = chain(*blocks[2:3])(x[:1, :, :5000], generator(), lengths[:1])
    assert torch.equal(chain(*blocks[2:3])(x, generator(), lengths)[0, :, :5000], alone[0])


def test_features_are_padded_with_the_front_ends_silence_and_mixed_with_the_whole_batch():
    x = torch.full((4, 6, 4), -80.0)
    for item in range(4):
        x[item, :, item] = 0.0
    x[1, 3:] = -80.0
    mixing = Chain([{"name": "mixup", "p": 0.5}], "features", silence=-80.0)
    seen = []
    for seed in range(40):
        y = mixing(x, generator(seed), torch.tensor([6, 3, 6, 6]))
        assert bool((y[1, 3:] == -80).all())
        seen.append(y[:, 0] > -79)
    assert bool(torch.stack(seen).any(0).all())  # any other may be the background, drawn itself or not
    assert 0.35 < float((torch.stack(seen).sum(-1) == 2).float().mean()) < 0.65


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run_are_deterministic_and_leave_the_input_alone(name):
    x = music(6, 3000)
    before, preset = x.clone(), Chain(name, "waveform", sample_rate=22_050)
    once, again, other = (preset(x, generator(seed), full(x)) for seed in (1, 1, 2))
    assert torch.equal(x, before)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.isfinite().all()
    assert once.shape == x.shape
    assert preset.changes == {"pitch", "timbre", "level"}


def test_the_two_presets_are_the_code_and_the_paper():
    code, paper = ({step.name: step for step in Chain(name, "waveform", sample_rate=1).steps} for name in PRESETS)
    assert list(code) == ["polarity", "noise", "gain", "high_low_pass", "delay", "pitch_shift", "reverb"] == list(paper)
    assert [step.p for step in code.values()] == [0.8, 0.01, 0.3, 0.8, 0.3, 0.6, 0.6]
    assert (code["gain"].arguments, paper["gain"].arguments) == (
        {"low_db": -20.0, "high_db": -1.0},
        {"low_db": -6.0, "high_db": 0.0},
    )
    assert paper["pitch_shift"].arguments["high_cents"] == 500
    assert paper["noise"].arguments["low_snr_db"] == 80


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("clmr", r"waveform has no preset 'clmr'; waveform has clmr_code, clmr_paper"),
        ([{"p": 0.5}], r"waveform\[0\]: name is None; valid: crop, polarity"),
        ([{"name": "gain"}, {"name": "_taken"}], r"waveform\[1\]: name is '_taken'; valid: crop"),
        ([{"name": "changes"}], r"name is 'changes'"),
        ([{"name": "mixup"}], r"name is 'mixup'"),
        ([{"name": "gain", "db": 3}], r"waveform\[0\] \(gain\) has no setting 'db'; valid: p .*low_db"),
        ([{"name": "gain", "low_db": "loud"}], r"low_db is 'loud' \(str\), but must be float"),
        ([{"name": "gain", "p": 1.5}], r"p is 1.5 \(float\), but must be float between 0 and 1"),
        ([{"name": "gain", "low_db": 0}], r"\(gain\): low_db is 0, valid is at most high_db, -1"),
        ([{"name": "high_low_pass", "low_lowpass_hz": 5000}], r"low_lowpass_hz is 5000, valid is at most high_lowpass"),
        ([{"name": "delay", "sample_rate": 3}], r"has no setting 'sample_rate'"),
        ([{"name": "pitch_shift", "high_cents": 2400}], r"high_cents is 2400 \(int\), but must be float between"),
    ],
)
def test_mistakes_are_told(blocks, message):
    with pytest.raises(InputError, match=message):
        Chain(blocks, "waveform", sample_rate=16_000)


def test_presets_are_for_waveforms():
    with pytest.raises(InputError, match="features has no preset 'clmr_code'"):
        Chain("clmr_code", "features", silence=-80.0)
