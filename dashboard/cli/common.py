"""What every command shares: the data directory, who acts, JSON, errors and exit codes."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TaskID

from dashboard import access
from dashboard.access import Actor
from dashboard.coverage.model import Source
from dashboard.settings import Settings
from dashboard.store import Store, Unit
from dashboard.store.model import Underway
from geodata.errors import DudaoError
from geodata.model import Level

DataOption = Annotated[
    Path | None, typer.Option("--data", help="数据目录(也可用环境变量 DUDAO_DATA)。")
]
AsOption = Annotated[
    str | None, typer.Option("--as", help="以某个账号的身份和权限执行；不写则为数据目录的管理者。")
]
JsonOption = Annotated[bool, typer.Option("--json", help="以 JSON 输出。")]
LayerOption = Annotated[str, typer.Option(help="图层 ID。")]
PlaceOption = Annotated[str, typer.Option(help="区划代码。")]
MonthOption = Annotated[str, typer.Option(help="月份 YYYY-MM。")]
AboveOption = Annotated[str, typer.Option(help="区划代码，比较它以下的单位。")]
LevelOption = Annotated[str, typer.Option(help="比较的级别：county、township 或 village。")]


class _State:
    """What the options before the command said."""

    data: Path | None = None
    login: str | None = None


def remember(data: Path | None, login: str | None) -> None:
    """Keep the options that stand before the command."""
    _State.data, _State.login = data, login


def settings(data: Path | None) -> Settings:
    """The settings, with the data directory of the command or of the options before it."""
    return Settings.load(data or _State.data)


def open_store(data: Path | None) -> Store:
    """The store of the data directory."""
    chosen = settings(data)
    return Store.open(chosen.data, chosen.database_url, chosen.keys, chosen.compute)


def actor(store: Store, login: str | None = None) -> Actor:
    """Who acts: the account named by ``--as``, else the operator of the data directory.

    Raises:
        DudaoError: ACCOUNT_NOT_FOUND.
    """
    wanted = login or _State.login
    if wanted is None:
        return access.operator(getpass.getuser())
    return store.actor(wanted)


@contextmanager
def reading(data: Path | None, login: str | None) -> Iterator[Unit]:
    """Reads of the data directory as whoever the command runs for."""
    with closing(open_store(data)) as store, store.unit(actor(store, login)) as unit:
        yield unit


def only_operator(login: str | None, command: str) -> Actor:
    """The operator of the data directory, for what no account can do.

    Raises:
        DudaoError: OPERATOR_ONLY when ``--as`` was given.
    """
    if login or _State.login:
        raise DudaoError(
            "OPERATOR_ONLY",
            f"{command} 只能由数据目录的管理者执行。",
            "请去掉 --as 后重新执行。",
        )
    return access.operator(getpass.getuser())


def level_of(text: str) -> Level:
    """A level as it was typed.

    Raises:
        DudaoError: LEVEL_UNKNOWN.
    """
    try:
        return Level.parse(text)
    except ValueError as error:
        raise DudaoError(
            "LEVEL_UNKNOWN",
            f"没有级别“{text}”。",
            f"请写 {'、'.join(level.key for level in Level)} 之一。",
        ) from error


def source_of(text: str, *others: str) -> Source:
    """The source a command was asked for.

    Args:
        others: what else the command takes, to be told.

    Raises:
        DudaoError: SOURCE_UNKNOWN.
    """
    try:
        return Source(text)
    except ValueError as error:
        raise DudaoError(
            "SOURCE_UNKNOWN",
            f"没有数据来源“{text}”。",
            f"请写 {'、'.join([*Source, *others])} 之一。",
        ) from error


def print_json(document: Any) -> None:
    """Print a document as JSON."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))


def fail(error: DudaoError, as_json: bool) -> NoReturn:
    """Say an error and leave with its exit code."""
    if as_json:
        print_json({"error": error.as_dict()})
    typer.echo(f"错误 {error.code}：{error.message}{error.remedy}", err=True)
    raise typer.Exit(error.exit_code)


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Turn a DudaoError into its message and exit code."""
    try:
        yield
    except DudaoError as error:
        fail(error, as_json)


class _Told:
    """What is told to the person who waits, beside the output: a line once, and on a terminal a
    bar while it is known how much of its step is done.
    """

    def __init__(self) -> None:
        self._line = ""
        self._bar: Bar | None = None
        self._task = TaskID(0)

    def __call__(self, line: str) -> None:
        """Tell a line, or move its bar."""
        if str(line) != self._line:
            self._end()
            self._line = str(line)
            if isinstance(line, Underway) and sys.stderr.isatty():
                self._bar = Bar(console=Console(stderr=True))
                self._task = self._bar.add_task(line, total=1)
                self._bar.start()
            else:
                typer.echo(line, err=True)
        if isinstance(line, Underway) and self._bar is not None:
            self._bar.update(self._task, completed=line.done)
            if line.done >= 1:
                self._end()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


progress = _Told()
