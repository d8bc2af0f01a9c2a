"""Who sends a call: by token and salt, password, or API key."""

from collections.abc import Mapping, Sequence

from deepcuts.serve.accounts import Account
from deepcuts.serve.opensubsonic.envelope import BAD_KEY, MISSING, TWO_MECHANISMS, WRONG_LOGIN, Refused
from deepcuts.serve.state import State

NOBODY = Account("", "-", "-")  # compared with when a name is unknown, so that the answer takes as long


def login(state: State, given: Mapping[str, Sequence[str]]) -> Account:
    """The account of a call: `u` with `t` and `s`, `u` with `p` (plain, or `enc:` and hex), or `apiKey` alone.

    Raises:
        Refused: wrong or missing login.
    """

    def one(name: str) -> str | None:
        return given[name][0] if given.get(name) else None

    key, user = one("apiKey"), one("u")
    if key is not None:
        if user is not None or one("p") is not None or one("t") is not None:
            raise Refused(TWO_MECHANISMS, "Multiple conflicting authentication mechanisms provided.")
        account = state.accounts.of_key(key)
        if account is None:
            raise Refused(BAD_KEY, "Invalid API key.")
        return account
    if user is None:
        raise Refused(MISSING, "Required parameter 'u' is missing.")
    account = state.accounts.get(user)
    if not _is_right(account or NOBODY, one("p"), one("t"), one("s")) or account is None:
        raise Refused(WRONG_LOGIN, "Wrong username or password.")
    return account


def _is_right(account: Account, password: str | None, token: str | None, salt: str | None) -> bool:
    if token is not None and salt is not None:
        return account.has_token(token, salt)
    if password is None:
        raise Refused(MISSING, "Required parameter 'p', or 't' and 's', is missing.")
    if password.startswith("enc:"):
        try:
            password = bytes.fromhex(password[4:]).decode("utf-8", "replace")
        except ValueError:
            return False
    return account.has_password(password)
