"""What the operator may set: environment variables over ``dudao.toml`` in the data directory."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from geodata.errors import SystemProblem

SETTINGS_FILE = "dudao.toml"


class Tiles(StrEnum):
    """Base tiles below the layers. ``none`` asks no other machine for anything."""

    NONE = "none"
    TIANDITU = "tianditu"
    AMAP = "amap"
    OSM = "osm"


class Settings(BaseSettings):
    """Every setting with its default.

    Order of precedence: arguments, environment (``DUDAO_DATA``, ``DUDAO_LANG``, ... and
    ``DATABASE_URL``), ``dudao.toml`` in the data directory (keys as the attributes), defaults.

    Attributes:
        data: the data directory (``DUDAO_DATA``).
        database_url: ``postgresql://...``; None keeps the state in SQLite in the data directory.
        lang: language of the interface.
        tiles: base tiles; ``tianditu_key`` is the key 天地图 asks for.
        map_approval: the map approval number (审图号) shown on the map, or None.
        host, port: where ``serve`` listens.
    """

    model_config = SettingsConfigDict(env_prefix="DUDAO_", populate_by_name=True, extra="forbid")

    data: Path = Path("data")
    database_url: str | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url")
    )
    lang: Literal["zh", "en"] = "zh"
    tiles: Tiles = Tiles.NONE
    tianditu_key: str | None = None
    map_approval: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8501, ge=1, le=65535)

    @classmethod
    def load(cls, data: Path | None = None) -> Settings:
        """Read the settings, ``data`` overriding the data directory.

        Raises:
            SystemProblem: SETTING_INVALID names every setting that cannot be taken and why.
        """
        try:
            return cls() if data is None else cls(data=data)
        except ValidationError as error:
            found = ";".join(
                f"{'.'.join(str(part) for part in problem['loc'])}:{problem['msg']}"
                for problem in error.errors()
            )
            raise SystemProblem(
                "SETTING_INVALID",
                f"设置有误：{found}。",
                f"请检查环境变量和数据目录中的 {SETTINGS_FILE}。",
            ) from error
        except ValueError as error:
            raise SystemProblem(
                "SETTING_INVALID",
                f"{SETTINGS_FILE} 无法读取：{error}。",
                "请按 TOML 格式改正该文件。",
            ) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add ``dudao.toml``; where the data directory is must be known before it is read."""
        given: dict[str, Any] = init_settings()
        data = Path(given.get("data") or os.environ.get("DUDAO_DATA") or "data")
        toml = TomlConfigSettingsSource(settings_cls, toml_file=data / SETTINGS_FILE)
        return init_settings, env_settings, toml
