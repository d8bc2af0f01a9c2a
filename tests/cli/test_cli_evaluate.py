"""`deepcuts evaluate` stopped in the middle goes on where it stopped."""

import pytest

from deepcuts.evaluate import scoring
from deepcuts.evaluate.report import read_report
from deepcuts.progress import Bar


@pytest.fixture
def stops_after(monkeypatch):
    """Stop the evaluation after so many chunks; gives a list of the chunks done."""
    done, advance = [], Bar.advance

    def stop_after(n_chunks: int) -> list[float]:
        def counted(bar, amount=1, note=""):
            if bar.label == "evaluate":
                if len(done) == n_chunks:
                    raise KeyboardInterrupt
                done.append(amount)
            advance(bar, amount, note)

        done.clear()
        monkeypatch.setattr(Bar, "advance", counted)
        return done

    monkeypatch.setattr(scoring, "SECONDS_BETWEEN_CHECKPOINTS", 0)
    return stop_after


def test_a_stopped_evaluation_goes_on_and_leaves_no_checkpoint(deepcuts, home, tmp_path, stops_after) -> None:
    def run(name):
        folders = [home / "world/plays", home / "split", home / "factors"]
        system = f"linear={home / 'predicted'}"
        return deepcuts("evaluate", *folders, "-o", tmp_path / name, "--system", system, "--set=chunk=64")

    done = stops_after(10**9)
    assert run("whole").code == 0
    in_all = len(done)
    done = stops_after(5)
    assert run("out").code != 0
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.checkpoint").exists()
    done = stops_after(10**9)
    told = run("out")
    assert told.code == 0
    assert "resuming after" in told.err
    assert len(done) == in_all - 5
    assert not (tmp_path / ".out.checkpoint").exists()
    assert read_report(tmp_path / "out") == read_report(tmp_path / "whole")
