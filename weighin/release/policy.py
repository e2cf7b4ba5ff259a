"""Policy as code: a team's Rego rules over record and approvals, asked last. What errs or is undefined denies.

The interpreter runs in a process of its own: a policy that never ends, or that the interpreter dies of (1.5.2 does of
some `with` clauses), ends there, and denies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from weighin.errors import ContractError, PromotionError
from weighin.untrusted import JsonDict, JsonObject

PACKAGE = "data.weighin.release"
SECONDS = 60


def demand(policy: Path, given: JsonObject, seconds: float = SECONDS) -> None:
    """Ask a policy.

    policy  a file in Rego v1, package `weighin.release`, with `allow`, a boolean, and `deny`, a set of sentences
    given   its `input`
    Errors: `PromotionError` with the sentences of `deny`, or with what is wrong with the policy's answer: it allows
    only where `allow` is true, `deny` is the empty set, and nothing erred on the way.
    """
    place = str(policy)
    try:
        question = json.dumps({"policy": policy.read_text(encoding="utf-8"), "input": dict(given)})
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"the policy cannot be read ({type(error).__name__})", place) from error
    command = [sys.executable, "-I", "-m", "weighin.release.policy"]
    environment = {"PATH": os.environ.get("PATH", "")}
    try:
        asked = subprocess.run(
            command, input=question, capture_output=True, text=True, timeout=seconds, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise PromotionError(f"the policy came to no end in {seconds:g} s", place, "What errs denies.") from None
    if asked.returncode:
        said = " ".join((asked.stderr.strip() or f"code {asked.returncode}").split())[:200]
        raise PromotionError(f"the policy erred: {said}", place, "What errs denies: correct it.")
    answer = json.loads(asked.stdout)
    denied, allowed = answer["deny"], answer["allow"]
    if not isinstance(denied, list) or not all(isinstance(d, str) for d in denied):
        raise PromotionError("the policy's `deny` is no set of sentences", place, "What is undefined denies.")
    if denied:
        raise PromotionError(f"the policy denies it: {'; '.join(sorted(denied))}", place)
    if allowed is not True:
        raise PromotionError("the policy does not allow it: `allow` is not true", place, "What is undefined denies.")


def answer_from(question: JsonObject) -> JsonDict:
    """`allow` and `deny` of a policy for an input; None for what is undefined. Errors: `ValueError`, `RegoError`."""
    from regopy import Interpreter, LogLevel

    interpreter = Interpreter()
    # Without it a call that fails makes its rule undefined: a `deny` that errs would be a `deny` that is silent.
    interpreter.strict_built_in_errors = True
    interpreter.log_level = LogLevel.NONE
    interpreter.add_module("policy", question["policy"])
    interpreter.set_input(question["input"])
    found = {}
    for name in ("deny", "allow"):
        output = interpreter.query(f"{PACKAGE}.{name}")
        if not output.ok():
            raise ValueError(f"`{name}` cannot be evaluated: {output}")
        results = output.results
        found[name] = results[0].expressions[0] if len(results) == 1 and len(results[0].expressions) == 1 else None
    return found


def main() -> int:
    """Answer the question on standard input; returns the exit code."""
    from regopy import RegoError

    try:
        print(json.dumps(answer_from(json.load(sys.stdin))))
    except (RegoError, ValueError, TypeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
