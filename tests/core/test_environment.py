"""Settings from the environment: all errors in one message, and no secret in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.environment import REQUIRED, Environment, check_hosts, check_origins, parse_json

type SetVariables = Callable[..., Environment]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetVariables:
    """Make an Environment with the given variables, in addition to those of the process."""

    def make(**variables: str) -> Environment:
        monkeypatch.delenv("ENV_FILE", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Environment()

    return make


@pytest.fixture
def env_file(tmp_path: Path, environment: SetVariables, monkeypatch: pytest.MonkeyPatch) -> SetVariables:
    """Make an Environment with an ENV_FILE of the given content."""

    def make(content: bytes, **variables: str) -> Environment:
        file = tmp_path / "some.env"
        file.write_bytes(content)
        # Setting and deleting each variable makes monkeypatch remove it again after the test.
        for name in ("FROM_FILE", "OTHER", "JSON"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        return environment(ENV_FILE=str(file), **variables)

    return make


def exit_message(env: Environment) -> str:
    with pytest.raises(SystemExit) as end:
        env.finish()
    assert isinstance(end.value.code, str)  # Python prints it to stderr and exits with 1
    return end.value.code


def test_valid_settings_do_not_exit(environment: SetVariables) -> None:
    env = environment(A="1")
    assert env.integer("A", 5) == 1
    env.finish()


def test_unset_variable_has_its_default(environment: SetVariables) -> None:
    env = environment()
    assert env.text("NOT_SET", "a text") == "a text"
    assert env.integer("NOT_SET", 7) == 7
    assert env.boolean("NOT_SET", True) is True
    assert env.strings("NOT_SET", ["a", "b"]) == ["a", "b"]
    assert env.parsed("NOT_SET", "3", int) == 3
    assert not env.errors


@pytest.mark.parametrize("value", ["$HOME", "$$", "$", r"\$x", "a=b", " padded ", "é", "#", '"quoted"', "\\n"])
def test_text_is_returned_unchanged(environment: SetVariables, value: str) -> None:
    env = environment(SECRET=value, HOME="elsewhere")
    assert env.text("SECRET", REQUIRED) == value
    assert not env.errors


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("-5", -5), (" 42 ", 42), ("007", 7)])
def test_integers(environment: SetVariables, value: str, number: int) -> None:
    assert environment(N=value).integer("N", 1, minimum=-10) == number


@pytest.mark.parametrize("value", ["", " ", "1.5", "1e3", "--5", "5-", "0x10", "1_000", "ten", "9" * 5000, "٣", "²"])
def test_value_that_is_no_integer_is_an_error(environment: SetVariables, value: str) -> None:
    env = environment(N=value)
    assert env.integer("N", 1) == 1
    assert env.errors == {"N": "must be an integer"}


@pytest.mark.parametrize("value", ["0", "101", "-1", "9" * 29])
def test_integer_out_of_range_is_an_error(environment: SetVariables, value: str) -> None:
    env = environment(N=value)
    env.integer("N", 50, minimum=1, maximum=100)
    assert env.errors == {"N": "must be from 1 to 100"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("TRUE", True), ("1", True), (" on ", True), ("Yes", True), ("no", False), ("0", False)],
)
def test_booleans(environment: SetVariables, value: str, expected: bool) -> None:
    assert environment(B=value).boolean("B", not expected) is expected


@pytest.mark.parametrize("value", ["", "2", "maybe", "truee", "t", "null", "-1", "ja"])
def test_value_that_is_no_boolean_is_an_error(environment: SetVariables, value: str) -> None:
    for default in (True, False):
        env = environment(B=value)
        assert env.boolean("B", default) is default
        assert env.errors == {"B": "must be true or false"}


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
def test_list_must_be_json(environment: SetVariables, value: str, why: str) -> None:
    assert environment(L='["a"]').strings("L", []) == ["a"]
    env = environment(L=value)
    assert env.strings("L", ["default"]) == ["default"]
    assert env.errors["L"].startswith(why)


def test_error_lists_the_choices(environment: SetVariables) -> None:
    env = environment(C="green")
    assert env.text("C", "red", choices=("red", "blue")) == "red"
    assert env.errors == {"C": "must be one of red, blue"}


def test_required_setting_must_be_set_and_not_empty(environment: SetVariables) -> None:
    for variables in ({}, {"NEEDED": ""}):
        env = environment(**variables)
        assert env.text("NEEDED", REQUIRED) == ""
        assert env.errors == {"NEEDED": "is required and not set"}


def test_result_is_none_if_the_default_is_not_valid_either(environment: SetVariables) -> None:
    def refuse(text: str) -> str:
        raise ValueError("is never right")

    env = environment(X="x")
    assert env.parsed("X", "y", refuse) is None
    assert env.errors == {"X": "is never right"}


def test_one_message_lists_all_errors_without_the_values(environment: SetVariables) -> None:
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
    assert not env.errors


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_file_may_have_either_line_ending(env_file: Any, ending: bytes) -> None:
    env = env_file(ending.join([b"FROM_FILE=$ecret", b"OTHER=", b""]))
    assert (env.text("FROM_FILE"), env.text("OTHER", "default")) == ("$ecret", "")


def test_invalid_line_is_reported_by_its_number(env_file: Any, capfd: pytest.CaptureFixture[str]) -> None:
    env = env_file(b"FROM_FILE=1\nJWT_SECRET: s3cret-value\nOTHER=2\n")
    assert (env.text("FROM_FILE"), env.text("OTHER")) == ("1", "2")
    message = exit_message(env)
    assert "line 2 of" in message
    assert "s3cret" not in message + "".join(capfd.readouterr())


@pytest.mark.parametrize("content", [b"FROM_FILE=\xff\xfe\n", None])
def test_unreadable_file_is_an_error(env_file: Any, environment: Any, tmp_path: Path, content: Any) -> None:
    env = env_file(content) if content else environment(ENV_FILE=str(tmp_path))
    assert "cannot be read" in env.errors["ENV_FILE"]


def test_missing_file_is_an_error(environment: SetVariables, tmp_path: Path) -> None:
    env = environment(ENV_FILE=str(tmp_path / "nowhere.env"))
    assert "nowhere.env cannot be read: No such file" in exit_message(env)


def test_empty_file_name_is_no_file(environment: SetVariables) -> None:
    assert not environment(ENV_FILE="").errors


@pytest.mark.parametrize(
    "hosts",
    [
        ["*"],
        ["localhost", "127.0.0.1", "[::1]"],
        [".example.org", "API.example.org", "xn--bcher-kva.example"],
        # The Kubernetes manifests add the pod's address with and without brackets, for IPv4 and IPv6.
        ["10.0.0.1", "[10.0.0.1]", "fd00::1", "[fd00::1]"],
    ],
)
def test_valid_hosts(hosts: list[str]) -> None:
    check_hosts(hosts)


@pytest.mark.parametrize(
    "host", ["*.example.org", "http://a.example", "a.example:8000", "[::1]:80", "a.example/", "a b"]
)
def test_host_that_matches_nothing_is_an_error(host: str, environment: SetVariables) -> None:
    env = environment(HOSTS=json.dumps(["localhost", host]))
    env.strings("HOSTS", ["localhost"], check=check_hosts)
    assert "HOSTS: must contain host names without scheme and port" in exit_message(env)


def test_empty_list_of_hosts_is_an_error() -> None:
    with pytest.raises(ValueError, match="must contain at least one host"):
        check_hosts([])


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example.org", "https://*", "null", "a.example", "https://a.example/"]
)
def test_wildcards_and_other_texts_are_no_origins(origin: str) -> None:
    with pytest.raises(ValueError, match=r"must list each origin|must contain origins"):
        check_origins(["https://app.example:8443", origin])
