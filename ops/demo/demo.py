"""`fairlead demo`: an appliance, an agent and a cluster in one command, up to a working kubectl.

Reads as the story it is: choose ports, start the cluster and the appliance, register, start the agent, wait until a
request has gone all the way, hand out the kubeconfig, then show what happens until someone says stop. It uses what an
operator uses: the same commands, the same settings files and the admin API. What always holds: secrets are in files
of mode 0600 inside one private directory; every child is ended before the demo ends; without --data nothing remains.
"""

from __future__ import annotations

import contextlib
import json
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import trio

from ops.demo import children, kubeconfig, plugin, ports, registration, settings
from ops.demo.admin import ApiError, Appliance
from ops.demo.files import write_private
from ops.demo.kubeconfig import KubeconfigError, Upstream
from ops.demo.settings import Home
from ops.demo.show import line_for_people

START_SECONDS = 30.0  # a part that needs longer, on any machine we know, is broken
PORT_TRIES = 5  # the second takes any free port, which two demos hardly choose alike
POLL_SECONDS = 0.02  # how often a file of a starting child is looked for
STOP_SECONDS = 30.0  # three children, one after the other, killed in the worst case
TOKEN_SECONDS = 30 * 86_400  # the demo's own machine token
TOY_GROUP = "toy:admins"
REAL_GROUP = "fairlead:demo"


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Options:
    kubeconfig: Path | None = None
    context: str | None = None
    group: str | None = None
    kubeconfig_out: Path | None = None
    data: Path | None = None


@dataclass(slots=True)
class Demo:
    """One running demo."""

    options: Options
    home: Home
    started: float
    watching: trio.Nursery  # the tasks that listen to the children; ends last
    working: trio.Nursery  # everything else
    running: list[children.Child] = field(default_factory=list)
    ready: bool = False  # until then the demo's own calls are not worth a line
    ending: bool = False  # from then on what parts say of each other's end is not news

    async def start(self, name: str, *arguments: str, forgiven: str = "") -> children.Child:
        def show(line: str) -> None:
            shown = line_for_people(name, line, audit=self.ready)
            if shown is not None and not self.ending and not (forgiven and forgiven in line):
                _say(shown)

        child = await children.start(name, list(arguments), show, forgiven=forgiven)
        self.running.append(child)
        self.watching.start_soon(child.watch)
        return child

    async def stop(self) -> None:
        self.ending = True
        for child in reversed(self.running):
            await child.stop()


async def run(options: Options) -> None:
    """The demo, until SIGINT or SIGTERM."""
    if options.group and options.group.casefold().startswith("system:"):
        raise DemoError(f"--group {options.group}: groups that begin with system: are Kubernetes' own; choose another.")
    started = time.monotonic()
    with _one_error(), _directory(options) as root:
        home = Home(root)
        home.make()
        async with trio.open_nursery() as watching:
            try:
                async with trio.open_nursery() as working:
                    demo = Demo(options, home, started, watching, working)
                    working.start_soon(_until_signal, working.cancel_scope)
                    try:
                        await _story(demo)
                        await trio.sleep_forever()
                    finally:
                        with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_SECONDS):
                            await demo.stop()
            finally:
                watching.cancel_scope.cancel()


async def _story(demo: Demo) -> None:
    options, home = demo.options, demo.home
    upstream = None
    if options.kubeconfig is not None:
        upstream = kubeconfig.read(options.kubeconfig, options.context)
        _say(f"Using the cluster of context {upstream.context} at {upstream.server}")
    else:
        _say("Starting a toy cluster")
        (home.toy / "url").unlink(missing_ok=True)
        await demo.start("toy-cluster", "toy-cluster", "--listen", f"{ports.LOOPBACK}:0", "--dir", str(home.toy))

    appliance = await _start_appliance(demo)
    if upstream is None:
        upstream = await _toy_upstream(home)
    group = options.group or (TOY_GROUP if options.kubeconfig is None else REAL_GROUP)
    cluster = "toy" if options.kubeconfig is None else "demo"
    _say(f"Registering cluster {cluster}, and {registration.PERSON} with group {group}")
    registered = await registration.register(appliance, cluster, group)
    await _provide_bundle(home, appliance, registered)

    _say("Starting the agent")
    agent_settings = settings.write_agent(home, upstream)
    if isinstance(upstream.credential, kubeconfig.Plugin):
        await demo.working.start(plugin.keep_fresh, upstream.credential, home.upstream_token)
    await demo.start("agent", "agent", "--config", str(agent_settings))

    issued = await registration.credential(appliance, registered)
    await _until_kubectl_works(appliance, str(issued["server"]), str(issued["token"]))
    _hand_out(demo, cluster, issued)
    _tell(demo, upstream, group)
    demo.ready = True
    demo.working.start_soon(_renew, demo, appliance, registered, cluster)


async def _start_appliance(demo: Demo) -> Appliance:
    """Start the appliance and come back with where it is and a token for its API."""
    from appliance.config import load
    from appliance.machine_token import mint

    home = demo.home
    config_file = settings.write_appliance(home, ports.choose(home.last_ports))
    _say("Making the appliance's store, keys and a machine token")
    token = await mint(load(config_file, {}), f"demo-{time.time_ns():x}", TOKEN_SECONDS)
    _say("Starting the appliance")
    bound = await _serve(demo, config_file)
    ports.write(home.last_ports, bound)
    for usual, got, what in ((ports.USUAL.users, bound.users, "kubectl"), (ports.USUAL.agents, bound.agents, "agents")):
        if usual != got:
            _say(f"  port {usual} is taken; {what} use {got}")
    ca = (home.appliance / "ca.pem").read_text()
    return Appliance(f"https://{ports.LOOPBACK}:{bound.users}", ca, token)


async def _serve(demo: Demo, config_file: Path) -> ports.Ports:
    """The appliance, until it has bound its ports. One that was free a moment ago may be somebody else's by now."""
    home = demo.home
    for _ in range(PORT_TRIES):
        home.bound_ports.unlink(missing_ok=True)
        child = await demo.start("appliance", "serve", "--config", str(config_file), forgiven=ports.TAKEN)
        await _until("the appliance", lambda: child.gone.is_set() or ports.read(home.bound_ports) is not None)  # noqa: B023 -- called before the next turn
        bound = ports.read(home.bound_ports)
        if bound is not None:
            return bound
        demo.running.remove(child)
        settings.write_appliance(home, ports.choose(home.last_ports))
    raise DemoError(f"Every port that was free was taken before the appliance had it, {PORT_TRIES} times. Try again.")


async def _provide_bundle(home: Home, appliance: Appliance, registered: registration.Registered) -> None:
    """The bundle of an earlier run is kept while it leads here: a new one would make the agent enrol again."""
    bound = ports.read(home.last_ports)
    assert bound is not None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(home.bundle.read_bytes())
        if (kept["cluster"], urlsplit(kept["url"]).port) == (registered.cluster_id, bound.agents):
            return
    bundle = registered.bundle or await registration.new_bundle(appliance, registered.cluster_id)
    write_private(home.bundle, json.dumps(bundle, indent=2).encode())


async def _toy_upstream(home: Home) -> Upstream:
    await _until("the toy cluster", (home.toy / "url").exists)
    url = (home.toy / "url").read_text().strip()
    return Upstream("toy", url, (home.toy / "ca.pem").read_bytes(), kubeconfig.TokenFile(home.toy / "token"))


async def _until_kubectl_works(appliance: Appliance, server: str, token: str) -> None:
    """Ask for /version as kubectl would, until the whole chain answers."""
    path = server.removeprefix(appliance.url) + "/version"
    as_person = Appliance(appliance.url, appliance.ca_pem, token)
    last = ""
    with trio.move_on_after(START_SECONDS):
        while True:
            status, body = await as_person.raw("GET", path)
            if status == 200:
                return
            last = f"{status}: {body.decode(errors='replace').strip()[:300]}"
            await trio.sleep(POLL_SECONDS)
    raise DemoError(f"kubectl does not get through within {START_SECONDS:.0f} s; the last answer was {last}")


def _hand_out(demo: Demo, cluster: str, issued: dict[str, object]) -> None:
    ca = issued.get("ca")
    content = kubeconfig.render(
        server=str(issued["server"]),
        token=str(issued["token"]),
        cluster=cluster,
        person=registration.PERSON,
        ca_pem=None if ca is None else str(ca),
    )
    write_private(demo.home.kubeconfig, content)
    if demo.options.kubeconfig_out is not None:
        write_private(demo.options.kubeconfig_out.absolute(), content)


def _tell(demo: Demo, upstream: Upstream, group: str) -> None:
    out = demo.options.kubeconfig_out or demo.home.kubeconfig
    lines = ["", f"Ready after {time.monotonic() - demo.started:.1f} s. In another terminal:", ""]
    if demo.options.kubeconfig is not None:
        lines += [
            f"  # once, to give the group {group} rights in this cluster:",
            f"  kubectl --kubeconfig {demo.options.kubeconfig} --context {upstream.context} \\",
            f"    create clusterrolebinding fairlead-demo --clusterrole=view --group={group}",
            "",
        ]
    lines += [
        f"  export KUBECONFIG={out.absolute()}",
        "  kubectl get pods -A",
        "  kubectl auth whoami",
    ]
    if demo.options.kubeconfig is None:
        lines += ["  kubectl create configmap hello --from-literal=greeting=ahoy", "  kubectl get configmap hello -w"]
    lines += ["", "And as its administrator:", "", *_administration(demo)]
    _say("\n".join([*lines, "", "Every request shows here. Ctrl-C ends the demo.", ""]))


def _administration(demo: Demo) -> list[str]:
    """What makes whoever runs the demo its administrator: by a pipe, so that the code is not shown."""
    home, bound = demo.home, ports.read(demo.home.last_ports)
    assert bound is not None
    ca = home.appliance / "ca.pem"
    return [
        f"  fairlead setup-code --config {home.root / 'fairlead.toml'} | \\",
        f"    fairlead login https://{ports.LOOPBACK}:{bound.users} --ca {ca} --setup-code",
        "  fairlead clusters list",
        "  fairlead audit tail -f",
    ]


async def _renew(demo: Demo, appliance: Appliance, registered: registration.Registered, cluster: str) -> None:
    """A credential lives a working day; a demo may live longer."""
    while True:
        await trio.sleep(registration.CREDENTIAL_SECONDS / 2)
        _hand_out(demo, cluster, await registration.credential(appliance, registered))


async def _until(what: str, there: Callable[[], bool]) -> None:
    with trio.move_on_after(START_SECONDS):
        while not there():  # noqa: ASYNC110 -- another process writes the file; there is no event to wait for
            await trio.sleep(POLL_SECONDS)
        return
    raise DemoError(f"{what} did not start within {START_SECONDS:.0f} s.")


async def _until_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            _say("Ending the demo")
            scope.cancel()


@contextlib.contextmanager
def _directory(options: Options) -> Iterator[Path]:
    if options.data is not None:
        yield options.data.absolute()
    else:
        with tempfile.TemporaryDirectory(prefix="fairlead-demo-") as temporary:
            yield Path(temporary)


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
    """Of several tasks that failed together, the user is told the one reason that is for people."""
    try:
        yield
    except BaseExceptionGroup as group:
        told = group.subgroup(
            lambda e: isinstance(e, DemoError | KubeconfigError | children.ChildEndedError | ApiError | OSError)
        )
        if told is None:
            raise
        first: BaseException = told
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise DemoError(str(first)) from None


def _say(text: str) -> None:
    print(text, flush=True)
