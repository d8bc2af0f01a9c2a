import json
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import sparse

from deepcuts.errors import ArtifactError
from deepcuts.evaluate import (
    AuditReport,
    EvaluateSettings,
    System,
    evaluate,
    popularity_system,
    random_system,
)
from deepcuts.evaluate.report import read_report, report_content, table_text, write_report


@pytest.fixture(scope="module")
def evaluation():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 4)), rng.normal(size=(30, 4))
    played = rng.random((90, 30)) < 1 / (1 + np.exp(2.5 - x @ y.T))
    played[0] = False
    systems = [
        random_system(x, 30, rng),
        System("bag of words", x, y + 2 * rng.normal(size=y.shape), note="Linear regression."),
        System("cnn <deep>", x, y + 0.5 * rng.normal(size=y.shape), note='The network & "more".'),
        System("fold-in", x, y, kind="ceiling", cheating=True),
        popularity_system(90, played.sum(axis=0)),
    ]
    return evaluate(systems, sparse.csr_array(played.astype(float)), EvaluateSettings(n_bootstrap=30))


def test_the_schema_of_report_json(evaluation, tmp_path):
    audit = AuditReport("clean", ["Nothing leaked."], 30, {"plays": "abc"})
    write_report(evaluation, tmp_path / "report", audit=audit, about={"data": "toy"})
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    assert content["protocol"] == "clean"
    assert content["seed"] == 0
    assert content["settings"]["n_bootstrap"] == 30
    assert content["audit"]["passed"] is True
    assert content["about"] == {"data": "toy"}
    assert len(content["rows"]) == 5
    for row in content["rows"]:
        assert row["map500"]["low"] < row["map500"]["mean"] < row["map500"]["high"]
        assert row["auc"]["low"] < row["auc"]["mean"] < row["auc"]["high"]
        assert row["n_users"] == evaluation.n_users
        assert row["n_songs"] == 30
        assert row["users_left_out"]["no plays of test songs"] >= 1
    assert read_report(tmp_path / "report") == content


def test_rows_stand_best_first_and_the_best_honest_content_system_is_compared(evaluation):
    content = report_content(evaluation)
    means = [row["map500"]["mean"] for row in content["rows"]]
    assert means == sorted(means, reverse=True)
    pairs = {(one["a"], one["b"]) for one in content["comparisons"]}
    assert pairs == {("cnn <deep>", "bag of words"), ("cnn <deep>", "random")}
    assert {one["metric"] for one in content["comparisons"]} == {"map500", "auc"}


def test_the_name_of_map_follows_the_length_of_the_list():
    x = np.eye(3)
    found = evaluate([System("one", x, x)], np.eye(3) > 0, EvaluateSettings(n_bootstrap=5, at=10))
    assert "map10" in report_content(found)["rows"][0]


def test_undefined_numbers_are_null_and_not_nan(tmp_path):
    everything = np.ones((4, 3), dtype=bool)
    found = evaluate([System("all", np.ones((4, 1)), np.ones((3, 1)))], everything, EvaluateSettings(n_bootstrap=5))
    content = write_report(found, tmp_path / "r")
    assert content["rows"][0]["auc"] == {"mean": None, "low": None, "high": None}
    assert "NaN" not in (tmp_path / "r" / "report.json").read_text()


class Checker(HTMLParser):
    """Every tag closed in order, and nothing loaded from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_one_whole_file_that_explains_itself(evaluation, tmp_path):
    write_report(evaluation, tmp_path / "r", title="Toy & table")
    text = (tmp_path / "r" / "report.html").read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert all(link.startswith("data:image/png") for link in checker.links)
    told = " ".join(checker.text)
    for word in (
        "cnn <deep>",
        "mAP@500",
        "has seen hidden plays",
        "Toy & table",
        "Clean protocol",
        "No audit was made",
    ):
        assert word in told
    assert (tmp_path / "r" / "report.png").read_bytes().startswith(b"\x89PNG")


def test_equal_evaluations_write_equal_reports(evaluation, tmp_path):
    for name in ("a", "b"):
        write_report(evaluation, tmp_path / name)
    for file in ("report.json", "report.html", "report.png", "meta.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_folder_that_is_not_ours_is_never_overwritten(evaluation, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="not a deepcuts artifact"):
        write_report(evaluation, tmp_path / "thesis")
    with pytest.raises(ArtifactError, match="no such folder"):
        read_report(tmp_path / "nothing")


def test_the_terminal_table_is_aligned_and_says_what_was_counted(evaluation):
    lines = table_text(evaluation).splitlines()
    assert lines[0].split()[:2] == ["system", "mAP@500"]
    assert len(lines) == 1 + 5 + 1 + 1
    assert "has seen hidden plays" in next(line for line in lines if line.startswith("fold-in"))
    dots = {line.index("..") for line in lines[1:6]}
    assert len(dots) == 1
    assert f"{evaluation.n_users} users, 30 test songs, clean protocol, 95% intervals" in lines[-1]
