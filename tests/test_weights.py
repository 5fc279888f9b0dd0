"""Files of weights in the layouts of their authors, by names and shapes as their public code makes them.

CLMR: modules/sample_cnn_59049.py and modules/simclr.py (v1), clmr/models/sample_cnn.py and
clmr/modules/contrastive_learning.py (v2). Deezer: ssl_framework/models and selfsupervised_models.py. Won's taggers:
training/model.py and training/modules.py. No network of ours has a part in making them.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import pickle
import socket
import sys
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from crossmodal import registry
from crossmodal.config import Weights
from crossmodal.errors import InputError
from crossmodal.weights import Report, freeze, keep_frozen, load

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


def drawn(shapes: Shapes, seed: int = 0) -> State:
    """Random weights of given shapes; variances are positive."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        value = 0.1 * torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            value = torch.tensor(7)
        state[name] = value.abs() + 0.5 if name.endswith("running_var") else value
    return state


def linear(name: str, outputs: int, *inputs: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (outputs, *inputs), **({f"{name}.bias": (outputs,)} if bias else {})}


def norm(name: str, channels: int) -> Shapes:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{kind}": (channels,) for kind in kinds}, f"{name}.num_batches_tracked": ()}


CLMR_WIDTHS = [1, 128, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512]


def clmr(layer: str, first: int) -> Shapes:
    """SampleCNN's eleven layers, by what they are called and the number of the first."""
    shapes: Shapes = {}
    for number, (inputs, outputs) in enumerate(itertools.pairwise(CLMR_WIDTHS), first):
        name = f"{layer}{number}"
        shapes |= linear(f"{name}.0", outputs, inputs, 3) | norm(f"{name}.1", outputs)
    return shapes


PROJECTOR = {"projector.0.weight": (512, 512), "projector.2.weight": (64, 512)}


def deezer() -> Shapes:
    """The backbone: the front end's buffers and CLIP's ResNet of width 16 on one channel."""
    shapes: Shapes = {"spec.spec.spectrogram.window": (1024,), "spec.spec.mel_scale.fb": (513, 128)}
    stem = [(1, 8), (8, 8), (8, 16)]
    for number, (inputs, outputs) in enumerate(stem, 1):
        shapes |= linear(f"embedding.conv{number}", outputs, inputs, 3, 3, bias=False)
        shapes |= norm(f"embedding.bn{number}", outputs)
    inputs = 16
    for stage, (blocks, planes) in enumerate([(3, 16), (4, 32), (6, 64), (3, 128)], 1):
        for block in range(blocks):
            shapes |= bottleneck(f"embedding.layer{stage}.{block}", inputs, planes, first=block == 0)
            inputs = 4 * planes
    shapes["embedding.attnpool.positional_embedding"] = (13, 512)
    for part, outputs in (("k", 512), ("q", 512), ("v", 512), ("c", 1024)):
        shapes |= linear(f"embedding.attnpool.{part}_proj", outputs, 512)
    return shapes


def bottleneck(name: str, inputs: int, planes: int, first: bool) -> Shapes:
    shapes: Shapes = {}
    for number, (size, outputs) in enumerate([(1, planes), (3, planes), (1, 4 * planes)], 1):
        given = inputs if number == 1 else planes
        shapes |= linear(f"{name}.conv{number}", outputs, given, size, size, bias=False)
        shapes |= norm(f"{name}.bn{number}", outputs)
    if first:
        shapes |= linear(f"{name}.downsample.0", 4 * planes, inputs, 1, 1, bias=False)
        shapes |= norm(f"{name}.downsample.1", 4 * planes)
    return shapes


def won(bands: int) -> Shapes:
    """What Won's taggers of spectrograms begin with."""
    return {"spec.spectrogram.window": (512,), "spec.mel_scale.fb": (257, bands), **norm("spec_bn", 1)}


def musicnn() -> Shapes:
    shapes = won(96)
    kernels = [(204, 1, 67, 7), (204, 1, 38, 7), (51, 1, 129), (51, 1, 65), (51, 1, 33)]
    for number, (outputs, *rest) in enumerate(kernels):
        shapes |= linear(f"layers.{number}.conv", outputs, *rest) | norm(f"layers.{number}.bn", outputs)
    for number, inputs in enumerate([561, 64, 64], 1):
        shapes |= linear(f"layer{number}.conv", 64, inputs, 7) | norm(f"layer{number}.bn", 64)
    return shapes | linear("dense1", 200, 2 * (561 + 3 * 64)) | norm("bn", 200) | linear("dense2", 50, 200)


def short_chunk_res(channels: int) -> Shapes:
    shapes = won(128)
    widths = [1, *[channels] * 2, *[2 * channels] * 4, 4 * channels]
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths), 1):
        for part, given in ((1, inputs), (2, outputs), (3, inputs)):
            shapes |= linear(f"layer{number}.conv_{part}", outputs, given, 3, 3)
            shapes |= norm(f"layer{number}.bn_{part}", outputs)
    dim = 4 * channels
    return shapes | linear("dense1", dim, dim) | norm("bn", dim) | linear("dense2", 50, dim)


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def encoder(name: str, **settings: Any) -> Any:
    return registry.build("encoders.audio", name, **settings).eval()


def used(report: Report, state: State, prefix: str = "") -> set[str]:
    """The file's names under the prefix that were not ignored."""
    return {name for name in state if name.startswith(prefix)} - set(report.ignored)


def save(path: Path, content: object) -> Weights:
    torch.save(content, path)
    return Weights(path=str(path))


def sample_cnn_by_hand(state: State, layers: list[str], samples: Tensor) -> Tensor:
    """CLMR's network on one window, from the file's own names."""
    x = samples
    for number, name in enumerate(layers):
        weight, bias = state[f"{name}.0.weight"], state[f"{name}.0.bias"]
        x = F.conv1d(x, weight, bias, stride=1 if number else 3, padding=1 if number else 0)
        running = state[f"{name}.1.running_mean"], state[f"{name}.1.running_var"]
        x = F.relu(F.batch_norm(x, *running, state[f"{name}.1.weight"], state[f"{name}.1.bias"]))
        x = F.max_pool1d(x, 3) if 0 < number < 10 else x
    return x.flatten(1)


@pytest.mark.parametrize("layer", ["conv", "sequential."])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_clmr_v1_is_a_raw_state_dict(tmp_path: Path, layer: str, legacy: bool) -> None:
    first = 1 if layer == "conv" else 0
    state = drawn(clmr(layer, first))
    file = OrderedDict(under("encoder.", state) | drawn(PROJECTOR))
    torch.save(file, tmp_path / "clmr_checkpoint_1550.pt", _use_new_zipfile_serialization=not legacy)
    made = encoder("sample_cnn")
    report = load(made, Weights(path=str(tmp_path / "clmr_checkpoint_1550.pt")))
    assert (report.prefix, report.whole, report.ignored) == ("encoder.", True, tuple(PROJECTOR))
    samples = torch.randn(1, 59_049, 1, generator=torch.Generator().manual_seed(1))
    expected = sample_cnn_by_hand(state, [f"{layer}{first + n}" for n in range(11)], samples.transpose(1, 2))
    torch.testing.assert_close(made(samples), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, type]]:
    """Classes by the names that Lightning's have, there while a file is written and gone when it is read."""
    names = {"ModelCheckpoint": "callbacks.model_checkpoint", "AttributeDict": "utilities.parsing"}
    made: dict[str, type] = {}
    for name, place in names.items():
        module = ModuleType(f"pytorch_lightning.{place}")
        bases = (dict,) if name == "AttributeDict" else ()
        made[name] = type(name, bases, {"__module__": module.__name__})
        setattr(module, name, made[name])
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", ModuleType("pytorch_lightning"))
    yield made
    assert not any(name.startswith("pytorch_lightning") for name in sys.modules)


def lightning_file(classes: dict[str, type], state: State) -> dict[str, Any]:
    given = argparse.Namespace(dataset="magnatagatune", gpus=1, root=Path("data"))
    return {
        "epoch": 10_000,
        "global_step": 1,
        "pytorch-lightning_version": "1.3.0",
        "state_dict": OrderedDict(state),
        "callbacks": {classes["ModelCheckpoint"]: {"best_model_score": np.float64(0.5), "dirpath": Path("runs")}},
        "optimizer_states": [{"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 3e-4}]}],
        "lr_schedulers": [],
        "hparams_name": "args",
        "hyper_parameters": classes["AttributeDict"](batch_size=48, given=given),
    }


def test_clmr_v2_is_a_lightning_checkpoint(
    tmp_path: Path, lightning: dict[str, type], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = drawn(clmr("sequential.", 0))
    # the encoder is there twice, as the module's own and as the one of its SimCLR
    both = under("encoder.", drawn(clmr("sequential.", 0), seed=9)) | under("model.encoder.", state)
    plan = save(tmp_path / "clmr.ckpt", lightning_file(lightning, both | under("model.", drawn(PROJECTOR))))
    monkeypatch.undo()
    made = encoder("sample_cnn")
    report = load(made, plan)
    assert (report.prefix, len(report.loaded)) == ("model.encoder.", len(state))
    assert all(torch.equal(value, state[name]) for name, value in made.state_dict().items())


def test_checkpoints_of_old_torch_may_hold_hyper_parameters(tmp_path: Path) -> None:
    file = {"state_dict": under("encoder.", drawn(TOY)), "hparams": argparse.Namespace(batch_size=48)}
    torch.save(file, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    assert load(Toy(), Weights(path=str(tmp_path / "old.ckpt"))).whole


def test_clmr_v2_is_released_as_a_zip(tmp_path: Path) -> None:
    state = drawn(clmr("sequential.", 0))
    torch.save({"state_dict": under("encoder.", state)}, tmp_path / "clmr_epoch=10000.ckpt")
    with zipfile.ZipFile(tmp_path / "clmr.zip", "w") as archive:
        archive.write(tmp_path / "clmr_epoch=10000.ckpt", "release/clmr_epoch=10000.ckpt")
        archive.writestr("__MACOSX/release/._clmr_epoch=10000.ckpt", b"")
        archive.writestr("release/README.md", "what it is")
    assert load(encoder("sample_cnn"), Weights(path=str(tmp_path / "clmr.zip"))).whole
    with zipfile.ZipFile(tmp_path / "clmr.zip", "a") as archive:
        archive.write(tmp_path / "clmr_epoch=10000.ckpt", "another.ckpt")
    with pytest.raises(InputError, match=r"clmr\.zip holds 2 files of weights, not one"):
        load(encoder("sample_cnn"), Weights(path=str(tmp_path / "clmr.zip")))


@pytest.fixture(scope="module")
def backbone() -> State:
    return drawn(deezer())


@pytest.mark.parametrize("name", ["byol", "clustering", "contrastive", "barlow_twins", "feature_stats"])
def test_deezers_five(tmp_path: Path, backbone: State, name: str) -> None:
    state, heads = backbone, {"head.ops.0.weight": (1024, 16), **norm("head.ops.1", 1024)}
    if name in ("byol", "clustering"):
        file = under("student.module.backbone.", state) | under("student.module.", drawn(heads))
        file |= under("teacher.backbone.", {key: value[:0] for key, value in state.items() if value.ndim}) | under(
            "teacher.", drawn(heads)
        )
    else:
        file = under("module.backbone.", state) | under("module.", drawn(heads))
    made = encoder("clip_resnet")
    report = load(made, save(tmp_path / f"{name}.pt", {"model": file, "epoch": 7}))
    prefix = "student.module.backbone." if name in ("byol", "clustering") else "module.backbone."
    network = {name.removeprefix("embedding."): value for name, value in state.items() if "embedding." in name}
    assert (report.whole, report.prefix) == (True, prefix)
    assert used(report, file) == {f"{prefix}embedding.{name}" for name in network}
    own = made.state_dict()
    assert all(torch.equal(own[name], value) for name, value in network.items())
    assert sum(value.numel() for name, value in network.items() if is_parameter(name)) == 2_800_392


def is_parameter(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


@pytest.mark.parametrize(
    ("name", "settings", "shapes"),
    [("musicnn", {}, musicnn()), ("short_chunk_cnn_res", {"channels": 8}, short_chunk_res(8))],
    ids=["musicnn", "short_chunk_cnn_res"],
)
def test_taggers_of_won(tmp_path: Path, name: str, settings: dict[str, Any], shapes: Shapes) -> None:
    state = drawn(shapes)
    made = encoder(name, **settings)
    report = load(made, save(tmp_path / "best_model.pth", state))
    assert (report.whole, report.prefix) == (True, "")
    assert set(report.ignored) == {n for n in state if n.startswith(("spec.", "dense2."))}
    own = made.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in used(report, state))


class Toy(nn.Module):
    """An encoder with a convolution and a norm; its authors call the convolution ``stem``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv = nn.Conv1d(2, 3, 3)
        self.bn = nn.BatchNorm1d(3)

    @staticmethod
    def foreign(state: State) -> State:
        return {name.replace("stem.", "conv."): value for name, value in state.items() if not name.startswith("fc.")}


TOY = {**linear("stem", 3, 2, 3), **norm("bn", 3)}


def untouched(made: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(made.state_dict().values(), Toy().state_dict().values(), strict=True))


@pytest.mark.parametrize("prefix", ["backbone.", "encoder.", "module.", "model.", "model.encoder.", ""])
@pytest.mark.parametrize("holder", ["state_dict", "model", "model_state_dict", None])
def test_prefixes_and_holders_are_found(tmp_path: Path, prefix: str, holder: str | None) -> None:
    state = under(prefix, drawn({**TOY, "fc.weight": (50, 3)})) | {"fc.bias": torch.zeros(50)}
    made = Toy()
    report = load(made, save(tmp_path / "toy.pt", {holder: state, "epoch": 3} if holder else state))
    assert torch.equal(made.conv.weight, state[f"{prefix}stem.weight"])
    assert (report.prefix, len(report.loaded)) == (prefix, len(TOY))
    assert set(report.ignored) == {f"{prefix}fc.weight", "fc.bias"}


@pytest.mark.parametrize("keys", ["ema.net", "ema.net.", "net"])
def test_keys_say_which_of_several_it_is(tmp_path: Path, keys: str) -> None:
    states = {"ema.net.": drawn(TOY, seed=1), "net.": drawn(TOY, seed=2)}
    file = save(
        tmp_path / "toy.pt", {name: v for prefix, state in states.items() for name, v in under(prefix, state).items()}
    )
    made = Toy()
    report = load(made, Weights(path=file.path, keys=keys))
    chosen = f"{keys.removesuffix('.')}."
    assert report.prefix == chosen
    assert torch.equal(made.conv.weight, states[chosen]["stem.weight"])
    with pytest.raises(
        InputError, match=r"toy\.pt holds no weight of Toy: it has ema\.net\.stem\.weight, .* weights\.keys"
    ):
        load(made, Weights(path=file.path, keys="momentum"))


def test_our_own_models_serve_too(tmp_path: Path) -> None:
    other = Toy()
    nn.init.constant_(other.conv.weight, 0.25)
    state = {**under("audio_encoder.", other.state_dict()), "text_encoder.weight": torch.zeros(3)}
    save_file(state, tmp_path / "model.safetensors")
    made = Toy()
    report = load(made, Weights(path=str(tmp_path / "model.safetensors")))
    assert torch.equal(made.conv.weight, other.conv.weight)
    assert report.sha256 == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert str(report) == (
        f"7 of 7 weights found in {tmp_path}/model.safetensors (sha256 {report.sha256[:16]}), prefix 'audio_encoder.';"
        " 1 ignored: text_encoder.weight"
    )


def test_half_precision_becomes_the_encoders_own(tmp_path: Path) -> None:
    state = {name: value.bfloat16() if value.is_floating_point() else value for name, value in drawn(TOY).items()}
    made = Toy()
    load(made, save(tmp_path / "toy.pt", state))
    assert made.conv.weight.dtype == torch.float32
    assert torch.equal(made.conv.weight, state["stem.weight"].float())


def without(name: str) -> State:
    return {key: value for key, value in drawn(TOY).items() if key != name}


@pytest.mark.parametrize(
    ("state", "message", "loaded"),
    [
        (without("bn.weight"), r"6 of 7 weights found in .*; 1 missing: bn\.weight$", 6),
        (drawn(TOY) | {"layer9.weight": torch.zeros(1)}, r"7 of 7 .*; 1 unexpected: layer9\.weight$", 7),
        (
            drawn(TOY) | {"stem.bias": torch.zeros(4)},
            r"6 of 7 .*; 1 of another shape: conv\.bias is \(4,\), not \(3,\)$",
            6,
        ),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_strict_refuses_what_does_not_fit_whole(tmp_path: Path, state: State, message: str, loaded: int) -> None:
    made, plan = Toy(), save(tmp_path / "toy.pt", state)
    with pytest.raises(InputError, match=r"Toy was not changed, as weights\.strict asks: " + message):
        load(made, plan)
    assert untouched(made)
    report = load(made, Weights(path=plan.path, strict=False))
    assert len(report.loaded) == loaded
    assert not report.whole
    assert torch.equal(made.conv.weight, state["stem.weight"])


def test_nothing_that_fits_is_an_error_even_if_not_strict(tmp_path: Path) -> None:
    plan = save(tmp_path / "toy.pt", {"gru.weight": torch.zeros(3)})
    with pytest.raises(InputError, match=r"no weight of Toy: it has gru\.weight, the encoder conv\.weight, conv\.bias"):
        load(Toy(), Weights(path=plan.path, strict=False))


def test_old_norms_that_count_no_batches_are_whole(tmp_path: Path) -> None:
    assert load(Toy(), save(tmp_path / "toy.pt", without("bn.num_batches_tracked"))).whole


class Malicious:
    """What runs a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("function", [os.system, eval, os.mkdir], ids=lambda function: function.__name__)
def test_code_is_refused_and_not_run(tmp_path: Path, function: Callable[..., Any], legacy: bool) -> None:
    marker = tmp_path / "marker"
    call = {"system": f"mkdir {marker}", "eval": f"__import__('os').mkdir({str(marker)!r})"}
    file = {"state_dict": drawn(TOY), "hyper_parameters": Malicious(function, call.get(function.__name__, str(marker)))}
    torch.save(file, tmp_path / "bad.pt", _use_new_zipfile_serialization=not legacy)
    made = Toy()
    with pytest.raises(InputError, match=rf"bad\.pt holds more than weights, [\w.]*{function.__name__}, and"):
        load(made, Weights(path=str(tmp_path / "bad.pt")))
    assert untouched(made)
    assert not marker.exists()


def test_what_is_stood_in_for_is_not_run_either(tmp_path: Path) -> None:
    target = tmp_path / "written.npy"
    plan = save(tmp_path / "odd.pt", {"state_dict": drawn(TOY), "odd": Malicious(np.save, str(target), 3)})
    assert load(Toy(), plan).whole
    assert not target.exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    plan = save(tmp_path / "module.pt", nn.Conv1d(2, 3, 3))
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.conv\.Conv1d, .*save its state_dict\(\) alone"):
        load(Toy(), plan)


def test_plain_pickles_text_and_truncated_files_are_refused(tmp_path: Path) -> None:
    torch.save(drawn(TOY), tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    contents = {
        "pickle.pkl": pickle.dumps({"a": 1}),
        "page.pt": b"<html>",
        "empty.pt": b"",
        "cut.pt": whole[: len(whole) // 2],
    }
    contents |= {"cut.safetensors": whole[:9], "cut.zip": whole[:30], "cut.npz": whole[:30]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            InputError,
            match=rf"{name} (is no file of weights|holds no weights by name)",
        ):
            load(Toy(), Weights(path=str(tmp_path / name)))


def test_arrays_serve_if_they_hold_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", **{name: value.numpy() for name, value in drawn(TOY).items()})
    assert load(Toy(), Weights(path=str(tmp_path / "toy.npz"))).whole
    np.savez(tmp_path / "objects.npz", stem=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"objects\.npz is no file of weights, or a broken one: Object arrays"):
        load(Toy(), Weights(path=str(tmp_path / "objects.npz")))


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {"a": 1}}, torch.zeros(3)])
def test_files_without_named_tensors_are_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match=r"odd\.pt holds no weights by name, neither at its top nor under state_dict"):
        load(Toy(), save(tmp_path / "odd.pt", content))


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"weights\.path is not set"):
        load(Toy(), Weights())
    with pytest.raises(InputError, match=r"weights\.path: .*none\.pt cannot be read: No such file"):
        load(Toy(), Weights(path=str(tmp_path / "none.pt")))


class Served(NamedTuple):
    """A server on this machine: its address, the content of its paths, and the paths that were asked for."""

    address: str
    content: dict[str, bytes]
    asked: list[str]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    found = Served("", {}, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            content = found.content.get(self.path.partition("?")[0])
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content[:100] if content and "cut" in self.path else content or b"")

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield found._replace(address=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_an_address_is_downloaded_once(tmp_path: Path, served: Served) -> None:
    torch.save(drawn(TOY), tmp_path / "toy.pt")
    served.content["/v1/toy.pt"] = (tmp_path / "toy.pt").read_bytes()
    plan = Weights(path=f"{served.address}/v1/toy.pt?download=1")
    first, made = load(Toy(), plan), Toy()
    again = load(made, plan)
    assert served.asked == ["/v1/toy.pt?download=1"]
    assert first == again
    assert first.sha256 == hashlib.sha256(served.content["/v1/toy.pt"]).hexdigest()
    assert torch.equal(made.conv.weight, drawn(TOY)["stem.weight"])
    (kept,) = (tmp_path / "cache" / "hub" / "crossmodal").iterdir()
    assert kept.name.endswith("-toy.pt")
    served.content["/v2/toy.pt"] = b"another file of that name"
    with pytest.raises(InputError, match=r"v2/toy\.pt is no file of weights"):
        load(Toy(), Weights(path=f"{served.address}/v2/toy.pt"))


@pytest.mark.parametrize(
    ("name", "message"), [("none.pt", "Not Found"), ("cut.pt", "it ended after 100 of 1,000 bytes")]
)
def test_failed_downloads_leave_nothing(tmp_path: Path, served: Served, name: str, message: str) -> None:
    served.content["/cut.pt"] = bytes(1000)
    with pytest.raises(InputError, match=rf"{name} cannot be downloaded: {message}; without a network, give .* a file"):
        load(Toy(), Weights(path=f"{served.address}/{name}"))
    assert list((tmp_path / "cache" / "hub" / "crossmodal").iterdir()) == []


def test_without_a_network(served: Served, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/toy.pt"
        with pytest.raises(InputError, match=r"toy\.pt cannot be downloaded: .*refused; without a network"):
            load(Toy(), Weights(path=address))


def test_freeze_by_patterns() -> None:
    made = nn.ModuleDict({"audio": Toy(), "head": nn.Linear(3, 2)})
    assert freeze(made, ["audio.bn.*", "head.bias"]) == ["audio.bn.weight", "audio.bn.bias", "head.bias"]
    assert [name for name, p in made.named_parameters() if p.requires_grad] == [
        "audio.conv.weight",
        "audio.conv.bias",
        "head.weight",
    ]
    with pytest.raises(
        InputError, match=r"weights\.freeze: 'audio_encoder\.\*' matches no weight; there are audio\.conv"
    ):
        freeze(made, ["audio_encoder.*"])


def test_frozen_norms_without_weights_stay_what_they_are() -> None:
    made = nn.ModuleDict(
        {
            "frozen": nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, affine=False)),
            "partly": nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, affine=False), nn.Linear(3, 3)),
        }
    )
    freeze(made, ["frozen.*", "partly.0.*"])
    made.train()
    keep_frozen(made)
    assert [part[1].training for part in made.values()] == [False, True]


def test_frozen_norms_stay_what_they_are() -> None:
    made = nn.ModuleDict({"frozen": Toy(), "trained": Toy(), "plain": nn.BatchNorm1d(3, affine=False)})
    freeze(made, ["frozen.*"])
    before = made["frozen"].bn.running_mean.clone()
    made.train()
    keep_frozen(made)
    for part in ("frozen", "trained"):
        made[part].bn(made[part].conv(torch.ones(2, 2, 9)))
    assert torch.equal(made["frozen"].bn.running_mean, before)
    assert not torch.equal(made["trained"].bn.running_mean, before)
    assert made["plain"].training
    assert made["frozen"].conv.training
