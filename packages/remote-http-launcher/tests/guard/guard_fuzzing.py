"""Ask the guard for random and mutated commands, and watch by audit hook what this process does.

`python guard_fuzzing.py FOLDER N SEED recorded|real` prints one JSON object: how many were allowed, and what was wrong.
A process of its own, since an audit hook stays for ever. recorded: helpers only record that they would run, and what
they are handed is checked. real: those helpers run that need neither network nor processes.
"""

from __future__ import annotations

import io
import json
import os
import random
import shlex
import sys
from pathlib import Path
from typing import Any

from remote_http_launcher.guard import addresses, command, dispatch
from remote_http_launcher.guard.paths import ResolvedDirectory, ResolvedPath

VECTORS = Path(__file__).parents[4] / "contracts" / "vectors" / "launcher_cases.json"
PROCESS_EVENTS = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "subprocess.Popen",
)
NETWORK_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
CHANGING_EVENTS = ("os.remove", "os.rmdir", "os.mkdir")
NEVER_REAL = ("rhl-cache-conda", "rhl-handshake", "rhl-launch-service", "rhl-look", "rhl-verify-port")
SPECIAL = "'\"\\;|&$`<>(){}*?#~!=-/. \t\n\r\x00\x07\x1b\x7f\udcff\u00e9\u202e"
WORDS = (
    "/", "/etc", "/etc/passwd", "~", "~root", "..", ".", "-", "--", "-h", "--help", "--version", "$(id)", "`id`", "*",
    "{ROOT}/outside", "{ROOT}/outside/secret.txt", "{ROOT}/outside/db", "{HOME}", "{HOME}/.ssh", "{HOME}/data",
    "{HOME}/data/link-out", "{HOME}/data/link-in", "{HOME}/data/link-ssh", "{HOME}/data/link-etc",
    "{HOME}/data/.hidden",
    "{HOME}/data2", "{HOME}/newroot/x", "~/data/proj/../../data2", "/proc/self/cwd", "/proc/self/root/etc",
    "/dev/fd/0",
    "--file", "--marker", "--level", "--workdir", "--status-file", "--key", "--force", "--only", "--json", "-c",
    "--data-roots", "--permissive-paths", "rhl-guard", "rhl-ps", "bash", "python3", "sh", "id;", "&&", "||", "|",
    ">", "x",
)  # fmt: skip
LAUNCH = "rhl-launch-service --key k --workdir ~/data/new --parameters '{\"a\": 1}' -- "
STATUS = "--port-range 1 2 --status-file ~/.remote-http-launcher/server/k.json --host localhost --timeout 9 "
SEEDS = (
    "rhl-ps --json", "rhl-ps --client --host h", "rhl-logs k --tail 5", "rhl-logs k", "rhl-inspect k --with-mtime",
    "rhl-stop k1 k2", "rhl-rm --server k", "rhl-pid-alive 2147483646", "rhl-verify-port 127.0.0.1 1",
    "rhl-conda-info",
    "rhl-handshake http://127.0.0.1:1/healthcheck", "rhl-look k --want running --wait 1", "rhl-cache-conda",
    "rhl-clear {HOME}/data/proj", "rhl-clear ~/data/buf --dry-run", "rhl-clear {HOME}/marked", "rhl-clear ~/ext-proj",
    "rhl-clear '{HOME}/with space'", "rhl-ps-persistent --file seamless.db --level 1 {HOME}/data/proj --json",
    "rhl-ps-persistent {HOME}/data/proj {HOME}/data/buf --marker=.HASHSERVER_PREFIX", "rhl-ps-persistent ~/data",
    "PATH=$HOME/miniforge3/bin:$PATH rhl-ps-persistent {HOME}/data/buf",
    LAUNCH + "hashserver " + STATUS + "~/data/new --writable", LAUNCH + "seamless-database " + STATUS + "seamless.db",
    LAUNCH + "seamless-jobserver --workers 2 " + STATUS,
    LAUNCH + "seamless-dask-wrapper distributed::LocalCluster " + STATUS,
    LAUNCH + "hashserver {HOME}/data/proj",
    "rhl-launch-service --key=k --workdir=~/data/a --conda-env e -- hashserver x",
)  # fmt: skip
POLICIES = (
    (),
    ("--data-roots", "{HOME}/cfg/roots"),
    ("--clear-policy", "seamless"),
    ("--clear-policy=marker:.rhl-ok",),
    ("--permissive-paths",),
)
ROLES = ("observe", "operate", "clear", "all", "all", "all")


class Watch:
    """Takes note of what the process does while the guard runs."""

    def __init__(self, home: str) -> None:
        self.active = False
        self.seen: list[str] = []
        self._own = f"{home}/.remote-http-launcher/"
        self._settings = f"{home}/cfg/"
        self._code = tuple({sys.prefix, sys.base_prefix, str(VECTORS.parents[2] / "packages")})

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event in PROCESS_EVENTS or event in NETWORK_EVENTS:
            self.seen.append(f"{event} {arguments!r}")
        elif event == "open":
            self._opened(*arguments)
        elif event in CHANGING_EVENTS:
            self._changed(event, arguments[0], arguments[-1])
        elif event == "os.rename":
            self._changed(event, arguments[0], arguments[2])
            self._changed(event, arguments[1], arguments[3])

    def _opened(self, path: object, mode: object, flags: int) -> None:
        if isinstance(path, int) or flags & os.O_PATH:  # to resolve is not to read
            return
        text = os.fsdecode(path)  # type: ignore[arg-type]
        is_reading = flags & (os.O_WRONLY | os.O_RDWR) == 0
        if text.startswith(self._own) or (
            is_reading and text.startswith((self._settings, "/proc/", *self._code))
        ):
            return
        is_below_descriptor = (
            "/" not in text and flags & os.O_DIRECTORY and (text == "." or flags & os.O_NOFOLLOW)
        )
        is_lock_of_database = text == "seamless.db-shm" and is_reading and flags & os.O_NOFOLLOW
        if not (is_below_descriptor or is_lock_of_database):
            self.seen.append(f"open {text!r} {flags:o}")

    def _changed(self, event: str, path: object, descriptor: int) -> None:
        text = os.fsdecode(path)  # type: ignore[arg-type]
        is_below_descriptor = descriptor >= 0 and "/" not in text and text not in (".", "..")
        if not is_below_descriptor and not text.startswith(self._own[:-1]):
            self.seen.append(f"{event} {text!r} {descriptor}")


class World:
    """The host of the recorded cases, and what it may be asked."""

    def __init__(self, root: Path, setup: list[dict[str, str]]) -> None:
        self.root, self.home, self._setup = str(root), str(root / "home" / "svc"), setup
        self.make()

    def filled(self, text: str) -> str:
        return text.replace("{HOME}", self.home).replace("{ROOT}", self.root)

    def make(self) -> None:
        for item in self._setup:
            path = Path(self.filled(next(iter(item.values()))))
            if "dir" in item:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if "file" in item:
                path.write_text(self.filled(item["text"]))
            elif not path.is_symlink():
                path.symlink_to(self.filled(item["target"]))

    def outside(self) -> dict[str, str]:
        """Return what lies outside every policy."""
        found = {}
        for top in ("outside", "home/svc/.ssh", "home/svc/cfg", "home/svc/data2"):
            for folder, _, names in os.walk(f"{self.root}/{top}"):
                found[folder] = ""
                found.update({f"{folder}/{name}": Path(folder, name).read_text() for name in names})
        return found

    def complaint(self, call: dispatch.Call, policy: tuple[str, ...], role: str) -> str:
        """Return what is wrong with a call that was allowed; judged by other means than the guard's."""
        directories = [word for word in call.words if isinstance(word, ResolvedDirectory)]
        paths = [directory.path for directory in directories]
        paths += [word.path for word in call.words if isinstance(word, ResolvedPath)]
        if "--" in call.words:
            after = call.words[call.words.index("--") + 1 :]
            own = f"{self.home}/.remote-http-launcher/server/k.json"
            paths += [word for word in after if word.startswith(("/", "~", ".")) and word != own]
        for directory in directories:
            if (
                directory.fd is not None
                and os.path.realpath(f"/proc/self/fd/{directory.fd}") != directory.path
            ):
                return f"{directory!r} is not at {directory.path!r}"
        if paths and not policy:
            return "a directory without policy"
        for path in paths:
            real = os.path.realpath(path)
            if "/." in path or self.home == real or self.home.startswith(real.rstrip("/") + "/"):
                return f"path {path!r}"
            if real.startswith(("/etc", "/usr", "/proc", "/dev", "/sys", "/bin", "/lib")):
                return f"path of the system {path!r}"
            if policy[0] == "--data-roots" and not f"{real}/".startswith(
                (f"{self.home}/data/", f"{self.home}/newroot/")
            ):
                return f"path outside of the roots {path!r}"
        if call.helper in ("rhl-clear", "rhl-ps-persistent") and policy[0].startswith("--clear-policy"):
            markers = (".rhl-ok",) if "=" in policy[0] else ("seamless.db", ".HASHSERVER_PREFIX")
            if not all(any(Path(path, marker).is_file() for marker in markers) for path in paths):
                return f"no marker in {paths!r}"
        may = {"observe": "rhl-ps", "clear": "rhl-clear", "operate": "rhl-stop"}
        if call.helper in may.values() and role != "all" and call.helper not in (may[role], "rhl-ps"):
            return f"{call.helper} with role {role}"
        return ""


def mutated(chance: random.Random, text: str) -> str:
    """Return the text after one to four small changes."""
    for _ in range(chance.randint(1, 4)):
        kind = chance.randrange(7)
        at = chance.randint(0, len(text))
        words = text.split(" ")
        which = chance.randrange(len(words))
        if kind == 0:
            text = text[:at] + chance.choice(SPECIAL) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + chance.randint(1, 3) :]
        elif kind == 2:
            words[which] = chance.choice(WORDS)
        elif kind == 3:
            words.insert(which, chance.choice(WORDS))
        elif kind == 4:
            words[which] = words[which][: chance.randint(1, 12)]
        elif kind == 5:
            words[which] = words[which] + "=" + chance.choice(WORDS)
        else:
            words += chance.choice(SEEDS).split(" ")[chance.randint(0, 2) :]
        if kind > 1:
            text = " ".join(words)
    return text


def asked(chance: random.Random) -> str:
    kind = chance.randrange(20)
    if kind == 0:
        return "".join(chance.choice(SPECIAL + "rhlpsecat") for _ in range(chance.randint(0, 60)))
    if kind == 1:
        return " ".join(shlex.quote(chance.choice(WORDS)) for _ in range(chance.randint(1, 6)))
    if kind < 4:
        return chance.choice(SEEDS)
    return mutated(chance, chance.choice(SEEDS))


def main() -> int:
    folder, n_commands, seed, kind = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    chance = random.Random(seed)
    world = World(folder, json.loads(VECTORS.read_text())["guard_setup"])
    os.environ["HOME"] = world.home
    os.chdir(f"{world.root}/outside")  # a relative path would show itself
    addresses.addresses_of = lambda host: [host] if host[0].isdigit() or ":" in host else ["127.0.0.1"]
    command.system_log = lambda: None
    watch = Watch(world.home)
    answer: dict[str, Any] = {"allowed": 0, "refused": 0, "wrong": [], "helpers": {}}
    state = {"policy": POLICIES[0], "role": "all"}

    def run(call: dispatch.Call) -> int:
        answer["helpers"][call.helper] = answer["helpers"].get(call.helper, 0) + 1
        if complaint := world.complaint(call, state["policy"], state["role"]):
            answer["wrong"].append(complaint)
        if (
            kind == "recorded"
            or call.helper in NEVER_REAL
            or "--follow" in call.words
            or "--version" in call.words
        ):
            return 0
        return run_real(call)

    run_real, command.run_helper = dispatch.run_helper, run
    before = world.outside()
    streams, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), io.StringIO(), io.StringIO()
    sys.addaudithook(watch)
    for number in range(-len(SEEDS) * len(POLICIES), n_commands):  # the first ones bring all modules
        text = SEEDS[number % len(SEEDS)] if number < 0 else asked(chance)
        text = world.filled(text).replace("\0", "")
        state["policy"] = POLICIES[number % len(POLICIES)]
        state["role"] = "all" if number < 0 else chance.choice(ROLES)
        os.environ["SSH_ORIGINAL_COMMAND"] = text
        n_before = sum(answer["helpers"].values())
        watch.active = number >= 0
        try:
            code = command.main([world.filled(word) for word in (*state["policy"], "--role", state["role"])])
        except BaseException as exc:
            answer["wrong"].append(f"raised {exc!r}")
            code = 1
        watch.active = False
        ran = sum(answer["helpers"].values()) - n_before
        answer["allowed" if ran else "refused"] += 1
        if not ran and code != 1:
            answer["wrong"].append(f"refused with {code}")
        if watch.seen:
            answer["wrong"] += watch.seen
            watch.seen = []
        if answer["wrong"]:
            answer["command"] = text
            break
        if number % 50 == 0 and kind == "real":
            world.make()
            sys.stdout.truncate(0)
    if world.outside() != before:
        answer["wrong"].append("something outside has changed")
    sys.stdout, sys.stderr = streams
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
