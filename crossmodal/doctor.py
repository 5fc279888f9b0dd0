"""Is this machine fit? Versions, processor, GPU, and whether the compiled packages get on with each other.

What may crash is tried in a Python of its own, so that a broken torch, torchaudio or FAISS is reported, not suffered.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

# torchaudio's last release is 2.11; later versions of torch than these do not import with it
PAIR = 'pip install "torch>=2.11,<2.15" "torchaudio>=2.11,<2.12"'
HUB = "https://huggingface.co"
TRY_S = 120.0  # seconds an import may take on a cold disk

TORCH = """
import json, torch
cuda = torch.cuda.is_available()
native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
bf16 = torch.cuda.is_bf16_supported() if cuda else native
gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps({
    "version": torch.__version__, "threads": torch.get_num_threads(), "bf16": bool(bf16),
    "gpus": [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in gpus],
}))
"""
TORCHAUDIO = """
import json, torch, torchaudio
torchaudio.transforms.MelSpectrogram(16000)(torch.zeros(16000))
print(json.dumps({"torch": torch.__version__, "torchaudio": torchaudio.__version__}))
"""
FAISS = """
import json, faiss, numpy, torch
vectors = torch.rand(4096, 64) @ torch.rand(64, 64)
index = faiss.IndexFlatIP(64)
index.add(vectors.numpy())
index.search(vectors.numpy()[:256], 10)
torch.rand(512, 512) @ torch.rand(512, 512)
print(json.dumps({"faiss": faiss.__version__, "threads": faiss.omp_get_max_threads()}))
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``broken`` keeps the package from working, ``note`` does not.

    Attributes:
        name: what was looked at.
        state: how it is.
        text: what was found.
        advice: what mends it, if anything must be mended.
    """

    name: str
    state: Literal["ok", "note", "broken"]
    text: str
    advice: str = ""


def main(echo: Callable[[str], object]) -> int:
    """Print the findings; returns the exit code, 1 if something is broken and 0 otherwise."""
    findings = diagnose()
    echo(render(findings))
    return int(any(finding.state == "broken" for finding in findings))


def render(findings: list[Finding]) -> str:
    """The findings as a table, advice on lines of its own, and a last line that sums up."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<6}  {finding.name:<{width}}  {finding.text}")
        if finding.advice:
            lines.append(" " * (width + 10) + f"-> {finding.advice}")
    broken = [finding.name for finding in findings if finding.state == "broken"]
    lines.append(f"broken: {', '.join(broken)}" if broken else "nothing is broken")
    return "\n".join(lines)


def diagnose() -> list[Finding]:
    """Look at everything; never raises for what it finds. Takes some seconds, for torch is imported three times."""
    return [_python(), _machine(), *_packages(), *_torch(), _hub()]


def _python() -> Finding:
    state: Literal["ok", "broken"] = "ok" if sys.version_info >= (3, 11) else "broken"
    advice = "" if state == "ok" else "use Python 3.11 or later"
    return Finding("python", state, f"{platform.python_version()} on {platform.platform()}", advice)


def _machine() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else float("nan")
    )
    return Finding("machine", "ok", f"{_processor()}, {cores} cores, {memory:.0f} GiB of memory")


def _processor() -> str:
    """The processor's name and the flags that make bf16 fast on it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in values.get("flags", "").split()]
    return " ".join([values.get("model name") or platform.processor() or platform.machine(), *flags])


def _packages() -> Iterator[Finding]:
    """What setup.cfg asks for against what is installed; then the extras."""
    try:
        requirements = [Requirement(text) for text in metadata.requires("crossmodal") or []]
    except metadata.PackageNotFoundError:
        yield Finding("crossmodal", "note", "is not installed, its requirements are not known", "pip install -e .")
        return
    found = {requirement: _version(requirement.name) for requirement in requirements}
    for requirement in (r for r in requirements if r.marker is None):
        version = found[requirement]
        fits = version is not None and requirement.specifier.contains(version, prereleases=True)
        advice = "" if fits else PAIR if requirement.name in ("torch", "torchaudio") else f'pip install "{requirement}"'
        yield Finding(requirement.name, "ok" if fits else "broken", version or "is not installed", advice)
    extras = metadata.metadata("crossmodal").get_all("Provides-Extra") or []
    for extra in extras:
        wanted = [r for r in requirements if r.marker is not None and r.marker.evaluate({"extra": extra})]
        missing = [r.name for r in wanted if found[r] is None]
        text = f"without {', '.join(missing)}" if missing else "complete"
        advice = f'pip install "crossmodal[{extra}]"' if missing else ""
        yield Finding(f"extra {extra}", "note" if missing else "ok", text, advice)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torch() -> Iterator[Finding]:
    result, error = _tried(TORCH)
    if error:
        yield Finding("torch imports", "broken", error, PAIR)
        return
    gpus = "; ".join(result["gpus"]) or "none, the processor trains"
    yield Finding("GPU", "ok" if result["gpus"] else "note", gpus)
    precision = "bf16" if result["bf16"] else "fp32, for bf16 would be emulated"
    yield Finding("training precision", "ok", f"{precision}; {result['threads']} threads")
    yield _pair()
    yield _faiss()


def _pair() -> Finding:
    result, error = _tried(TORCHAUDIO)
    if error:
        return Finding("torch with torchaudio", "broken", error, PAIR)
    return Finding("torch with torchaudio", "ok", f"{result['torch']} and {result['torchaudio']} fit")


def _faiss() -> Finding:
    """On macOS torch and FAISS may bring an OpenMP each, and the second one to start aborts the process."""
    result, error = _tried(FAISS)
    if not error:
        return Finding("FAISS with torch", "ok", f"live in one process; {result['threads']} threads")
    clash = "OMP" in error or platform.system() == "Darwin"
    advice = "two OpenMP runtimes clash: install both from conda-forge, or export OMP_NUM_THREADS=1"
    return Finding("FAISS with torch", "broken", error, advice if clash else 'pip install --upgrade "faiss-cpu>=1.12"')


def _hub() -> Finding:
    """A note, never broken: the default encoders need no download."""
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    error = "HF_HUB_OFFLINE is set" if offline else _unreachable(os.environ.get("HF_ENDPOINT", HUB))
    if not error:
        return Finding("hub", "ok", "reachable")
    advice = "sentence_transformer needs a checkpoint on this disk; every other encoder works"
    return Finding("hub", "note", f"not reachable: {error}", advice)


def _unreachable(address: str) -> str:
    """Why the hub does not answer within 3 seconds; empty if it does, with whatever status."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=3).close()
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
    return ""


def _tried(code: str) -> tuple[dict[str, Any], str]:
    """Run code in a Python of its own: the JSON of its last line, or why it has none."""
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, errors="replace", timeout=TRY_S
        )
    except subprocess.TimeoutExpired:
        return {}, f"did not answer within {TRY_S:g} s"
    if ran.returncode == 0:
        result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return result, ""
    said = [line for line in ran.stderr.splitlines() if line.strip()]
    died = f"died with signal {-ran.returncode}: " if ran.returncode < 0 else ""
    return {}, died + (said[-1] if said else f"exit code {ran.returncode}")
