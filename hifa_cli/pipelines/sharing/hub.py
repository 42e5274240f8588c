"""The Hugging Face Hub by its own library, its errors in one line each.

The token is the library's: ``HF_TOKEN``, or what ``hf auth login`` keeps. ``HF_ENDPOINT`` names another hub.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hifa_cli import __version__
from hifa_cli.errors import FULL, MAKE_ROOM, HifaError, NoRoom, reason_of

_MISSING = "sharing needs huggingface_hub: pip install 'hifa-cli[hub]'"
_LOGIN = "set HF_TOKEN, or run 'hf auth login'"


def _library() -> Any:
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_UPDATE_CHECK", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "huggingface_hub":
            raise
        raise HifaError(_MISSING) from error
    return huggingface_hub


class Hub:
    """One repository of the hub.

    Args:
        repo: ``USER/NAME``.

    Raises:
        HifaError: the library is not installed, or the name cannot be one.
    """

    def __init__(self, repo: str) -> None:
        self.module, self.repo = _library(), repo
        endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
        self.api = self.module.HfApi(endpoint=endpoint, library_name="hifa", library_version=__version__)
        self.where = str(self.api.endpoint)
        if repo.count("/") != 1 or repo.startswith("/") or repo.endswith("/"):
            raise HifaError(f"'{repo}' is not the name of a repository: write USER/NAME")
        with self.heard():
            self.module.utils.validate_repo_id(repo)

    def commit(self, revision: str | None) -> tuple[str, bool]:
        """Return the commit that a branch, tag or commit names, and whether the repository is private."""
        with self.heard(revision):
            found = self.api.repo_info(self.repo, revision=revision)
            return str(found.sha), bool(found.private)

    def names(self, commit: str) -> list[str]:
        """Return the files of a commit."""
        with self.heard(commit):
            return list(self.api.list_repo_files(self.repo, revision=commit))

    def fetch(self, commit: str, name: str, folder: Path) -> Path | None:
        """Fetch a file into a folder, where it is not there already; None where it does not exist.

        Args:
            commit: of which.
            name: of the file in the repository.
            folder: it lies there under the same name.

        Returns:
            Where it lies.
        """
        with self.heard(commit):
            try:
                return Path(self.api.hf_hub_download(self.repo, name, revision=commit, local_dir=folder))
            except self.module.errors.EntryNotFoundError as error:
                if isinstance(error, self.module.errors.LocalEntryNotFoundError):
                    raise
                return None

    def create(self, *, private: bool) -> None:
        """Make the repository where it does not exist yet."""
        with self.heard():
            try:
                self.api.repo_info(self.repo)
            except self.module.errors.RepositoryNotFoundError:
                self.api.create_repo(self.repo, private=private or None, exist_ok=True)

    def send(
        self, files: dict[str, Path | bytes], gone: Sequence[str], message: str, parent: str
    ) -> tuple[str, str]:
        """Send files and remove others in one commit.

        Args:
            files: paths or contents by name.
            gone: names to remove.
            message: of the commit.
            parent: commit that this one follows; another one in between is refused.

        Returns:
            The commit and its address.
        """
        add, delete = self.module.CommitOperationAdd, self.module.CommitOperationDelete
        changes = [add(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()]
        changes += [delete(path_in_repo=name) for name in gone]
        with self.heard():
            done = self.api.create_commit(
                self.repo, changes, commit_message=message, parent_commit=parent or None
            )
            return str(done.oid), f"{self.where}/{self.repo}"

    @contextmanager
    def heard(self, revision: str | None = None) -> Iterator[None]:
        """Turn the library's errors into one line, and have its logger say nothing of its own.

        Args:
            revision: that was asked for, if any.

        Raises:
            HifaError: whatever went wrong.
        """
        logger = logging.getLogger("huggingface_hub")
        level, bars = logger.level, self.module.utils
        silent = bars.are_progress_bars_disabled()
        logger.setLevel(logging.ERROR)
        if not silent:
            bars.disable_progress_bars()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the library about its own calls
                yield
        except (OSError, RuntimeError) as error:  # an upload's error is the cause of a RuntimeError
            raise self._said(error, revision) from error
        except (ValueError, KeyError) as error:
            if isinstance(error, self.module.errors.HFValidationError):
                raise HifaError(f"'{self.repo}' is not the name of a repository: write USER/NAME") from error
            raise HifaError(f"{self.where} answers what no hub answers: check HF_ENDPOINT") from error
        except self.module.errors.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            logger.setLevel(level)
            if not silent:
                bars.enable_progress_bars()

    def _said(self, error: BaseException, revision: str | None) -> HifaError:
        kinds = self.module.errors
        if isinstance(error, RuntimeError):
            return self._said(error.__cause__, revision) if error.__cause__ else self._unreachable(error)
        if isinstance(error, kinds.GatedRepoError):
            return HifaError(
                f"{self.repo} is given to those who asked: accept its terms at {self.where}/{self.repo}"
            )
        if isinstance(error, kinds.RevisionNotFoundError):
            return HifaError(
                f"{self.repo} has no revision '{revision}': see {self.where}/{self.repo}/commits"
            )
        if isinstance(error, kinds.RepositoryNotFoundError):
            return HifaError(
                f"{self.where} has no {self.repo}, or you may not see it: check the name, or {_LOGIN}"
            )
        if isinstance(error, kinds.LocalTokenNotFoundError):
            return HifaError(f"{self.where} asks who you are: {_LOGIN}")
        if isinstance(error, kinds.HfHubHTTPError) and error.response is not None:
            return self._refused(error)
        if isinstance(error, OSError) and error.errno in FULL:
            return NoRoom(f"cannot write: {error.strerror}; {MAKE_ROOM}")
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            return HifaError(f"cannot read or write {error.filename or 'a file'}: {reason_of(error)}")
        return self._unreachable(error)

    def _refused(self, error: Any) -> HifaError:
        status = int(error.response.status_code)
        if status == 401:
            return HifaError(f"{self.where} does not know you: {_LOGIN}")
        if status == 403:
            return HifaError(f"you may not write to {self.repo}: give a token that may, or another name")
        if status in (409, 412):
            return HifaError(f"{self.repo} was changed meanwhile: give the same command again")
        why = " ".join(str(error.server_message or "").split())[:200]
        return HifaError(f"{self.where} refused {self.repo}: status {status}{f', {why}' if why else ''}")

    def _unreachable(self, error: BaseException) -> HifaError:
        if os.environ.get("HF_HUB_OFFLINE"):
            return HifaError("HF_HUB_OFFLINE is set: unset it to reach the hub")
        return HifaError(f"cannot reach {self.where}: give the same command again when it can be reached")


def json_bytes(document: Any) -> bytes:
    """Return a document as a file holds it."""
    return (json.dumps(document, indent=2) + "\n").encode()
