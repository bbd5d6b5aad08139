"""The scripts for Argo CD, run as its own tests run them: its layout, its test files, its Lua interpreter."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.gitops.argocd import ACTIONS, SCRIPTS, generated_files
from dev.gitops.verdict import run_lua
from tests.gitops.states import states

ACTION_TESTS = yaml.safe_load((SCRIPTS / "actions" / "action_test.yaml").read_text())
HEALTH_TESTS = yaml.safe_load((SCRIPTS / "health_test.yaml").read_text())["tests"]

slow = pytest.mark.slow


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def cleaned(returned: Any, given: Any) -> Any:
    """Lua's empty table is a list; Argo CD takes it for what it was before."""
    if returned == [] and isinstance(given, dict):
        return given
    if isinstance(returned, dict) and isinstance(given, dict):
        return {key: cleaned(value, given.get(key)) for key, value in returned.items()}
    if isinstance(returned, list) and isinstance(given, list):
        return [cleaned(value, given[n] if n < len(given) else None) for n, value in enumerate(returned)]
    return returned


@slow
def test_health():
    inputs = [read(SCRIPTS / one["inputPath"]) for one in HEALTH_TESTS]
    told = run_lua(SCRIPTS / "health.lua", inputs)
    expected = [one["healthStatus"] for one in HEALTH_TESTS]
    assert dict(zip([one["inputPath"] for one in HEALTH_TESTS], told, strict=True)) == dict(
        zip([one["inputPath"] for one in HEALTH_TESTS], expected, strict=True)
    )


def test_health_is_tested_in_every_state_that_the_script_sees():
    """Of an object that is being deleted Argo CD says so itself."""
    tested = {Path(one["inputPath"]).stem for one in HEALTH_TESTS}
    assert tested == {one.name for one in states()} - {"deleted"}


@slow
@pytest.mark.parametrize("test", ACTION_TESTS["discoveryTests"], ids=lambda test: Path(test["inputPath"]).stem)
def test_which_actions_are_offered(test):
    [found] = run_lua(SCRIPTS / "actions" / "discovery.lua", [read(SCRIPTS / "actions" / test["inputPath"])])
    assert {name: action["disabled"] for name, action in found.items()} == {
        action["name"]: action["disabled"] for action in test["result"]
    }


@slow
@pytest.mark.parametrize("test", ACTION_TESTS["actionTests"], ids=lambda test: test["action"])
def test_what_an_action_changes(test):
    given = read(SCRIPTS / "actions" / test["inputPath"])
    [returned] = run_lua(SCRIPTS / "actions" / test["action"] / "action.lua", [given])
    assert cleaned(returned, given) == read(SCRIPTS / "actions" / test["expectedOutputPath"])


def test_every_action_is_tested_and_offered():
    folders = {path.parent.name for path in SCRIPTS.glob("actions/*/action.lua")}
    assert folders == set(ACTIONS) == {test["action"] for test in ACTION_TESTS["actionTests"]}


def test_the_settings_hold_the_scripts():
    config, values = (yaml.safe_load(text) for _, text in generated_files())
    [health, actions] = config["data"].values()
    assert values["configs"]["cm"] == config["data"]
    assert health == (SCRIPTS / "health.lua").read_text()
    parsed = yaml.safe_load(actions)
    assert parsed["discovery.lua"] == (SCRIPTS / "actions" / "discovery.lua").read_text()
    assert {one["name"]: one["action.lua"] for one in parsed["definitions"]} == {
        name: (SCRIPTS / "actions" / name / "action.lua").read_text() for name in ACTIONS
    }


def test_the_settings_are_up_to_date():
    assert [path for path, text in generated_files() if path.read_text() != text] == []
