"""`weighin slack`: answer commands that people type in a chat."""

from __future__ import annotations

import argparse
import os

from weighin.cli.parser import contract_argument, example
from weighin.errors import ContractError

SECRET = "WEIGHIN_SLACK_SIGNING_SECRET"  # noqa: S105 - the name of the variable that holds it


def add_slack(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin slack`."""
    contract_argument(command)
    command.add_argument("--port", type=int, required=True, help="where to listen")
    command.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    example(command, "weighin slack --port 8090    # behind what ends TLS; docs/how-to/slash-command.md")
    command.set_defaults(run=run_slack)


def run_slack(given: argparse.Namespace) -> int:
    """Answer commands until the process is told to end."""
    import socket

    import uvicorn

    from weighin.cli.release import champions_of
    from weighin.contract import read_contract
    from weighin.github.client import GitHub
    from weighin.monitor.history import last_state
    from weighin.slash_command.app import SlashCommandApp
    from weighin.slash_command.commands import Commands, State
    from weighin.slash_command.signature import Verifier

    file = read_contract(given.contract)
    spec = file.contract.monitor.slash_command if file.contract.monitor else None
    if spec is None:
        raise ContractError("the contract has no `monitor.slash_command`", str(file.path), "Say who may use it.")
    try:
        verifier = Verifier(os.environ.get(SECRET, ""))
    except ValueError:
        raise ContractError("no secret to verify requests with", SECRET, "Set it to Slack's signing secret.") from None
    try:
        github = GitHub.of(os.environ)
    except ValueError as error:
        raise ContractError(str(error)) from None
    if not github.token:
        raise ContractError("no token to dispatch the workflow with", "WEIGHIN_GITHUB_TOKEN", "Set it.")
    champions = champions_of(given)

    def look() -> State:
        entries = tuple(champions.ledger.entries())
        return State(champions.model, entries, last_state(champions.registry, champions.model))

    app = SlashCommandApp(Commands(spec, github, look), verifier)
    config = uvicorn.Config(app, log_level="warning", server_header=False)
    with socket.create_server((given.host, given.port)) as listening:
        print(f"http://{given.host}:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run([listening])
    return 0


COMMANDS = {"slack": add_slack}
