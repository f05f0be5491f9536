"""Options that commands share."""

from __future__ import annotations

import errno

import click
import pytest
from click.testing import CliRunner

from mutspec.cli.exit_codes import ExitCode, code_of
from mutspec.cli.options import Memory, memory_option
from mutspec.errors import CheckError, EnvironmentProblem, ModelError, PlanError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("200MB", 200_000_000),
        ("1.5GiB", 1_610_612_736),
        ("64k", 64_000),
        ("1024", 1024),
        (" 2 gb ", 2_000_000_000),
        ("1TiB", 2**40),
    ],
)
def test_memory_is_read_with_its_unit(text: str, size: int) -> None:
    assert Memory().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "2 MBit", "1e3", "0", "0.1B"])
def test_what_is_not_an_amount_of_memory_is_refused(text: str) -> None:
    @click.command()
    @memory_option
    def command(max_memory: int | None) -> None:
        click.echo(max_memory)

    result = CliRunner().invoke(command, ["--max-memory", text])
    assert result.exit_code == 2
    assert "memory" in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlanError("a"), ExitCode.WRONG_INPUT),
        (ModelError("a"), ExitCode.WRONG_INPUT),
        (CheckError("a"), ExitCode.CHECK_FAILED),
        (EnvironmentProblem("a"), ExitCode.ENVIRONMENT),
        (OSError(errno.ENOSPC, "No space left on device"), ExitCode.ENVIRONMENT),
        (OSError(errno.EMFILE, "Too many open files"), ExitCode.ENVIRONMENT),
        (FileNotFoundError(errno.ENOENT, "No such file"), ExitCode.WRONG_INPUT),
        (PermissionError(errno.EACCES, "Permission denied"), ExitCode.WRONG_INPUT),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    assert code_of(error) is code  # type: ignore[arg-type]
