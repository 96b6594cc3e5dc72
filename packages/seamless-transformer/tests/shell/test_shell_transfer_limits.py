"""Sizes, limits, confirmation, progress."""

from __future__ import annotations

import io
import sys

import pytest
from seamless_command import progress as progress_module
from seamless_command.errors import ShellError
from seamless_command.progress import BarProgress, NoProgress, byte_progress
from seamless_shell.confirmation import confirm_transfer
from seamless_shell.transfer_limits import human_size, parse_size, transfer_limits


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0.00 B"),
        (6, "6.00 B"),
        (999, "999.00 B"),
        (1000, "1.00 kB"),
        (1500, "1.50 kB"),
        (999_999, "1.00 MB"),
        (2_500_000, "2.50 MB"),
        (3_500_000_000, "3.50 GB"),
        (10**19, "10000.00 PB"),
    ],
)
def test_sizes_are_shown_as_the_reference_shows_them(n_bytes: int, text: str):
    assert human_size(n_bytes) == text


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("100 MB", 100_000_000),
        ("500 MB", 500_000_000),
        ("1.5GB", 1_500_000_000),
        ("1000", 1000),
        (" 2 kB ", 2000),
        ("2k", 2000),
        ("0", 0),
        ("7b", 7),
        ("1 tb", 10**12),
    ],
)
def test_sizes_are_read(text: str, n_bytes: int):
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["", "MB", "1.2.3", "1e5", "-1", "1 KiB", "10 XB", "inf", "1 0"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


def test_limits_have_defaults_and_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    assert transfer_limits("upload") == (400, 100_000_000)
    assert transfer_limits("download") == (2000, 500_000_000)
    monkeypatch.setenv("SEAMLESS_MAX_UPLOAD_FILES", "7")
    monkeypatch.setenv("SEAMLESS_MAX_UPLOAD_SIZE", "1 kB")
    monkeypatch.setenv("SEAMLESS_MAX_DOWNLOAD_FILES", "")
    assert transfer_limits("upload") == (7, 1000)
    assert transfer_limits("download") == (2000, 500_000_000)


@pytest.mark.parametrize(
    ("variable", "value"), [("SEAMLESS_MAX_UPLOAD_FILES", "many"), ("SEAMLESS_MAX_UPLOAD_SIZE", "1 apple")]
)
def test_wrong_limit_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ShellError, match=f"{variable}.*{value}"):
        transfer_limits("upload")


@pytest.mark.parametrize("answer", [None, "yes", "no"])
def test_what_is_within_the_limits_goes_without_asking(answer: str | None):
    confirm_transfer("upload", 400, 100_000_000, answer)


def test_yes_goes_beyond_the_limits():
    confirm_transfer("upload", 10**6, 10**15, "yes")


@pytest.mark.parametrize("counts", [(401, 0), (1, 100_000_001)])
@pytest.mark.parametrize("answer", [None, "no"])
def test_beyond_the_limits_nothing_goes_off_a_terminal(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int], answer: str | None
):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    text = f"Cannot confirm upload of {counts[0]} files, total {human_size(counts[1])}. Exiting."
    with pytest.raises(ShellError) as caught:
        confirm_transfer("upload", *counts, answer)
    assert caught.value.message == text
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("-y")


@pytest.mark.parametrize("word", ["y", "Y", "yes"])
def test_user_at_a_terminal_is_asked_and_may_say_yes(monkeypatch: pytest.MonkeyPatch, word: str):
    screen = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(word + "\n"))
    monkeypatch.setattr(sys, "stdout", screen)
    confirm_transfer("download", 2001, 6, None)
    assert screen.getvalue() == "Confirm download of 2001 files, total 6.00 B? (y/[n])? "


@pytest.mark.parametrize("word", ["", "n\n", "\n", "what\n"])
def test_anything_else_is_a_no(monkeypatch: pytest.MonkeyPatch, word: str):
    monkeypatch.setattr(sys, "stdin", Terminal(word))
    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(ShellError, match="not confirmed"):
        confirm_transfer("download", 2001, 6, None)


def test_question_is_not_mixed_into_redirected_output(monkeypatch: pytest.MonkeyPatch):
    output, screen = io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", screen)
    confirm_transfer("download", 2001, 6, None)
    assert output.getvalue() == ""
    assert "Confirm download" in screen.getvalue()


def test_no_is_not_asked_again_at_a_terminal(monkeypatch: pytest.MonkeyPatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(sys, "stdout", screen)
    with pytest.raises(ShellError, match="Cannot confirm"):
        confirm_transfer("download", 2001, 6, "no")
    assert screen.getvalue() == ""


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(byte_progress("Upload", 10), NoProgress)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(byte_progress("Upload", 10, quiet=True), NoProgress)
    assert isinstance(byte_progress("Upload", 10), BarProgress)


def test_short_transfer_shows_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress_module, "DELAY_S", 3600)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with byte_progress("Upload", 10) as progress:
        progress.advance(10)
    assert sys.stderr.getvalue() == ""


def test_long_transfer_shows_a_bar(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress_module, "DELAY_S", -1)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with byte_progress("Upload", 2000) as progress:
        progress.advance(1500)
        progress.advance(500)
    assert "Upload" in sys.stderr.getvalue()
    assert "1.50k/2.00k" in sys.stderr.getvalue()


def test_nothing_is_shown_where_nothing_is_to_be_shown(capsys: pytest.CaptureFixture[str]):
    with NoProgress() as progress:
        progress.advance(10)
    assert capsys.readouterr() == ("", "")
