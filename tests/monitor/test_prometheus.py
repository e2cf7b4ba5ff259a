"""The metrics, the dashboard and the alert rules, as a real Pushgateway and a real Prometheus take them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.monitor_pages import ERRORS, NOW, event, item, measured, notified, run
from support.prometheus_server import EXAMPLES, Prometheus, installed, prometheus
from weighin.monitor.prometheus import push
from weighin.monitor.result import document
from weighin.outcome import Direction, Limit, Unmeasured

DASHBOARD = json.loads((EXAMPLES / "grafana.json").read_text())
RULES = yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"][0]["rules"]
ALERTS = {rule["alert"]: rule["expr"] for rule in RULES}
AT_MOST = Limit(Direction.AT_MOST, 0.01, 0.01)
TROUBLED, OK = "flight-delay", "calm-model"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    assert installed(), "prometheus, promtool and prometheus-pushgateway are needed: .ci/programs installs them"


def expressions(model: str) -> dict[str, str]:
    """Every expression of the dashboard by its place, with the variables as Grafana would fill them in."""
    found = {}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']}, {target['refId']}"] = target["expr"]
    for mark in DASHBOARD["annotations"]["list"]:
        found[f"annotation {mark['name']}"] = mark["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        labels = re.fullmatch(r"label_values\((.*), \w+\)", variable.get("definition", ""))
        if labels:
            found[f"variable {variable['name']}"] = labels[1]
    return {k: e.replace("$model", model).replace("$check", ERRORS) for k, e in found.items()}


def shifted(value: dict[str, Any], to: datetime) -> dict[str, Any]:
    """A run that was made `to` instead of at `NOW`, with its events."""
    by = to - NOW
    moved = [
        {**e, "created": (datetime.fromisoformat(e["created"]) + by).isoformat(timespec="milliseconds")}
        for e in value["recent"]
    ]
    return {**value, "timestamp": to.isoformat(timespec="seconds"), "recent": moved, "events": []}


def troubled(now: datetime) -> dict[str, Any]:
    """The story of two versions, with a signal and people having to decide since; the run was twenty minutes ago."""
    value, found = notified()
    number = len(found.events)
    more = [
        event(number + 1, "signal", 0, checks=("stream/prediction",), message="its mean has changed"),
        event(number + 2, "needs_human", 0, checks=(ERRORS,), message="People have to decide."),
    ]
    value["recent"] += document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.001))], more))["recent"]
    return shifted(value, now - timedelta(minutes=20))


def calm(now: datetime) -> dict[str, Any]:
    return shifted(document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.001))], model=OK)), now)


def sent(server: Prometheus, value: dict[str, Any]) -> None:
    """Push, and wait until it was scraped."""
    assert push(server.gateway, value, f"weighin/{value['model']}") == ""
    moment = datetime.fromisoformat(value["timestamp"]).timestamp()
    server.until(f'max(weighin_monitor_last_run_timestamp_seconds{{model="{value["model"]}"}})', moment)


def firing(server: Prometheus) -> set[str]:
    return {a["labels"]["alertname"] for a in server.ask("alerts")["alerts"] if a["state"] == "firing"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as found:
        # Before anything is pushed, only the absence of everything is an answer.
        answered = {name for name, e in {**ALERTS, **expressions(TROUBLED)}.items() if found.query(e)}
        assert answered == {"WeighinMonitorAbsent"}
        now = datetime.now(UTC)
        sent(found, troubled(now))
        sent(found, calm(now))
        yield found


@pytest.mark.parametrize("name", expressions(TROUBLED))
def test_every_expression_of_the_dashboard_has_data(server: Prometheus, name: str) -> None:
    assert server.query(expressions(TROUBLED)[name]), expressions(TROUBLED)[name]


def test_the_dashboard_shows_one_model_at_a_time(server: Prometheus) -> None:
    shown = expressions(OK)
    assert [s["metric"] for s in server.query(shown["State, A"])] == [{"state": "ok"}]
    assert [s["metric"] for s in server.query(expressions(TROUBLED)["State, A"])] == [{"state": "alert"}]
    assert server.query(shown["Open alarms now, A"]) == []
    assert [s["metric"]["check"] for s in server.query(expressions(TROUBLED)["Open alarms now, A"])] == [
        "monitor/last-1-hours/drift/temp"
    ]
    worst = {s["metric"]["check"]: s["value"][1] for s in server.query(expressions(TROUBLED)["Checks over time, A"])}
    assert sorted(worst.values()) == ["0", "0", "0", "1", "2", "3"]
    assert worst[ERRORS] == "0"


def test_every_alert_answers_for_the_troubled_model_and_for_no_other(server: Prometheus) -> None:
    for name in set(ALERTS) - {"WeighinMonitorAbsent", "WeighinMonitorNoData"}:
        assert {s["metric"]["model"] for s in server.query(ALERTS[name])} == {TROUBLED}, name
    for name in ("WeighinMonitorAbsent", "WeighinMonitorNoData"):
        assert server.query(ALERTS[name]) == [], name


def test_rules_that_wait_for_nothing_fire_in_prometheus_itself(server: Prometheus) -> None:
    wanted = {"WeighinMonitorSilent", "WeighinAlarmOpen", "WeighinPeopleHaveToDecide"}
    deadline = time.monotonic() + 30
    while not wanted <= firing(server):
        assert time.monotonic() < deadline, firing(server)
        time.sleep(0.1)


def test_a_blind_monitor_is_told_and_a_calm_look_ends_every_alert(server: Prometheus) -> None:
    now = datetime.now(UTC)
    away = run([(item(ERRORS, AT_MOST), Unmeasured(ERRORS, "away"))], model=TROUBLED, away="refused")
    sent(server, shifted(document(away), now))
    assert {s["metric"]["model"] for s in server.query(ALERTS["WeighinMonitorNoData"])} == {TROUBLED}
    sent(server, {**calm(now + timedelta(seconds=1)), "model": TROUBLED})
    # What is not pushed any more is gone at once: the push replaced all of it.
    assert [name for name, expression in ALERTS.items() if server.query(expression)] == []


def test_infinite_values_and_strange_names_arrive(server: Prometheus) -> None:
    strange = 'a "name"\\with\nä/😀'
    check = f"monitor/{strange}"
    evidence = replace(measured(check, 0.004, 0.001), low=float("-inf"), high=float("inf"))
    value = shifted(document(run([(item(check, AT_MOST), evidence)], model="strange")), datetime.now(UTC))
    value["version"] = strange
    sent(server, value)
    found = server.query('weighin_monitor_check_high{model="strange"}')
    assert [(s["metric"]["check"], s["metric"]["version"], s["value"][1]) for s in found] == [(check, strange, "+Inf")]


def promtool(*words: str, folder: Path) -> str:
    ran = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_rules_and_configuration_are_what_prometheus_takes() -> None:
    assert "SUCCESS: 5 rules found" in promtool("check", "rules", "--lint-fatal", "alerts.yml", folder=EXAMPLES)
    promtool("check", "config", "prometheus.yml", folder=EXAMPLES)


def test_alerts_come_when_their_time_is_over_and_not_before(tmp_path: Path) -> None:
    """Prometheus' own clock of tests: a monitor that looks for half an hour, stops, and whose metrics go."""
    last_run = "weighin_monitor_last_run_timestamp_seconds"
    series = [
        # A run a minute until minute 30, then the same value, and nothing from minute 60 on.
        {"series": f'{last_run}{{model="m", version="3"}}', "values": "0+60x30 1800x29 stale"},
        {"series": 'weighin_monitor_state{model="m", version="3", state="no_data"}', "values": "0x9 1x30 0x20"},
        {"series": 'weighin_monitor_alarm_open{model="m", version="3", check="c"}', "values": "0x4 1 0x100"},
    ]

    def expected(minute: int, name: str, *alerts: dict[str, str]) -> dict[str, Any]:
        rule = next(r for r in RULES if r["alert"] == name)
        listed = [{"exp_labels": {**rule["labels"], **a}} for a in alerts]
        return {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": listed}

    silent, blind = {"model": "m"}, {"model": "m", "version": "3"}
    cases = [
        expected(44, "WeighinMonitorSilent"),
        expected(46, "WeighinMonitorSilent", silent),
        expected(70, "WeighinMonitorSilent", silent),
        expected(19, "WeighinMonitorNoData"),
        expected(21, "WeighinMonitorNoData", blind),
        expected(41, "WeighinMonitorNoData"),
        expected(4, "WeighinAlarmOpen"),
        expected(5, "WeighinAlarmOpen", {**blind, "check": "c"}),
        expected(6, "WeighinAlarmOpen"),
        expected(74, "WeighinMonitorAbsent"),
        expected(76, "WeighinMonitorAbsent", {}),
    ]
    rules = yaml.safe_load((EXAMPLES / "alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule.pop("annotations")  # they hold times in words
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    test = {"interval": "1m", "input_series": series, "alert_rule_test": cases}
    whole = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(whole))
    assert "SUCCESS" in promtool("test", "rules", "test.yml", folder=tmp_path)
