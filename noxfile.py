"""The index of everything that can be run here; the work itself is in `rehearsal` and in the tests.

`nox` alone runs what takes seconds: lint and types. `nox -l` lists all sessions. What stands behind `--` goes
through untouched: `nox -s up -- --profile full --ci`.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).resolve().parent / "harness"))
from rehearsal.stages.registry import STAGES, StageSpec

# Some machines forbid byte code everywhere. nox's own environments may have it: without it each start of
# `rehearsal` compiles what it imports, for most of a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "types"]

LOCKS = Path("requirements")
SCANS = Path("build/security")
# Each has its own pytest and mypy settings; the packages they test are installed together.
SERVICE_PACKAGES = (
    "chassis",
    "testkit",
    "gateway",
    "product",
    "order",
    "cart",
    "inventory",
    "payment",
    "payment/sandbox",
    "audit",
)
# Those whose own tests hold a contract suite.
FUZZED = ("chassis", "product", "order", "cart", "inventory", "payment")
# Those that publish a document.
EXPORTING = ("product", "order", "cart", "inventory", "payment")
# Those whose tests wait more than they work, for faults to show and for dependencies to come back.
WAITING = ("chassis", "testkit")
# Where the keeper listens that the services' suites share; nobody until the first of them runs.
KEEPER: dict[str, str] = {}
TEST_IMAGES = ("postgres", "redis", "kafka", "keycloak", "eureka", "config-server", "registry", "nginx")
# Which the harness's own tests look at besides.
OBSERVING_IMAGES = ("victoria-logs-server", "zipkin", "collector")


def install(session: nox.Session, lock: str) -> None:
    """Install a locked set of packages, and the project itself."""
    session.install("--require-hashes", "-r", str(LOCKS / f"{lock}.txt"))
    session.install("--no-deps", "-e", ".")


def install_services(session: nox.Session) -> None:
    """Install the locked packages of all services, the services, and the harness, which some tests use."""
    session.install("--require-hashes", "-r", str(LOCKS / "services.txt"))
    folders = (*(f"services/{name}" for name in SERVICE_PACKAGES), ".")
    session.install("--no-deps", *(word for folder in folders for word in ("-e", folder)))


def keep_dependencies(session: nox.Session) -> None:
    """Have the services' suites share one set of real dependencies, which ends with nox."""
    if not KEEPER:
        command = [str(Path(session.bin) / "python"), "-m", "mambogo_testkit.keeping"]
        # In a session of its own, Ctrl-C does not reach it before the tests have ended.
        keeper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        atexit.register(keeper.communicate)
        path = keeper.stdout.readline().strip() if keeper.stdout else ""
        if not path:
            session.error("the keeper of the dependencies ended; its message is above")
        KEEPER["MAMBOGO_TESTKIT_FLEET"] = path
    session.env.update(KEEPER)


def rehearse(session: nox.Session, *arguments: str, lock: str = "main") -> None:
    """Run `rehearsal` and end with its exit code; nox itself would turn every failure into 1."""
    install(session, lock)
    code = run_to_its_end([str(Path(session.bin) / "rehearsal"), *arguments, *session.posargs])
    if code:
        sys.exit(code)


def run_to_its_end(argv: list[str]) -> int:
    """Run a program and return its exit code, however often somebody presses Ctrl-C.

    The terminal has told the program, too; it ends when it has undone what it changed. nox, and
    `subprocess.run`, would kill it a quarter of a second later.
    """
    process = subprocess.Popen(argv)
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda number, frame: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number)),
    }
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, imports' direction, workflows, and alert rules by promtool."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")
    flows = sorted(str(path) for path in Path(".github/workflows").glob("*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *flows)
    session.run("zizmor", "--offline", "--quiet", ".github")
    # Where it cannot be had it says so, and the tests are skipped with their reason;
    # with MAMBOGO_REQUIRE_TOOLS they fail.
    session.run(".ci/promtool", "build/ci-tools/bin", external=True, success_codes=(0, 1))
    session.run("pytest", "tests/monitoring", "-q", "-rs")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    install(session, "lint")
    session.run("mypy", *session.posargs)
    install_services(session)
    for name in SERVICE_PACKAGES:
        with session.chdir(f"services/{name}"):
            session.run("mypy", *session.posargs)


@nox.session(default=False)
def security(session: nox.Session) -> None:
    """Scan code, workflows and locked packages into build/security/*.sarif; 4 when it could not look."""
    install(session, "security")
    SCANS.mkdir(parents=True, exist_ok=True)
    workflows = ("zizmor", "--offline", "--quiet", ".github")
    # All rules: `--select S` would bring back what pyproject.toml ignores, and says why.
    code = ("ruff", "check", ".")
    # Everything is written down before the first finding ends the session.
    with (SCANS / "workflows.sarif").open("w", encoding="utf-8") as target:
        session.run(*workflows, "--format", "sarif", stdout=target)  # ends with 0 whatever it finds
    written = ("--output-format", "sarif", "--output-file", str(SCANS / "code.sarif"))
    session.run(*code, "--exit-zero", *written)
    session.run(*workflows)
    session.run(*code)
    rehearse(session, "supply", "advisories", "--sarif", str(SCANS / "packages.sarif"), lock="security")


@nox.session(name="test-images", default=False)
def test_images(session: nox.Session) -> None:
    """Build the images that tests start as containers."""
    rehearse(session, "supply", "build", *TEST_IMAGES)


@nox.session(default=False)
@nox.parametrize("suite", ("harness", *SERVICE_PACKAGES))
def tests(session: nox.Session, suite: str) -> None:
    """Run all tests that need no cluster; real brokers and databases run as containers."""
    if suite == "harness":
        install(session, "test")
        # Brings an engine up where there is none; the services' suites find the images by their tags.
        session.run("rehearsal", "supply", "build", *TEST_IMAGES, *OBSERVING_IMAGES)
        session.run("pytest", "-m", "not cluster", "-n", "2", *session.posargs)
        return
    install_services(session)
    keep_dependencies(session)
    session.chdir(f"services/{suite}")
    # A worker that has nothing left takes over from another: some tests take a hundred times the median.
    session.run("pytest", "-n", "4" if suite in WAITING else "2", "--dist", "worksteal", *session.posargs)


@nox.session(default=False)
def cluster_tests(session: nox.Session) -> None:
    """Test the project's own cluster, which `nox -s up` brought up, and the Tiltfile by its Tilt."""
    install(session, "test")
    wanted = "cluster and not pipeline and not killed and not elsewhere"
    session.run("pytest", "tests/live", "tests/deploy", "-m", wanted, *session.posargs)


@nox.session(default=False)
def pipeline_tests(session: nox.Session) -> None:
    """Deploy on the project's own cluster by the workflow's steps, then put back what was there: minutes."""
    install(session, "test")
    session.run("pytest", "tests/live", "-m", "pipeline", *session.posargs)


@nox.session(default=False)
def kill_tests(session: nox.Session) -> None:
    """Restart the own cluster's node under the stack, kill runs in the middle of each stage: 45 minutes."""
    install(session, "test")
    session.run("pytest", "tests/live", "-m", "killed", *session.posargs)


@nox.session(default=False)
def elsewhere_tests(session: nox.Session) -> None:
    """Make a second cluster, deploy and judge it by its context, kill a run there: 20 minutes."""
    install(session, "test")
    session.run("pytest", "tests/live", "-m", "elsewhere", *session.posargs)


@nox.session(default=False)
def show(session: nox.Session) -> None:
    """Make, harm and mend real clusters for half an hour; `-- --restart-engine` restarts our engine, too."""
    install(session, "test")
    session.run("pytest", "tests/show", "-m", "cluster", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure: `-- cluster phases`, `-- chassis`, `-- events`, ...; the first word names a program."""
    files = (*Path("bench").glob("*.py"), *Path("services").glob("*/bench/*.py"))
    programs = {file.stem: file for file in files}
    name, *arguments = session.posargs or ("",)
    if name not in programs:
        session.error("say which: " + ", ".join(sorted(programs)))
    if programs[name].is_relative_to("services") or name.startswith(("gateway", "pipeline")):
        install_services(session)
    else:
        install(session, "main")
    session.run("python", str(programs[name]), *arguments)


@nox.session(default=False)
@nox.parametrize("suite", FUZZED)
def fuzz(session: nox.Session, suite: str) -> None:
    """Fuzz each service alone, as a process, against its own document; no cluster is needed."""
    install_services(session)
    session.chdir(f"services/{suite}")
    session.run("pytest", "-m", "contract", *session.posargs)


@nox.session(default=False)
def contracts(session: nox.Session) -> None:
    """Write into contract-tests/ what the services' code says: documents, events, and what each expects."""
    install_services(session)
    for name in EXPORTING:
        with session.chdir(f"services/{name}"):
            session.run("pytest", "tests/test_contracts.py", "-q", env={"MAMBOGO_WRITE_CONTRACTS": "1"})


@nox.session(default=False)
def compatibility(session: nox.Session) -> None:
    """Compare the committed contracts with the released ones and with each other, without a cluster."""
    install(session, "test")
    session.run("pytest", "tests/contract/test_committed.py", "-q", *session.posargs)


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """Make the committed contracts the released ones; `-- --withdraw TYPE/NUMBER` takes an event's back."""
    install(session, "main")
    session.run("python", "-m", "rehearsal.contract.releasing", *session.posargs)


@nox.session(name="shop-audit", default=False)
def shop_audit(session: nox.Session) -> None:
    """Run the shop as processes, kill them at their failpoints, and audit every order; `-- --planted all`."""
    install_services(session)
    code = run_to_its_end([str(Path(session.bin) / "python"), "-m", "mambogo_audit", *session.posargs])
    if code:
        sys.exit(code)


def add_stage(stage: StageSpec) -> None:
    """Make a session of a stage: the command that does the same alone, or else a run of this stage only."""

    def run_stage(session: nox.Session) -> None:
        rehearse(session, *(stage.command or ("e2e", "--stages", stage.name)))

    run_stage.__doc__ = stage.summary
    nox.session(name=stage.name, default=False)(run_stage)


for one in STAGES:
    add_stage(one)


@nox.session(default=False)
def e2e(session: nox.Session) -> None:
    """Run all stages and write one report with one verdict; `-- --help` lists what can be chosen."""
    rehearse(session, "e2e")


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Repeat clean runs of this tree and say how rare a false finding is; `-- -n N` says how many."""
    rehearse(session, "soak")


@nox.session(default=False)
def detection(session: nox.Session) -> None:
    """Plant defects in a copy of this commit and see whether each is found and named; `-- --list`."""
    rehearse(session, "detection", lock="test")  # nox itself runs the services' suites in the copy


@nox.session(default=False)
def up(session: nox.Session) -> None:
    """Bring the cluster and everything on it up; with `-- --ci` stop when all is well."""
    rehearse(session, "up")


@nox.session(default=False)
def shop(session: nox.Session) -> None:
    """Place one order through the running shop and show each hop with its time."""
    rehearse(session, "shop")


@nox.session(default=False)
def pipeline(session: nox.Session) -> None:
    """Do what production's pipeline does with a commit: `-- publish|deploy|status|smoke ...`."""
    rehearse(session, "pipeline")


@nox.session(default=False)
def down(session: nox.Session) -> None:
    """Remove the cluster and everything on it."""
    rehearse(session, "down")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Resolve the locked sets of packages anew."""
    session.install("uv")
    compile_ = ("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-emit-index-url")
    # Without an annotation of the command: it would name this machine's paths.
    options = (*compile_, "--no-header", "--python-version", "3.11", *session.posargs)
    session.run(*options, "pyproject.toml", "--output-file", str(LOCKS / "main.txt"))
    for group in ("lint", "security", "test"):
        target = str(LOCKS / f"{group}.txt")
        session.run(*options, "--group", group, "pyproject.toml", "--output-file", target)
    own = [word for name in SERVICE_PACKAGES for word in ("--no-emit-package", f"mambogo-{Path(name).name}")]
    for name in ("ci", "services"):
        session.run(*options, *own, str(LOCKS / f"{name}.in"), "--output-file", str(LOCKS / f"{name}.txt"))
    # What runs is what was tested: the images' versions are the tests'.
    tested = ("--constraint", str(LOCKS / "services.txt"))
    for folder in ("services", "services/gateway", "services/payment/sandbox"):
        wanted, locked = f"{folder}/requirements.in", f"{folder}/requirements.txt"
        session.run(*options, *tested, *own, wanted, "--output-file", locked)
