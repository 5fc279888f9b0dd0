"""The part of a model card that shows how to load the folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

USE = {
    "sentence-transformers": """### sentence-transformers
```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{name}", trust_remote_code=True)  # the code is the package crossmodal, and no other
tracks = model.encode(["one.mp3", {{"array": samples, "sampling_rate": 44100}}])  # whole tracks, of any length
{texts}```

### crossmodal
```python
{imports}from crossmodal import DualEncoder

model = DualEncoder.load({folder})
tracks = model.embed_audio(["one.mp3"])
```
""",
    "onnx": """### ONNX Runtime
```python
{imports}from crossmodal.export.onnx_runtime import OnnxEncoder  # imports no torch

model = OnnxEncoder({folder})
tracks = model.embed_audio(["one.mp3"])
```
`onnx/audio_encoder.onnx` takes the front end's features of segments, which `OnnxEncoder` computes in numpy;
`onnx/text_encoder.onnx` takes tokens of `onnx/tokenizer.json`, in chunks. {differences}
""",
}
TEXTS = """texts = model.encode(["ein langsames Cello", "a bright organ"])
print(model.similarity(texts, tracks))
"""


def use(formats: Iterable[str], name: str, reads: bool, differences: Mapping[str, float]) -> str:
    """Code that loads a model.

    Args:
        formats: of the folder.
        name: of the folder, or ``owner/name`` on the hub.
        reads: whether the model has a text encoder.
        differences: see `crossmodal.export.folder.Exported`.
    """
    found = ", ".join(f"{value:.1g} ({kind})" for kind, value in differences.items())
    hub = "/" in name
    told = {
        "name": name,
        "imports": "from huggingface_hub import snapshot_download\n\n" if hub else "",
        "folder": f'snapshot_download("{name}")' if hub else f'"{name}"',
        "texts": TEXTS if reads else "print(model.similarity(tracks, tracks))\n",
        "differences": f"Largest difference of a component when it was exported: {found}.",
    }
    return "\n".join(["## Use", "", *(USE[form].format(**told) for form in formats)])
