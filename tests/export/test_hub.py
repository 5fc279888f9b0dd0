"""Uploads, with an object in the place of the hub's client; nothing is sent anywhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from crossmodal.errors import InputError
from crossmodal.export import hub


class Client:
    """Remembers what is asked of it; raises ``error`` when something is made."""

    def __init__(self, private: bool = False, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.private, self.error = private, error

    def create_repo(self, repo_id: str, **how: Any) -> str:
        if self.error:
            raise self.error
        self.asked.append((repo_id, how))
        return f"https://hub/{repo_id}"

    def model_info(self, repo_id: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, **how: Any) -> None:
        self.asked.append((how.pop("repo_id"), how))


def test_a_folder_is_one_upload(tmp_path: Path) -> None:
    client = Client()
    assert hub.push(tmp_path, "me/model", api=client) == "https://hub/me/model"
    assert client.asked == [
        ("me/model", {"private": False, "exist_ok": True}),
        ("me/model", {"folder_path": tmp_path, "commit_message": "Export of crossmodal"}),
    ]


def test_what_shall_be_private_is_not_put_where_all_see_it(tmp_path: Path) -> None:
    client = Client(private=False)
    with pytest.raises(InputError, match="me/model is public on the hub already; nothing was uploaded"):
        hub.push(tmp_path, "me/model", private=True, api=client)
    assert len(client.asked) == 1
    hub.push(tmp_path, "me/model", private=True, api=Client(private=True))


@pytest.mark.parametrize(
    "error",
    [
        LocalTokenNotFoundError("Token is required"),
        httpx.ConnectError("Name or service not known"),
        HfHubHTTPError(
            "401 Unauthorized\nmore", response=httpx.Response(401, request=httpx.Request("GET", "http://h"))
        ),
    ],
)
def test_no_token_and_no_network_are_told_in_a_line(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(InputError) as caught:
        hub.push(tmp_path, "me/model", api=Client(error=error))
    assert str(caught.value).startswith(f"{tmp_path} is written, but was not uploaded to me/model: {str(error)[:12]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "me/a/b", "--", "me/x.git"])
def test_a_name_that_the_hub_would_refuse(name: str) -> None:
    with pytest.raises(InputError, match="is no name on the hub"):
        hub.check(name)
    hub.check("me/my-model")
