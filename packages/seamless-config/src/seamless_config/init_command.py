"""seamless-init: start what the project needs, or say whether it is up.

The services are started and greeted at once, as `seamless.config.init()` and the first steps would; nothing of it
belongs to this process, so it stays when the command ends.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing costs a command 6 ms
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from seamless_command.messages import Messages

    from .activation_plan import ActivationPlan

__all__ = ("main",)

PROGRAM = "seamless-init"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of seamless-init."""
    if "SEAMLESS_REMOTE_CLIENTS" in os.environ:
        return 0  # a worker: whoever started it has seen to everything
    options = _parser().parse_args(argv)

    from seamless_command.program import run_program

    return run_program(PROGRAM, lambda messages: _init(options, messages))


def _init(options: argparse.Namespace, messages: Messages) -> int:
    from .activation_plan import plan_of
    from .configuration import read_configuration
    from .errors import ConfigurationError
    from .select import checked_name

    try:
        name, _, part = options.stage.partition(":")
        if options.stage.startswith(":"):
            raise ConfigurationError(
                f"--stage {options.stage!r} has a substage and no stage.",
                remedy="Write --stage STAGE:SUBSTAGE.",
            )
        stage, substage = checked_name("stage", name), checked_name("substage", part)
        configuration = read_configuration(os.getcwd(), stage=stage, substage=substage)
        name, _, part = options.project.partition(":")
        project, subproject = checked_name("project", name), checked_name("subproject", part)
        if project is not None:
            configuration = configuration.with_project(project, subproject, "--project")
        plan = plan_of(configuration)
        for text in plan.warnings:
            messages.say(0, f"warning: {text}")
        services = _services(plan, options, messages)
    except ConfigurationError as exc:
        messages.error(f"{_where(exc)}{exc.cause}{_line(exc)}", exc.remedy or None)
        return 1
    if options.json:
        import json

        print(json.dumps(_document(plan, services), sort_keys=True))
    return 0 if all(service["status"] == "running" for service in services) else 1


def _where(exc: Any) -> str:
    return "" if exc.place is None else f"{exc.place}: "


def _line(exc: Any) -> str:
    shown = "" if exc.place is None else exc.place.shown()
    return f"\n{shown}" if shown else ""


def _services(plan: ActivationPlan, options: argparse.Namespace, messages: Messages) -> list[dict[str, Any]]:
    """Start or check the services; return what is known of each."""
    if plan.embedded is not None:
        messages.say(
            0, f"the cache {plan.embedded} is opened by each process itself: nothing is to be started"
        )
    elif not plan.services:
        messages.say(0, "results are kept in memory: nothing is to be started")
    if not plan.services:
        return []
    from .service_activation import active_services, use_services
    from .service_reports import check_service, start_report

    use_services(plan)
    clients = active_services()
    if options.check:
        reports = [check_service(client) for client in clients]
    else:
        from .starting import start_services

        reports = [
            start_report(client, failure)
            for client, failure in zip(clients, start_services(clients), strict=True)
        ]
        from seamless.lifecycle import close

        close()
    for report in reports:
        problem, hint = report.pop("problem"), report.pop("hint")
        if problem:
            messages.error(problem, hint or None)
        else:
            messages.say(0, _told(report))
    return reports


def _told(report: dict[str, Any]) -> str:
    where = "" if report["host"] is None else f" on {report['host']}"
    at = f" at {report['url']}" if report["url"] else ""
    return f"{report['service']} {report['key']}: {report['status']}{where}{at}, data in {report['workdir']}"


def _document(plan: ActivationPlan, services: list[dict[str, Any]]) -> dict[str, Any]:
    selection = plan.configuration.selection
    return {
        "cache": plan.embedded,
        "cluster": selection.cluster,
        "execution": plan.configuration.execution,
        "persistent": not plan.is_memory,
        "project": selection.project,
        "services": services,
        "stage": selection.stage,
        "subproject": selection.subproject,
        "substage": selection.substage,
        "warnings": list(plan.warnings),
    }


def _parser() -> argparse.ArgumentParser:
    from seamless_command.command_parser import command_parser

    parser = command_parser(
        PROGRAM,
        "Read the configuration of the current directory, and start the services that it asks for, or find them "
        "running. With SEAMLESS_REMOTE_CLIENTS in the environment, there is nothing to do.",
        examples=[
            ("seamless-init", "start the buffer and database servers of the project"),
            (
                "seamless-init --stage prod --check",
                "say whether those of stage prod are up, and start nothing",
            ),
        ],
        exit_codes=(
            (0, "everything that is needed is up"),
            (1, "the configuration is wrong, or something is not up"),
            (2, "wrong usage"),
            (130, "interrupted; what was only starting was stopped"),
        ),
        distribution="seamless-config",
    )
    parser.add_argument(
        "--project",
        metavar="PROJECT[:SUBPROJECT]",
        default="",
        help="the project (and subproject), instead of what the files say",
    )
    parser.add_argument(
        "--stage", metavar="STAGE[:SUBSTAGE]", default="", help="the stage (and substage), else none"
    )
    parser.add_argument(
        "--check", action="store_true", help="start nothing; exit code 1 when something is not up"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser
