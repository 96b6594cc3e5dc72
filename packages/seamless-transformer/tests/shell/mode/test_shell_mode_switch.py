"""Switching Seamless mode on and off: keys, prompt, what is restored, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOGGLE = "\x15u"  # Ctrl-U U
ENTER_WAS_BOUND_TO = {
    "a function": """bind '"\\C-m": operate-and-get-next'""",
    "a macro": """bind '"\\C-m": " | cat\\C-j"'; bind -m vi-insert '"\\C-uu": "text \\"\\\\\\""'""",
    "a command": """bind -x '"\\C-m": printf "%s" "own \\\\ enter" > own'""",
    "nothing": """bind -r '\\C-m'""",
}
STATE = "for map in emacs vi-insert vi-command; do bind -m $map -p; bind -m $map -s; bind -m $map -X; done"
VARIABLES = "declare -p PS1 PROMPT_COMMAND HISTCONTROL"


def test_mode_is_off_at_first(terminal, calls):
    terminal.run("cat a.txt")
    assert calls() == []


def test_keys_switch_on_and_off_and_keep_the_line(terminal, calls):
    terminal.run("seamless-mode-bind")
    terminal.type("cat a.")
    terminal.type(TOGGLE)
    terminal.wait_for(f"[seamless-mode] p{terminal.n_commands}> cat a.")
    terminal.run("txt")
    terminal.type("cat b.")
    terminal.type(TOGGLE)
    terminal.wait_for(f"\rp{terminal.n_commands}> cat b.")
    terminal.run("txt")
    assert calls() == [["-c", "cat a.txt"]]


def test_keys_work_in_vi_mode(terminal, calls):
    terminal.run("set -o vi; seamless-mode-bind")
    terminal.type(TOGGLE.upper())
    terminal.wait_for("[seamless-mode] ")
    terminal.run("cat a.txt")
    assert calls() == [["-c", "cat a.txt"]]


def test_keys_give_the_options_of_the_last_time(terminal, calls):
    terminal.run("seamless-mode-bind; seamless-mode-on -v; seamless-mode-off")
    terminal.type(TOGGLE)
    terminal.wait_for("[seamless-mode] ")
    terminal.run("cat a.txt")
    assert calls() == [["-v", "-c", "cat a.txt"]]


def test_function_toggles(terminal, calls):
    terminal.run("seamless-mode-toggle -q")
    terminal.run("cat a.txt")
    terminal.run("seamless-mode-toggle")
    terminal.run("cat b.txt")
    assert calls() == [["-q", "-c", "cat a.txt"]]


def test_keys_keep_the_status_of_the_last_command(terminal):
    terminal.run("seamless-mode-bind; false")
    terminal.type(TOGGLE)
    terminal.wait_for("[seamless-mode] ")
    assert terminal.value("$?") == "1"


# ---- what is restored


@pytest.mark.parametrize("binding", ENTER_WAS_BOUND_TO.values(), ids=ENTER_WAS_BOUND_TO)
def test_off_restores_every_binding(new_terminal, script, binding: str):
    terminal = new_terminal(f"source '{script}'", binding)
    terminal.enter = "\n"
    before = terminal.output_of(STATE)
    terminal.run("seamless-mode-on")
    within = terminal.output_of(STATE)
    terminal.run("seamless-mode-off")
    assert terminal.output_of(STATE) == before
    assert within != before


@pytest.mark.parametrize("binding", ENTER_WAS_BOUND_TO.values(), ids=ENTER_WAS_BOUND_TO)
def test_unbind_restores_every_binding(new_terminal, script, binding: str):
    terminal = new_terminal(f"source '{script}'", binding)
    terminal.enter = "\n"
    before = terminal.output_of(STATE)
    terminal.run("seamless-mode-bind; seamless-mode-on")
    within = terminal.output_of(STATE)
    terminal.run("seamless-mode-unbind")
    assert terminal.output_of(STATE) == before
    assert within != before


def test_own_meaning_of_enter_stays_in_force(new_terminal, script, calls):
    terminal = new_terminal(f"source '{script}'", ENTER_WAS_BOUND_TO["a macro"].replace("cat", "tee out"))
    terminal.enter = "\n"
    terminal.run("seamless-mode-on")
    terminal.enter = "\r"
    terminal.run("cat a.txt")
    assert (terminal.folder / "out").exists()
    assert calls() == [["-c", "cat a.txt"]]


def test_own_command_of_enter_is_called_again_after_off(new_terminal, script):
    terminal = new_terminal(f"source '{script}'", ENTER_WAS_BOUND_TO["a command"])
    terminal.enter = "\n"
    terminal.run("seamless-mode-on; seamless-mode-off")
    terminal.type("\r")
    terminal.run("cd .")
    assert (terminal.folder / "own").read_text() == "own \\ enter"


def test_ctrl_u_still_discards_the_line(terminal):
    terminal.run("seamless-mode-bind; seamless-mode-on; bind 'set keyseq-timeout 1'")
    terminal.type("cd /nowhere\x15")
    terminal.run("cd .")
    assert terminal.value("$?") == "0"


@pytest.mark.parametrize(
    "setting",
    [
        "unset PROMPT_COMMAND",
        "PROMPT_COMMAND=",
        "PROMPT_COMMAND='n=1; m=2;'",
        "PROMPT_COMMAND=(n=1 m=2)",
        "PROMPT_COMMAND=([3]=n=1)",
        "PROMPT_COMMAND=()",
        "export PROMPT_COMMAND=n=1",
        "HISTCONTROL=ignoreboth",
    ],
)
def test_off_restores_prompt_and_variables(terminal, setting: str):
    terminal.run(setting)
    before = terminal.output_of(VARIABLES)
    terminal.run("seamless-mode-on")
    terminal.run("cat a.txt")
    within = terminal.output_of(VARIABLES)
    terminal.run("seamless-mode-off")
    assert terminal.output_of(VARIABLES) == before
    assert within != before


def test_on_twice_and_off_twice_are_harmless(terminal):
    before = terminal.output_of(f"{STATE}; {VARIABLES}")
    terminal.run("seamless-mode-on; seamless-mode-on")
    assert terminal.value("$PS1").count("[seamless-mode]") == 1
    terminal.run("seamless-mode-off; seamless-mode-off")
    assert terminal.output_of(f"{STATE}; {VARIABLES}") == before


def test_sourcing_again_is_harmless(terminal, script, calls):
    terminal.run("seamless-mode-bind; seamless-mode-on -v")
    terminal.run(f"source '{script}'; seamless-mode-bind")
    terminal.run("cat a.txt")
    assert terminal.value("$PS1").count("[seamless-mode]") == 1
    terminal.run("seamless-mode-off")
    terminal.run("cat b.txt")
    assert terminal.value("$PS1") == "p\\#> "
    assert calls() == [["-v", "-c", "cat a.txt"]]


# ---- the prompt


def test_prompt_that_is_set_each_time_gets_the_mark_once(terminal):
    terminal.run("PROMPT_COMMAND='PS1=\"(venv) p\\#> \"'; seamless-mode-on")
    terminal.run("cd .")
    assert "[seamless-mode] (venv) " in terminal.run("cd .")
    terminal.run("seamless-mode-off")
    assert terminal.value("$PS1") == "(venv) p\\#> "


def test_prompt_that_has_changed_keeps_its_change(terminal):
    terminal.run("seamless-mode-on")
    terminal.run('PS1="(venv) $PS1"')
    assert terminal.value("$PS1") == "(venv) [seamless-mode] p\\#> "
    terminal.run("seamless-mode-off")
    assert terminal.value("$PS1") == "(venv) p\\#> "


def test_replaced_prompt_command_costs_one_line(terminal, calls):
    terminal.run("seamless-mode-on")
    terminal.run("PROMPT_COMMAND=")
    terminal.run("cd .")
    terminal.run("cat a.txt")
    assert calls() == [["-c", "cat a.txt"]]


def test_commands_of_the_prompt_see_the_status(terminal):
    terminal.run("PROMPT_COMMAND='before+=$?'; seamless-mode-on")
    terminal.run("cd /nowhere")
    terminal.run("PROMPT_COMMAND=${PROMPT_COMMAND#*$'\\n'}'; after+=$?'")
    terminal.run("cd /nowhere")
    assert terminal.value("$before $after") == "01 01"


def test_state_is_not_inherited(terminal, script, calls):
    terminal.run("set -a; export PROMPT_COMMAND=; seamless-mode-on")
    terminal.n_commands = 1
    terminal.type("exec bash --norc --noprofile -i\r")
    terminal.wait_for_prompt()
    terminal.run(f"source '{script}'; declare -p PROMPT_COMMAND > inherited")
    terminal.run("seamless-mode-on")
    terminal.run("cat a.txt")
    assert calls() == [["-c", "cat a.txt"]]


# ---- what is missing or refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ("rm {programs}/_seamlessify", "there is no _seamlessify on PATH"),
        ("ln -sf /bin/false {programs}/_seamlessify", "_seamlessify has failed"),
    ],
)
def test_without_helper_lines_run_as_typed_and_one_message_says_so(
    terminal, tmp_path: Path, calls, make: str, message: str
):
    (terminal.folder / "a.txt").write_text("content\n")
    terminal.run(make.format(programs=tmp_path / "programs"))
    terminal.run("seamless-mode-on")
    first, second = terminal.run("cat a.txt"), terminal.run("cat a.txt")
    assert message in first
    assert "hint:" in first
    assert "seamless-mode:" not in second
    assert ("content" in first, "content" in second) == (True, True)
    assert calls() == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["sh", "-c", '. "$1"', "_"], "needs bash 4.4 or later"),
        (["bash", "--posix", "-c", 'source "$1"', "_"], "set +o posix"),
        (["bash"], "is to be sourced"),
        (["bash", "-c", 'source "$1" && seamless-mode-on', "_"], "needs an interactive shell"),
        (["bash", "-c", 'source "$1" && seamless-mode-bind', "_"], "needs an interactive shell"),
        (
            ["bash", "--norc", "--noediting", "-i", "-c", 'source "$1" && seamless-mode-on', "_"],
            "with line editing",
        ),
    ],
)
def test_other_shells_get_one_clear_message(script, tmp_path: Path, argv: list[str], message: str):
    done = subprocess.run(
        [*argv, str(script)],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        cwd=tmp_path,
    )
    complaints = [
        line for line in done.stderr.splitlines() if "job control" not in line and "terminal" not in line
    ]
    assert len(complaints) == 1
    assert message in complaints[0]
    assert done.returncode != 0


def test_sourcing_alone_is_silent_everywhere_in_bash(script):
    done = subprocess.run(["bash", "-euc", 'source "$1"', "_", str(script)], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_script_is_installed_beside_the_commands(script):
    found = shutil.which("seamless-mode-bind.sh", path=str(Path(sys.executable).parent))
    assert found is not None
    assert Path(found).read_bytes() == script.read_bytes(), "make -B venv"
