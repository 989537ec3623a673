"""Every setting of Landmarq, from ``LANDMARQ_*`` environment variables (nested fields behind ``__``).

    LANDMARQ_REDIS__URL=redis://10.0.0.5:6379/0  LANDMARQ_EXTRACTOR=delf  LANDMARQ_RANK__THRESHOLD=0.7

``docs/configuration.md`` describes each; a test fails when one is missing there.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit, urlunsplit

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

PREFIX = "LANDMARQ_"


class SettingsError(Exception):
    """A variable has a value that can't be used; the message names each with what is wrong."""

    code: ClassVar[str] = "bad_settings"


class Section(BaseModel):
    """A nested group of settings: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Redis(Section):
    """The broker, which also holds the job records and the blobs."""

    url: str = "redis://127.0.0.1:6379/0"
    visibility_timeout_s: float = Field(default=15.0, ge=3)
    connect_timeout_s: float = Field(default=2.0, gt=0)

    @field_validator("url")
    @classmethod
    def _scheme(cls, url: str) -> str:
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError(f"{redact(url)!r} is no Redis URL: redis://[user:password@]host:port/db")
        return url

    @property
    def safe_url(self) -> str:
        """The URL without its password, for messages and logs."""
        return redact(self.url)


class Jobs(Section):
    """Life of a job."""

    ttl_s: int = Field(default=86_400, gt=0)
    blob_ttl_s: int = Field(default=3_600, gt=0)
    max_attempts: int = Field(default=4, ge=1)
    stage_timeout_s: int = Field(default=300, ge=1)
    rescue_after_s: float = Field(default=30.0, gt=0)


class Image(Section):
    """What is accepted as a photograph."""

    max_bytes: int = Field(default=25 * 2**20, gt=0)
    max_pixels: int = Field(default=100_000_000, gt=0)
    min_side: int = Field(default=16, ge=1)


class XFeat(Section):
    """The bundled extractor."""

    image_side: int = Field(default=640, ge=64)


class Delf(Section):
    """DELF from TensorFlow Hub, or from a local folder."""

    handle: str = "https://tfhub.dev/google/delf/1"
    cache_dir: Path | None = None
    score_threshold: float = 100.0


class Batch(Section):
    """How GPU workers take photographs through the network together."""

    size: int | None = Field(default=None, ge=1)
    wait_ms: float = Field(default=5.0, ge=0)
    runs: int = Field(default=2, ge=1)


class Gpu(Section):
    """The card of a GPU worker."""

    memory_mb: int | None = Field(default=None, gt=0)


class Extract(Section):
    """Overrides of the profile's extraction."""

    max_features: int | None = Field(default=None, gt=0)
    index_features: int | None = Field(default=None, gt=0)
    turn: bool | None = None


class Match(Section):
    """Overrides of the profile's matching."""

    method: Literal["auto", "kdtree", "exact", "ann"] | None = None
    neighbours: int | None = Field(default=None, gt=0)
    max_distance: float | None = Field(default=None, gt=0, le=2)
    max_candidates: int | None = Field(default=None, ge=0)
    similar: int | None = Field(default=None, ge=0)
    shortlist: int | None = Field(default=None, ge=0)


class Verify(Section):
    """Overrides of the profile's geometric verification."""

    method: Literal["fast", "skimage"] | None = None
    residual: float | None = Field(default=None, gt=0)


class Rank(Section):
    """Overrides of the profile's decision."""

    threshold: float | None = Field(default=None, ge=0, le=1)
    similarity: float | None = Field(default=None, ge=0)
    support: float | None = Field(default=None, ge=0)
    overlap: float | None = Field(default=None, ge=0, le=1)
    calibration: Path | None = None
    max_candidates: int | None = Field(default=None, ge=1)


class Log(Section):
    """How the workers log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    json_lines: bool = Field(default=False, alias="json")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Settings(BaseSettings):
    """All settings. Each field of each section is the variable ``LANDMARQ_<SECTION>__<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore")

    data_dir: Path = Field(default_factory=lambda: user_data_path("landmarq"))
    index_dir: Path | None = None
    extractor: Literal["xfeat", "delf"] = "xfeat"
    embedding: Literal["efficientnet_lite0", "none"] = "efficientnet_lite0"
    profile: Literal["fast", "default", "accurate", "seed"] = "default"
    redis: Redis = Redis()
    jobs: Jobs = Jobs()
    image: Image = Image()
    xfeat: XFeat = XFeat()
    delf: Delf = Delf()
    extract: Extract = Extract()
    batch: Batch = Batch()
    gpu: Gpu = Gpu()
    match: Match = Match()
    verify: Verify = Verify()
    rank: Rank = Rank()
    log: Log = Log()

    @property
    def index_path(self) -> Path:
        """Where the index is: ``index_dir``, or ``index`` in the data directory."""
        return self.index_dir or self.data_dir / "index"


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings."""
    found: dict[str, str] = {}
    for name, value in settings.model_dump(mode="json", by_alias=True, exclude_none=True).items():
        section = value if isinstance(value, dict) else None
        fields = {name: value} if section is None else {f"{name}__{key}": inner for key, inner in section.items()}
        found |= {PREFIX + key.upper(): str(inner) for key, inner in fields.items()}
    return found


def redact(url: str) -> str:
    """``url`` with the password replaced by ``***``."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    credentials, _, host = parts.netloc.rpartition("@")
    user = credentials.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}:***@{host}"))


def load(**overrides: object) -> Settings:
    """Settings from the environment, with ``overrides`` on top.

    Raises:
        SettingsError: a value can't be used.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = [f"{_variable(item['loc'])}: {_text(item['msg'])}" for item in error.errors(include_input=False)]
        raise SettingsError("; ".join(problems)) from None
    except SourceError as error:  # LANDMARQ_REDIS=... instead of LANDMARQ_REDIS__URL=...
        raise SettingsError(f"{error}: a section's fields are set one by one, as in {PREFIX}REDIS__URL") from None


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + "__".join(str(part).upper() for part in location)


def _text(message: str) -> str:
    return message.removeprefix("Value error, ")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once (``get_settings.cache_clear()`` forgets them).

    Raises:
        SettingsError: a value can't be used.
    """
    return load()


def settings_or_exit() -> Settings:
    """As :func:`get_settings`, for a worker: it ends with one line that says what is wrong, and exit status 1."""
    try:
        return get_settings()
    except SettingsError as error:
        raise SystemExit(f"landmarq: {error}") from None
