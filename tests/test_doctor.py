"""Doctor finds what is broken, says what mends it, and survives it."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from packaging.requirements import Requirement

from crossmodal import doctor
from crossmodal.doctor import PAIR, Finding, render


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Put a package that runs ``code`` when imported before the real one, for every Python that doctor starts."""
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), before]).rstrip(os.pathsep))
    monkeypatch.chdir(tmp_path)
    return lambda package, code: (tmp_path / f"{package}.py").write_text(code)


@pytest.fixture
def quick(stub):
    """A torch that imports at once and can do nothing, so that only what is tested takes time."""
    stub("torch", "__version__ = '2.14.0'\n")


def test_torch_and_torchaudio_of_this_machine_fit():
    assert doctor._pair().state == "ok"


@pytest.mark.slow
def test_faiss_and_torch_of_this_machine_live_in_one_process():
    assert doctor._faiss().state == "ok"


@pytest.mark.slow
def test_the_precision_is_the_one_that_training_chooses():
    precision = pytest.importorskip("crossmodal.precision")
    result, error = doctor._tried(doctor.TORCH)
    assert not error
    assert precision.training_precision("auto") == ("bf16" if result["bf16"] else "fp32")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise OSError('libtorchaudio.so: undefined symbol: _ZN3c10')", "OSError: libtorchaudio.so: undefined symbol"),
        ("raise RuntimeError('compiled against another torch')", "RuntimeError: compiled against another torch"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "died with signal 9"),
    ],
)
def test_a_torchaudio_that_cannot_be_imported(stub, quick, code, said):
    stub("torchaudio", code)
    finding = doctor._pair()
    assert (finding.state, finding.advice) == ("broken", PAIR)
    assert said in finding.text


@pytest.mark.parametrize("code", ["raise ModuleNotFoundError('No module named torch')", "raise OSError('libcudart')"])
def test_without_torch_there_is_one_finding_and_what_mends_it(stub, code):
    stub("torch", code)
    (finding,) = doctor._torch()
    assert (finding.name, finding.state, finding.advice) == ("torch imports", "broken", PAIR)


def test_the_whole_of_doctor_survives_a_broken_torchaudio(stub, quick, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(doctor, "TORCH", """print('{"gpus": [], "bf16": false, "threads": 2}')""")
    monkeypatch.setattr(doctor, "FAISS", """print('{"threads": 2}')""")
    stub("torchaudio", "raise OSError('undefined symbol')")
    lines: list[str] = []
    assert doctor.main(lines.append) == 1
    assert lines[0].splitlines()[-1] == "broken: torch with torchaudio"
    assert PAIR in lines[0]


def test_faiss_that_clashes(stub, quick):
    stub("faiss", "raise SystemExit('OMP: Error #15: Initializing libomp.dylib, but found libomp already initialized')")
    finding = doctor._faiss()
    assert finding.state == "broken"
    assert "conda-forge" in finding.advice


def test_what_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(doctor, "TRY_S", 0.2)
    assert doctor._tried("import time; time.sleep(60)") == ({}, "did not answer within 0.2 s")


class Answers(BaseHTTPRequestHandler):
    """Answers every HEAD with 403: what matters is that it answers."""

    def do_HEAD(self):
        self.send_response(403)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_the_hub_is_reachable_when_it_answers(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        Thread(target=server.handle_request, daemon=True).start()
        assert doctor._hub().state == "ok"


def test_a_hub_that_is_not_reachable_is_a_note(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    finding = doctor._hub()
    assert finding.state == "note"
    assert "refused" in finding.text


def test_offline_is_not_asked(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(doctor, "_unreachable", lambda address: pytest.fail("the hub was asked"))
    assert "HF_HUB_OFFLINE" in doctor._hub().text


def test_versions_are_held_against_the_requirements(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["a>=2", "b", "torch<2.15", 'c; extra == "more"'])
    monkeypatch.setattr(doctor.metadata, "metadata", lambda name: _Metadata())
    monkeypatch.setattr(doctor, "_version", {"a": "1.9", "torch": "2.14.1+cpu"}.get)
    assert list(doctor._packages()) == [
        Finding("a", "broken", "1.9", 'pip install "a>=2"'),
        Finding("b", "broken", "is not installed", 'pip install "b"'),
        Finding("torch", "ok", "2.14.1+cpu"),
        Finding("extra more", "note", "without c", 'pip install "crossmodal[more]"'),
    ]


class _Metadata:
    def get_all(self, key):
        return ["more"]


def test_a_package_that_is_not_installed_is_a_note(monkeypatch):
    def missing(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", missing)
    (finding,) = doctor._packages()
    assert (finding.state, finding.advice) == ("note", "pip install -e .")


def test_the_pair_is_the_one_of_setup_cfg():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[1] / "setup.cfg")
    lines = setup["options"]["install_requires"].split("\n")
    wanted = {Requirement(line) for line in lines if line.startswith("torch")}
    assert {Requirement(word) for word in shlex.split(PAIR)[2:]} == wanted


def test_what_is_printed():
    findings = [Finding("a", "ok", "fine"), Finding("long", "broken", "dead", "mend it")]
    assert render(findings).splitlines() == [
        "ok      a     fine",
        "broken  long  dead",
        "              -> mend it",
        "broken: long",
    ]
    assert render(findings[:1]).endswith("nothing is broken")


def test_importing_doctor_imports_nothing_it_examines():
    code = "import sys, crossmodal.doctor; sys.exit(len({'torch', 'torchaudio', 'faiss'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
