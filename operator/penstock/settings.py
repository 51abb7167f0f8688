"""Operator settings: by flag, environment or file, in this order.

Read once, in ``app``; nothing else reads the environment.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Settings(BaseSettings):
    """All settings; ``penstock run --help`` prints them."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_",
        extra="forbid",
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_exit_on_error=True,
        cli_shortcuts={"namespaces": "namespace"},
    )

    config: Path | None = None
    """YAML file with any of these settings, by name with underscores."""
    interval: float = Field(default=60.0, ge=0.5, le=600)
    """Seconds between evaluations of an SLO at rest."""
    hot_interval: float = Field(default=10.0, ge=0.25, le=600)
    """Seconds between evaluations while a release is in progress or a gate is closed."""
    scrape_interval: float = Field(default=15.0, ge=0.1, le=600)
    """Seconds between scrapes of the metrics; a default burn pair covers at least four scrapes."""
    resync_interval: float = Field(default=300.0, ge=5, le=3600)
    """Seconds between full lists of all objects, which find what a watch has missed."""
    namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Namespaces to guard, separated by commas; empty: all of them."""
    lease_namespace: str = ""
    """Namespace of the leader election Lease; empty: the pod's own, and none outside a pod."""
    identity: str = ""
    """Name of this replica in the Lease; empty: the host name."""
    own_job: str = ""
    """Job under which sources scrape this operator, to restore lost ledgers from its counters."""
    token_folder: Path = Path("/etc/penstock/tokens")
    """Folder of the files that auth.tokenFile names; change it only outside a pod."""
    listen: str = "0.0.0.0:8080"
    """Address of /healthz, /readyz and /metrics."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """Log level: debug, info, warning or error."""
    log_format: str = Field(default="json", pattern="^(json|text)$")
    """Log format: json or text."""

    @field_validator("namespaces", mode="before")
    @classmethod
    def _names(cls, given: object) -> object:
        """The names in a text with commas; each once, in their order."""
        parts = given.split(",") if isinstance(given, str) else given
        if not isinstance(parts, list | tuple):
            return parts
        names = dict.fromkeys(str(one).strip() for one in parts)
        wrong = [name for name in names if name and not NAMESPACE.fullmatch(name)]
        if wrong:
            raise ValueError(
                f"{wrong[0]!r} is not the name of a namespace; write each name in full"
            )
        return tuple(name for name in names if name)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags (added by the command line itself) before environment before file."""
        given: dict[str, Any] = {**env_settings(), **init_settings()}
        path = given.get("config")
        file = (YamlConfigSettingsSource(settings_cls, yaml_file=path),) if path else ()
        return (init_settings, env_settings, *file)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare every setting as a flag."""
    CliSettingsSource(Settings, root_parser=parser)


def from_arguments(arguments: argparse.Namespace) -> Settings:
    """Settings from parsed flags, then the environment, then the file that either names.

    Raises:
        pydantic.ValidationError: a value that does not fit, by the setting's name.
        pydantic_settings.SettingsError: a source that cannot be read.
    """
    given = {name: one for name, one in vars(arguments).items() if name in Settings.model_fields}
    source: CliSettingsSource[Any] = CliSettingsSource(
        Settings, root_parser=argparse.ArgumentParser()
    )
    flags: Any = source(parsed_args=given)
    named = Settings(_cli_settings_source=flags)
    return Settings(_cli_settings_source=flags, config=named.config) if named.config else named
