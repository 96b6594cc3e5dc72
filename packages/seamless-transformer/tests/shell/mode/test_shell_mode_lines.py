"""What happens to a line that is typed in Seamless mode: in a real bash, under a pseudo-terminal."""

from __future__ import annotations

import pytest

BEGIN_PASTE, END_PASTE = "\x1b[200~", "\x1b[201~"
ESCAPE, UP = "\x1b", "\x1b[A"


@pytest.fixture
def mode(terminal):
    """A terminal in Seamless mode."""
    terminal.run("seamless-mode-on")
    return terminal


# ---- lines that become steps


def test_line_becomes_a_step(mode, calls):
    mode.run("cat a.txt")
    assert calls() == [["-c", "cat a.txt"]]


def test_options_of_the_mode_are_given_to_each_step(terminal, calls):
    terminal.run("seamless-mode-on -v -w 'my dir'")
    terminal.run("cat a.txt")
    terminal.run("seamless-mode-on -g1")
    terminal.run("cat b.txt")
    assert calls() == [["-v", "-w", "my dir", "-c", "cat a.txt"], ["-g1", "-c", "cat b.txt"]]


@pytest.mark.parametrize(
    "line",
    [
        """grep  'it'"'"'s  $HOME'  "a  b"  c\\ d""",
        """awk '{ print $1 "\\t" }' a.txt | sort -k2""",
        "cat a.txt > b.txt && cat 'b.txt' # don't",
        "cat <(sort a.txt) *.txt {a,b} ~/x",
        "grep 'wow!' it\\'s 'a!b' \\!",
        "grep é ünï",
    ],
)
def test_quotes_and_spaces_survive_exactly(mode, calls, line: str):
    mode.run(line)
    assert calls() == [["-c", line]]


def test_variables_of_the_shell_are_replaced_exported_or_not(mode, calls):
    mode.run("x='a  b' line=c; export y=d")
    mode.run("cat $line ${y}.txt \"$x\" '$x' $unknown")
    assert calls() == [["-c", "cat c d.txt \"a  b\" '$x' $unknown"]]


def test_array_stands_for_its_first_element(mode, calls):
    mode.run("names=(a.txt b.txt)")
    mode.run("export names; set --")
    mode.run("cat $names ${names[1]}")
    assert calls() == [["-c", "cat a.txt ${names[1]}"]]


def test_background_step_is_a_job_of_the_shell(mode, calls):
    mode.run("cat a.txt &")
    mode.run("wait")
    assert calls() == [["-c", "cat a.txt"]]


def test_pasted_lines_are_one_step(mode, calls):
    mode.type(f"{BEGIN_PASTE}for f in a b; do\n  cat $f\ndone{END_PASTE}")
    mode.run()
    assert calls() == [["-c", "for f in a b; do\n  cat $f\ndone"]]


def test_pasted_here_document_is_part_of_the_step(mode, calls):
    mode.run("x=value")
    mode.type(f"{BEGIN_PASTE}cat <<END\nit's $x\nEND{END_PASTE}")
    mode.run()
    assert calls() == [["-c", "cat <<END\nit's value\nEND"]]


def test_status_of_the_step_is_that_of_seamless_run(mode):
    mode.run("export FAKE_EXIT_CODE=7")
    mode.run("cat a.txt")
    assert mode.value("$?") == "7"


@pytest.mark.parametrize("editing", ["vi", "emacs"])
@pytest.mark.parametrize(
    "option", ["set -u", "set -e", "set -a", "set -f", "IFS=a", "shopt -s nullglob extglob"]
)
def test_options_of_the_shell_do_not_matter(mode, calls, editing: str, option: str):
    mode.run(f"set -o {editing}; {option}")
    mode.run("cat a.txt $unknown *.none")
    mode.run("cd .")
    assert calls() == [["-c", "cat a.txt $unknown *.none"]]


def test_enter_in_vi_command_mode_runs_a_step(mode, calls):
    mode.run("set -o vi")
    mode.type("cat a.txt" + ESCAPE)
    mode.wait_for("\b")
    mode.run()
    assert calls() == [["-c", "cat a.txt"]]


def test_alias_of_a_program_stands_for_the_program(mode, calls):
    mode.run("alias cat='cat -n'")
    mode.run("cat a.txt")
    assert calls() == [["-c", "cat a.txt"]]


# ---- lines that run as typed


@pytest.mark.parametrize("command", ["cd sub", "pushd sub", "\\cd sub", "cd $where", "goto sub", "jump"])
def test_what_acts_on_the_shell_runs_in_the_shell(mode, calls, command: str):
    (mode.folder / "sub").mkdir()
    mode.run("""eval 'goto() { cd "$1"; }; alias jump="cd sub"; where=sub'""")
    mode.run(command)
    mode.run("echo here > here")
    assert (mode.folder / "sub" / "here").read_text() == "here\n"
    assert calls() == []


@pytest.mark.parametrize("line", ["ls -a > out", "echo  'a  b' > out", "time -p true > out"])
def test_skipped_commands_run_natively(mode, calls, line: str):
    mode.run(line)
    assert (mode.folder / "out").exists()
    assert calls() == []


def test_empty_and_comment_lines_do_nothing(mode, calls):
    mode.type("\r   \r# cat a.txt\r")
    assert mode.value("still here") == "still here"
    assert calls() == []


def test_status_of_a_native_command_survives(mode):
    mode.run("cd /nowhere")
    assert mode.value("$?") == "1"


def test_last_argument_of_a_native_command_survives(mode):
    mode.run("echo first last")
    assert mode.value("$_") == "last"


def test_here_document_line_by_line_is_left_alone(mode, calls):
    mode.run("read -r -d '' text <<END", "cat a.txt", "END")
    assert mode.value("$text") == "cat a.txt"
    assert calls() == []


def test_command_with_unbalanced_quote_is_continued_as_typed(mode, calls):
    mode.run("sort 'a", "cat b.txt' 2> err")
    assert "'a'$'\\n''cat b.txt'" in (mode.folder / "err").read_text()
    assert calls() == []


@pytest.mark.parametrize(
    "lines", [("for i in 1; do", "sort a.txt", "done"), ("sort \\", "a.txt"), ("sort a.txt |", "cat")]
)
def test_incomplete_command_runs_as_typed(mode, calls, lines: tuple[str, ...]):
    (mode.folder / "a.txt").write_text("content\n")
    assert "content" in mode.run(*lines)
    assert calls() == []


def test_answer_to_read_is_no_command(mode, calls):
    mode.n_commands += 1
    mode.type("read -e -p 'name? ' answer\r")
    mode.wait_for("name? ")
    mode.type("cat !!.txt\r")
    mode.wait_for_prompt()
    assert mode.value("$answer") == "cat !!.txt"
    assert calls() == []


def test_syntax_error_is_that_of_bash(mode, calls):
    mode.type("cat ) a.txt\r")
    mode.wait_for("syntax error near unexpected token")
    mode.run("cat b.txt")
    assert calls() == [["-c", "cat b.txt"]]


def test_interrupted_continuation_leads_back_to_steps(mode, calls):
    mode.type("cat 'a\r")
    mode.wait_for("\n")
    mode.wait_for("> ")
    mode.interrupt()
    mode.run("cat b.txt")
    assert calls() == [["-c", "cat b.txt"]]


# ---- history


def test_history_keeps_the_lines_as_typed(mode):
    mode.run("x=value")
    mode.run("cat $x 'it''s'")
    mode.run("cd .")
    mode.run("cat b.txt")
    assert mode.history()[-4:] == ["x=value", "cat $x 'it''s'", "cd .", "cat b.txt"]


def test_recalled_line_runs_again(mode, calls):
    mode.run("cat a.txt")
    mode.type(UP)
    mode.run()
    assert calls() == [["-c", "cat a.txt"], ["-c", "cat a.txt"]]


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("HISTCONTROL=ignoreboth", ["cat b", "cd ."]),
        ("HISTCONTROL=ignoredups", ["cat b", " cat c", "cd ."]),
        ("HISTCONTROL=", ["cat b", "cat b", " cat c", "cd ."]),
        ("HISTIGNORE='*cat*'", ["cd ."]),
    ],
)
def test_history_obeys_the_settings_of_the_user(mode, control: str, expected: list[str]):
    mode.run(control)
    for line in ("cat b", "cat b", " cat c", "cd ."):
        mode.run(line)
    history = mode.history()
    assert history[history.index(control) + 1 :] == expected


@pytest.mark.parametrize("setting", ["unset HISTCONTROL", "HISTCONTROL=", "HISTCONTROL=ignoredups:erasedups"])
def test_setting_of_the_history_is_as_before_at_the_next_prompt(mode, setting: str):
    mode.run(setting)
    before = mode.output_of("declare -p HISTCONTROL")
    mode.run("cat a.txt")
    assert mode.output_of("declare -p HISTCONTROL") == before


def test_history_that_is_off_stays_empty(mode):
    mode.run("set +o history")
    mode.run("cat secret")
    assert "cat secret" not in mode.history()


def test_expanded_history_is_a_step(mode, calls):
    mode.run("x=value")
    mode.run("cat a.txt $x")
    mode.run("sort !!:1 !$")
    assert calls()[1:] == [["-c", "sort a.txt value"]]
    assert mode.history()[-1] == "sort a.txt $x"


def test_event_that_is_not_found_runs_nothing(mode, calls):
    mode.type("cat !nothing\r")
    mode.wait_for("!nothing: event not found")
    mode.run("cat a.txt")
    assert calls() == [["-c", "cat a.txt"]]


def test_expanded_history_is_shown_first_with_histverify(mode, calls):
    mode.run("shopt -s histverify")
    mode.run("cd .")
    mode.type("cat !!\r")
    mode.wait_for("> cat cd .")
    mode.run()
    assert calls() == [["-c", "cat cd ."]]


def test_exclamation_mark_is_plain_without_history_expansion(mode, calls):
    mode.run("set +H")
    mode.run("cat !!")
    assert calls() == [["-c", "cat !!"]]
