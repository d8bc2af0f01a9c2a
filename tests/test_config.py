from dataclasses import dataclass
from pathlib import Path

import pytest

from deepcuts.config import make_settings, require
from deepcuts.errors import SettingError
from deepcuts.factors import WmfSettings


@dataclass(frozen=True)
class Some:
    n_factors: int = 50
    alpha: float = 2.0
    name: str = "cg"
    biases: bool = False
    cutoff: float | None = None

    def __post_init__(self) -> None:
        require(self.n_factors > 0, "n_factors", self.n_factors, "a positive integer")


def test_defaults_come_from_the_dataclass() -> None:
    assert make_settings(Some) == Some()


def test_assignments_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[factors]\nn_factors = 7\nalpha = 1\n")
    got = make_settings(Some, toml=file, table="factors", assignments=["n_factors=9", "biases=true", "cutoff=none"])
    assert got == Some(n_factors=9, alpha=1.0, biases=True, cutoff=None)
    assert make_settings(Some, toml=file, table="audio") == Some()


def test_an_unknown_setting_is_refused_with_a_near_miss() -> None:
    with pytest.raises(SettingError, match=r"--set n_factor: unknown setting. Did you mean 'n_factors'\?"):
        make_settings(Some, assignments=["n_factor=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n_factors=many", r"--set n_factors = 'many': expected int"),
        ("n_factors=1.5", r"expected int"),
        ("biases=yes", r"expected bool"),
        ("cutoff=x", r"expected float or none"),
        ("n_factors", r"expected name=value"),
        ("n_factors=0", r"n_factors = 0: expected a positive integer"),
    ],
)
def test_a_wrong_value_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_settings(Some, assignments=[text])


def test_a_bad_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        make_settings(Some, toml=tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[factors\n")
    with pytest.raises(SettingError, match="not valid TOML"):
        make_settings(Some, toml=bad)
    bad.write_text("[factors]\nn_factors = true\n")
    with pytest.raises(SettingError, match=r"\[factors\] n_factors = True: expected int"):
        make_settings(Some, toml=bad, table="factors")
    bad.write_text("factors = 3\n")
    with pytest.raises(SettingError, match=r"written \[factors\]"):
        make_settings(Some, toml=bad, table="factors")


def test_of_several_files_the_last_that_sets_a_key_counts(tmp_path):
    (tmp_path / "a.toml").write_text("[factors]\nn_factors = 7\nalpha = 3.0\n")
    (tmp_path / "b.toml").write_text("[factors]\nn_factors = 9\n")
    made = make_settings(WmfSettings, toml=[tmp_path / "a.toml", tmp_path / "b.toml"], table="factors")
    assert (made.n_factors, made.alpha) == (9, 3.0)
