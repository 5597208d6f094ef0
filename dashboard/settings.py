"""What the operator may set: environment variables over ``dudao.toml`` in the data directory."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from dashboard.access import Role
from dashboard.store.model import DEFAULT_COMPUTE, Compute
from geodata.errors import SystemProblem

SETTINGS_FILE = "dudao.toml"
ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})
"""What ``host`` is to listen on every address."""


class Tiles(StrEnum):
    """Base tiles below the layers. ``none`` asks no other machine for anything."""

    NONE = "none"
    TIANDITU = "tianditu"
    AMAP = "amap"
    OSM = "osm"


class RoleRule(BaseModel):
    """A value of a claim that gives a role; exactly one of the three says where.

    Attributes:
        value: the claim's value, or one of its values when it is a list.
        place: id of a place.
        place_claim: name of the claim that holds ids of places.
        everywhere: in all places.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: str
    role: Role
    place: str | None = None
    place_claim: str | None = None
    everywhere: bool = False

    @model_validator(mode="after")
    def _one_where(self) -> RoleRule:
        if [bool(self.place), bool(self.place_claim), self.everywhere].count(True) != 1:
            raise ValueError("place、place_claim、everywhere 须且只须写一个")
        return self


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
        public_url: the address people type, behind a proxy; ``https://`` says that the site is
            served over TLS.
        hosts: further names (``name`` or ``name:port``) the site may be asked under.
        trusted_proxies: addresses or networks whose ``X-Forwarded-*`` are believed.
        session_idle_minutes, session_hours: how long a sign-in lasts unused, and at the most.
        keys: directory of the secret keys (``DUDAO_KEYS``); None: ``keys`` in the data directory.
        max_upload_mb: the largest file the pages take.
        engine: what rolls up: ``duckdb``, or ``spark`` (needs requirements-spark.txt).
        memory: what the engine may take at most (``2GB``); the rest lies on disk meanwhile.
        spark: address of a Spark Connect server (``sc://...``) that sees the data directory under
            the same path; None: Spark runs on this machine.
        password_sign_in: whether accounts of this program may sign in with a password.
        demonstration_remote: whether demonstration accounts may be used from other machines.
        oidc_issuer, oidc_client_id, oidc_client_secret: the identity provider (OpenID Connect) and
            what this site is called there; None: no such sign-in.
        oidc_title: what the provider is called on the sign-in page.
        oidc_scope: what is asked of it.
        oidc_roles: name of a claim to the values that give a role.
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
    keys: Path | None = None
    public_url: str | None = Field(default=None, pattern=r"^https?://[A-Za-z0-9.\[\]:-]+/?$")
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    session_idle_minutes: int = Field(default=60, ge=1, le=24 * 60)
    session_hours: int = Field(default=12, ge=1, le=24)
    max_upload_mb: int = Field(default=200, ge=1, le=2048)
    engine: str = DEFAULT_COMPUTE.engine
    memory: ByteSize = Field(default=ByteSize(DEFAULT_COMPUTE.memory), ge=500_000_000)
    spark: SecretStr | None = None

    password_sign_in: bool = True
    demonstration_remote: bool = False
    oidc_issuer: str | None = Field(default=None, pattern=r"^https?://[^\s?#]+$")
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_title: str = "统一身份认证"
    oidc_scope: str = "openid profile"
    oidc_roles: dict[str, tuple[RoleRule, ...]] = {}

    @model_validator(mode="after")
    def _one_way_in(self) -> Settings:
        if self.oidc_issuer is not None and not (self.oidc_client_id and self.oidc_roles):
            raise ValueError("oidc_issuer 需要同时设置 oidc_client_id 和 oidc_roles")
        if not self.password_sign_in and self.oidc_issuer is None:
            raise ValueError("关闭 password_sign_in 之前须先设置 oidc_issuer")
        return self

    @property
    def compute(self) -> Compute:
        """What rolls up."""
        address = None if self.spark is None else self.spark.get_secret_value()
        return Compute(self.engine, int(self.memory), address)

    @property
    def address(self) -> str:
        """Where this machine finds the site: the public address, else host and port.

        Listening everywhere is no address to type; the machine itself always has one.
        """
        host = "127.0.0.1" if self.host in ANY_ADDRESS else self.host
        return self.site(f"{host}:{self.port}")

    def site(self, host: str) -> str:
        """The address people reach the site under: the public one, else ``host`` as they asked."""
        return (self.public_url or f"http://{host}").rstrip("/")

    @property
    def secure(self) -> bool:
        """Whether people reach the site over TLS."""
        return self.public_url is not None and self.public_url.startswith("https://")

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
