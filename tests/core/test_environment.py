"""Settings from the environment: all mistakes are reported in one message, without secrets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.environment import REQUIRED, Environment, check_hosts, check_origins, parse_json

type SetVariables = Callable[..., Environment]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetVariables:
    """Create an environment with these variables in addition to those of the process."""

    def make(**variables: str) -> Environment:
        monkeypatch.delenv("ENV_FILE", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Environment()

    return make


@pytest.fixture
def env_file(tmp_path: Path, environment: SetVariables, monkeypatch: pytest.MonkeyPatch) -> SetVariables:
    """Create an environment with a file of this content. Its variables are removed after the test."""

    def make(content: bytes, **variables: str) -> Environment:
        file = tmp_path / "some.env"
        file.write_bytes(content)
        for name in ("FROM_FILE", "OTHER", "JSON"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        return environment(ENV_FILE=str(file), **variables)

    return make


def exit_message(env: Environment) -> str:
    """Return the message with which the process ends."""
    with pytest.raises(SystemExit) as end:
        env.finish()
    assert isinstance(end.value.code, str)  # SystemExit with a text prints it to stderr and exits with 1
    return end.value.code


def test_valid_environment_does_not_exit(environment: SetVariables) -> None:
    env = environment(A="1")
    assert env.integer("A", 5) == 1
    env.finish()


def test_unset_variables_have_their_defaults(environment: SetVariables) -> None:
    env = environment()
    assert env.text("NOT_SET", "a text") == "a text"
    assert env.integer("NOT_SET", 7) == 7
    assert env.boolean("NOT_SET", True) is True
    assert env.strings("NOT_SET", ["a", "b"]) == ["a", "b"]
    assert env.parsed("NOT_SET", "3", int) == 3
    assert not env.mistakes


@pytest.mark.parametrize("value", ["$HOME", "$$", "$", r"\$x", "a=b", " padded ", "é", "#", '"quoted"', "\\n"])
def test_text_is_not_interpreted(environment: SetVariables, value: str) -> None:
    env = environment(SECRET=value, HOME="elsewhere")
    assert env.text("SECRET", REQUIRED) == value
    assert not env.mistakes


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("-5", -5), (" 42 ", 42), ("007", 7)])
def test_whole_numbers_are_accepted(environment: SetVariables, value: str, number: int) -> None:
    assert environment(N=value).integer("N", 1, minimum=-10) == number


@pytest.mark.parametrize("value", ["", " ", "1.5", "1e3", "--5", "5-", "0x10", "1_000", "ten", "9" * 5000, "٣", "²"])
def test_other_numbers_are_refused(environment: SetVariables, value: str) -> None:
    env = environment(N=value)
    assert env.integer("N", 1) == 1
    assert env.mistakes == {"N": "must be a whole number"}


@pytest.mark.parametrize("value", ["0", "101", "-1", "9" * 29])
def test_numbers_out_of_range_are_refused(environment: SetVariables, value: str) -> None:
    env = environment(N=value)
    env.integer("N", 50, minimum=1, maximum=100)
    assert env.mistakes == {"N": "must be between 1 and 100"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("TRUE", True), ("1", True), (" on ", True), ("Yes", True), ("no", False), ("0", False)],
)
def test_booleans_are_accepted(environment: SetVariables, value: str, expected: bool) -> None:
    assert environment(B=value).boolean("B", not expected) is expected


@pytest.mark.parametrize("value", ["", "2", "maybe", "truee", "t", "null", "-1", "ja"])
def test_other_booleans_are_refused(environment: SetVariables, value: str) -> None:
    for default in (True, False):
        env = environment(B=value)
        assert env.boolean("B", default) is default
        assert env.mistakes == {"B": "must be true or false"}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a, b", "must be JSON"),
        ("", "must be JSON"),
        ('"a"', "must be a JSON list of strings"),
        ("[1]", "must be a JSON list of strings"),
        ('{"a": "b"}', "must be a JSON list of strings"),
        ("null", "must be a JSON list of strings"),
    ],
)
def test_lists_are_json(environment: SetVariables, value: str, why: str) -> None:
    assert environment(L='["a"]').strings("L", []) == ["a"]
    env = environment(L=value)
    assert env.strings("L", ["default"]) == ["default"]
    assert env.mistakes["L"].startswith(why)


def test_invalid_choice_is_reported_with_the_choices(environment: SetVariables) -> None:
    env = environment(C="green")
    assert env.text("C", "red", choices=("red", "blue")) == "red"
    assert env.mistakes == {"C": "must be one of red, blue"}


def test_required_setting_must_not_be_empty(environment: SetVariables) -> None:
    for variables in ({}, {"NEEDED": ""}):
        env = environment(**variables)
        assert env.text("NEEDED", REQUIRED) == ""
        assert env.mistakes == {"NEEDED": "is required and not set"}


def test_invalid_default_becomes_none(environment: SetVariables) -> None:
    def refuse(text: str) -> str:
        raise ValueError("is never right")

    env = environment(X="x")
    assert env.parsed("X", "y", refuse) is None
    assert env.mistakes == {"X": "is never right"}


def test_all_mistakes_are_reported_together_without_values(environment: SetVariables) -> None:
    secret = "s3cret-value"
    env = environment(A=secret, B=secret, C=secret, D=secret, E=secret)
    env.integer("A", 1)
    env.boolean("B", True)
    env.strings("C", [])
    env.text("D", "x", choices=("x",))
    env.parsed("E", "{}", parse_json)
    env.refuse("F", "is unsafe")
    env.refuse("F", "for another reason")
    message = exit_message(env)
    assert [line.strip().split(":")[0] for line in message.splitlines()[1:-1]] == ["A", "B", "C", "D", "E", "F"]
    assert "F: is unsafe" in message
    assert "another reason" not in message
    assert secret not in message


def test_file_sets_only_unset_variables(env_file: Any) -> None:
    content = b"""# a comment
FROM_FILE=from the file
export OTHER="in the file"

   # indented
JSON='["a", "b=c"]'
"""
    env = env_file(content, OTHER="in the environment")
    assert env.text("FROM_FILE") == "from the file"
    assert env.text("OTHER") == "in the environment"
    assert env.strings("JSON", []) == ["a", "b=c"]
    assert not env.mistakes


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_line_endings_of_other_systems_are_accepted(env_file: Any, ending: bytes) -> None:
    env = env_file(ending.join([b"FROM_FILE=$ecret", b"OTHER=", b""]))
    assert (env.text("FROM_FILE"), env.text("OTHER", "default")) == ("$ecret", "")


def test_malformed_line_is_reported_by_number(env_file: Any, capfd: pytest.CaptureFixture[str]) -> None:
    env = env_file(b"FROM_FILE=1\nJWT_SECRET: s3cret-value\nOTHER=2\n")
    assert (env.text("FROM_FILE"), env.text("OTHER")) == ("1", "2")
    message = exit_message(env)
    assert "line 2 of" in message
    assert "s3cret" not in message + "".join(capfd.readouterr())


@pytest.mark.parametrize("content", [b"FROM_FILE=\xff\xfe\n", None])
def test_unreadable_file_is_reported(env_file: Any, environment: Any, tmp_path: Path, content: Any) -> None:
    env = env_file(content) if content else environment(ENV_FILE=str(tmp_path))
    assert "cannot be read" in env.mistakes["ENV_FILE"]


def test_missing_file_is_reported(environment: SetVariables, tmp_path: Path) -> None:
    env = environment(ENV_FILE=str(tmp_path / "nowhere.env"))
    assert "nowhere.env cannot be read: No such file" in exit_message(env)


def test_empty_env_file_is_ignored(environment: SetVariables) -> None:
    assert not environment(ENV_FILE="").mistakes


@pytest.mark.parametrize(
    "hosts",
    [
        ["*"],
        ["localhost", "127.0.0.1", "[::1]"],
        [".example.org", "API.example.org", "xn--bcher-kva.example"],
        # Kubernetes sends these for a pod's address of either IP version.
        ["10.0.0.1", "[10.0.0.1]", "fd00::1", "[fd00::1]"],
    ],
)
def test_hosts_that_can_match_are_accepted(hosts: list[str]) -> None:
    check_hosts(hosts)


@pytest.mark.parametrize(
    "host", ["*.example.org", "http://a.example", "a.example:8000", "[::1]:80", "a.example/", "a b"]
)
def test_host_that_can_never_match_is_refused(host: str, environment: SetVariables) -> None:
    env = environment(HOSTS=json.dumps(["localhost", host]))
    env.strings("HOSTS", ["localhost"], check=check_hosts)
    assert "HOSTS: must hold names such as api.example" in exit_message(env)


def test_empty_list_of_hosts_is_refused() -> None:
    with pytest.raises(ValueError, match="must name a host"):
        check_hosts([])


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example.org", "https://*", "null", "a.example", "https://a.example/"]
)
def test_invalid_or_wildcard_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match=r"must name each origin|must hold origins"):
        check_origins(["https://app.example:8443", origin])
