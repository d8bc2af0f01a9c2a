"""Who may log in: a file of names with generated passwords and keys, readable by its owner only.

OpenSubsonic's token is md5(password + salt), so the server must know the password itself: it is made here, and is
nobody's own.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepcuts.errors import ArtifactError, ResourceError

PASSWORD_BYTES = 15


@dataclass(frozen=True)
class Account:
    """A listener who may log in."""

    name: str
    password: str
    api_key: str

    def has_password(self, password: str) -> bool:
        """Whether a password is right, in constant time."""
        return hmac.compare_digest(self.password.encode(), password.encode("utf-8", "replace"))

    def has_token(self, token: str, salt: str) -> bool:
        """Whether a token is md5(password + salt) in hex, in constant time."""
        right = hashlib.md5(f"{self.password}{salt}".encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(right.encode(), token.lower().encode("utf-8", "replace"))


class Accounts:
    """The accounts of a served model.

    Args:
        path: of the file; made with an account for each name that has none.
    """

    def __init__(self, path: Path, names: Sequence[str] = ()) -> None:
        self.path = path
        self._held = {one.name: one for one in _read(path)}
        missing = [name for name in names if name not in self._held]
        for name in missing:
            self._held[name] = Account(name, secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(32))
        if missing:
            self._save()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def names(self) -> list[str]:
        """Who may log in."""
        return list(self._held)

    def get(self, name: str) -> Account | None:
        """An account by name."""
        return self._held.get(name)

    def of_key(self, api_key: str) -> Account | None:
        """The account of a key; every key is compared, in constant time."""
        asked, found = api_key.encode("utf-8", "replace"), None
        for one in self._held.values():
            if hmac.compare_digest(one.api_key.encode(), asked):
                found = one
        return found

    def _save(self) -> None:
        content = {one.name: {"password": one.password, "api_key": one.api_key} for one in self._held.values()}
        scratch = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2, ensure_ascii=False)
            scratch.replace(self.path)
        except OSError as error:
            raise ResourceError(f"{self.path}: cannot be written ({error.strerror}).") from error


def _read(path: Path) -> list[Account]:
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [Account(name, str(one["password"]), str(one["api_key"])) for name, one in content.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: not a file of accounts ({error}). Remove it, and new ones are made.") from error
