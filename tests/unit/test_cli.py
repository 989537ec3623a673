"""The command line without a queue: what it prints where, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from landmarq.cli import EPILOG, app
from landmarq.commands.common import Group
from landmarq.errors import ExitCode
from recognition.index.store import Store
from tests.support.indexes import FINGERPRINT, build
from tests.support.workers import ROOT

NO_BROKER = {"LANDMARQ_REDIS__URL": "redis://127.0.0.1:1/0"}
HEAVY = ("tensorflow", "keras", "scipy", "cv2", "skimage", "h5py", "PIL", "faiss")


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="landmarq", env=env)


def answer(result: Result) -> Any:
    """The one line of JSON on stdout."""
    (line,) = result.stdout.splitlines()
    return json.loads(line)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two generations: four images of two landmarks, then six of three."""
    return build(tmp_path / "index", range(4), range(4, 6))


@pytest.mark.parametrize("arguments", [["--help"], ["recognize", "--help"], ["index", "--help"], ["version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from landmarq.cli import app\n"
        f"try: app({arguments!r})\n"
        f"except SystemExit: sys.stderr.write(','.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout
    assert found.stderr == ""


def test_help_and_documentation_tell_every_exit_code() -> None:
    documented = (ROOT / "docs" / "cli.md").read_text()
    for code in ExitCode:
        assert f" {code.value} " in f" {EPILOG}"
        assert f"| {code.value} |" in documented


def test_every_command_and_option_is_documented() -> None:
    documented = (ROOT / "docs" / "cli.md").read_text()
    for name, options in commands(typer.main.get_command(app), "landmarq"):
        assert f"`{name}" in documented, name
        section = documented.split(f"`{name}", 1)[1].split("\n## ", 1)[0]
        assert [option for option in options if f"`{option}" not in section and f"`{option}" not in documented] == []


def commands(command: Any, name: str) -> list[tuple[str, list[str]]]:
    """Every command below ``command``, with its options."""
    if hasattr(command, "commands"):
        return [found for sub, child in command.commands.items() for found in commands(child, f"{name} {sub}")]
    return [(name, [option for option in (p.opts[-1] for p in command.params) if option.startswith("--")])]


def test_no_index_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    result = run("recognize", "photo.jpg", "--index-dir", tmp_path / "none")
    assert (result.exit_code, result.stdout) == (ExitCode.ERROR, "")
    assert result.stderr.startswith("error [index_missing]: ")
    assert "landmarq index build" in result.stderr
    assert result.stderr.count("\n") == 1


def test_json_errors_are_an_object_on_stdout(tmp_path: Path) -> None:
    result = run("index", "info", "--json", "--index-dir", tmp_path / "none")
    assert result.exit_code == ExitCode.ERROR
    assert answer(result)["error"]["code"] == "index_missing"


@pytest.mark.parametrize("command", [["index", "prune", "--keep", "0"], ["status"], ["match", "one.jpg"]])
def test_wrong_usage_is_2_in_json_too(command: list[str]) -> None:
    assert run(*command).exit_code == ExitCode.USAGE
    result = run(*command, "--json")
    assert result.exit_code == ExitCode.USAGE
    assert answer(result)["error"]["code"] == "usage"


def test_settings_that_cannot_be_used_name_the_variable() -> None:
    result = run("index", "info", env={"LANDMARQ_PROFILE": "origin"})
    assert result.exit_code == ExitCode.ERROR
    assert "LANDMARQ_PROFILE" in result.stderr


@pytest.mark.parametrize("command", [["submit", "samples.csv"], ["status", "x"], ["result", "x"], ["cancel", "x"]])
def test_without_a_broker_it_is_4(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "samples")
    result = run(*command, "--json", env=NO_BROKER)
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert answer(result)["error"]["code"] == "broker_unavailable"


def test_a_broker_password_is_not_shown() -> None:
    result = run("status", "x", env={"LANDMARQ_REDIS__URL": "redis://user:secret@127.0.0.1:1/0"})
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
        (OSError(28, "No space left on device", "a.h5"), ExitCode.ERROR, "error [system_error]: [Errno 28]"),
        (ZeroDivisionError("by zero"), ExitCode.ERROR, "error [internal]: ZeroDivisionError: by zero"),
    ],
)
def test_no_traceback_reaches_the_user(error: BaseException, code: ExitCode, text: str) -> None:
    small = typer.Typer(cls=Group)

    @small.command()
    def fail() -> None:
        raise error

    @small.command()
    def other() -> None:
        pass

    result = CliRunner().invoke(small, ["fail"])
    assert result.exit_code == code
    assert result.stderr.startswith(text)
    assert "Traceback" not in result.output


def test_index_info_list_and_check(store: Store) -> None:
    info = answer(run("index", "info", "--json", "--index-dir", store.path))
    assert {name: info[name] for name in ("images", "landmarks", "generation", "generations", "extractor")} == {
        "images": 6,
        "landmarks": 3,
        "generation": 2,
        "generations": [1, 2],
        "extractor": FINGERPRINT,
    }
    rows = [json.loads(line) for line in run("index", "list", "--json", "--index-dir", store.path).stdout.splitlines()]
    assert [row["image"] for row in rows] == [f"{number}.jpg" for number in range(6)]
    assert "landmark-2" in run("index", "list", "--index-dir", store.path).stdout
    assert "is sound" in run("index", "check", "--index-dir", store.path).stdout


def test_index_check_names_damage_and_ends_with_1(store: Store) -> None:
    segment = min(store.segments.glob("*.h5"))
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")
    result = run("index", "check", "--json", "--index-dir", store.path)
    assert result.exit_code == ExitCode.ERROR
    assert str(segment) in answer(result)["problems"][0]


def test_index_remove_rollback_and_prune(store: Store) -> None:
    where = ("--json", "--index-dir", store.path)
    assert answer(run("index", "remove", "0.jpg", "5.jpg", *where)) == {"generation": 3, "removed": 2}
    assert len(store.open()) == 4
    assert answer(run("index", "rollback", "2", *where)) == {"generation": 2}
    assert len(store.open()) == 6
    assert answer(run("index", "prune", "--keep", "1", *where)) == {"deleted": [1], "generations": [2, 3]}
    assert answer(run("index", "remove", "none.jpg", *where))["error"]["code"] == "bad_index_input"
    assert answer(run("index", "rollback", "9", *where))["error"]["code"] == "generation_missing"


def test_doctor_says_what_to_do(tmp_path: Path) -> None:
    env = {**NO_BROKER, "LANDMARQ_EXTRACTOR": "delf", "LANDMARQ_DELF__HANDLE": str(tmp_path / "none")}
    result = run("doctor", "--json", "--data-dir", tmp_path, env=env)
    assert result.exit_code == ExitCode.ERROR
    found = answer(result)
    assert not found["healthy"]
    failed = {check["name"]: check["fix"] for check in found["checks"] if check["status"] == "failed"}
    assert failed.keys() >= {"broker", "index"}
    assert all(failed.values())
    assert "landmarq up" in failed["broker"]


def test_version_is_json_too() -> None:
    assert answer(run("version", "--json")).keys() == {"version"}
