"""Pages of the Search API: whole, cut short, refused; with records in many languages, twice, silent and mute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

CC, NC = "http://creativecommons.org/publicdomain/mark/1.0/", "http://creativecommons.org/licenses/by-nc/4.0/"
FIDDLE = {
    "id": "/2022608/AKB_1",
    "type": "SOUND",
    "title": ["Fiddle"],
    "dcTitleLangAware": {"en": ["Fiddle"], "de": ["Geige, „schnell“"]},
    "dcDescriptionLangAware": {"def": ["A reel."], "tr": ["Çok hızlı", " "]},
    "dcSubjectLangAware": {"en": ["Folk music", "Dance, fast"], "def": ["http://data.europeana.eu/concept/1", "Reel"]},
    "dcTypeLangAware": {"en": ["Sound"], "fr": ["Son"]},
    "dcCreator": ["http://data.europeana.eu/agent/1", "Ann"],
    "edmIsShownBy": ["https://example.org/a/b.WAV?download=1"],
    "rights": [CC],
    "dataProvider": ["An Archive"],
    "country": ["Ireland"],
    "year": ["1931"],
}
BARE = {"id": "/2022608/2", "type": "SOUND", "title": ["Untitled\tsong"], "dcDescription": "One text.", "rights": NC}
BARE |= {"edmIsShownBy": "https://example.org/stream?id=2"}
ZERO = {**BARE, "id": "/91/zero", "edmIsShownBy": ["https://example.org/0.mp3"]}
PAGES = {
    "1": [FIDDLE, {**BARE, "type": "IMAGE", "id": "/2022608/picture"}, BARE],
    "2": [FIDDLE, {**BARE, "id": "/2022608/mute", "edmIsShownBy": []}, ZERO, {"type": "SOUND"}, "no record"],
}


def write(root: Path) -> dict[str, Any]:
    (root / "search").mkdir()
    for name, items in PAGES.items():
        page = {"success": True, "itemsCount": len(items), "totalResults": 8, "items": items}
        (root / "search" / f"{name}.json").write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8-sig")
    whole = (root / "search/1.json").read_bytes()
    (root / "search/3.json").write_bytes(whole[: len(whole) // 2])
    (root / "search/4.json").write_text('{"success": false, "error": "Invalid API key"}', encoding="utf-8")
    (root / "search/5.json").write_text(json.dumps({"success": True, "itemsCount": 9, "items": [ZERO]}), "utf-8")
    (root / "audio").mkdir()
    soundfile.write(root / "audio/2022608_AKB_1.wav", np.sin(np.arange(2400) / 9), 8000)
    soundfile.write(root / "audio/2022608_2.mp3", np.sin(np.arange(4800) / 9), 16000)
    (root / "audio/91_zero.mp3").write_bytes(b"")
    return {}
