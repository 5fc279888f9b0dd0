"""Uploading an export to the Hugging Face hub, by its own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossmodal.errors import InputError


def check(repo_id: str) -> None:
    """Refuse a name that the hub would refuse, before anything is written.

    Raises:
        InputError: it is none.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(f"--push-to {repo_id!r} is no name on the hub, such as me/my-model: {error}") from error


def push(folder: Path, repo_id: str, private: bool = False, api: Any = None) -> str:
    """Upload a folder as a model's repository, which is made if there is none; return its address.

    Args:
        folder: of an export.
        repo_id: ``owner/name``.
        private: nobody else may see it; a public one of that name is refused.
        api: a `huggingface_hub.HfApi`, with the token that it finds unless given.

    Raises:
        InputError: there is no token, or no right, or the hub is not reached; what is uploaded is one commit, or none.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi() if api is None else api
    try:
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        if private and not api.model_info(repo_id).private:
            raise InputError(f"{repo_id} is public on the hub already; nothing was uploaded")
        api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Export of crossmodal")
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{folder} is written, but was not uploaded to {repo_id}: {reason}; `hf auth login` gives the token that"
            " an upload needs"
        ) from error
    return str(address)
