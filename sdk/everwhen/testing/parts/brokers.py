"""Apache Kafka brokers (KRaft, each node broker and controller) as plain processes from their jars."""

from __future__ import annotations

import base64
import shutil
import signal
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from everwhen.testing.parts.errors import PartsError
from everwhen.testing.parts.jars import classpath
from everwhen.testing.parts.process import HOST, GuardedProcess, free_ports
from everwhen.testing.parts.settings import START_SECONDS, small_and_quick, wait_for_broker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from everwhen.testing.parts.java import Java

STOP_SECONDS = 30.0

_LOGGING = """\
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d] %p %m (%c)%n
"""


@dataclass(frozen=True)
class Program:
    """How one of Kafka's Java classes is run: on which Java, from which folder of jars, with which further options."""

    java: Java
    jars: Path
    options: tuple[str, ...] = ()

    def command(self, main_class: str, *arguments: str, heap: str) -> list[str]:
        """The command line; ``heap`` is in Java's notation, such as ``256m``."""
        # This collector and this compiler start fastest and need least, which is all that a test asks of a broker.
        quick = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        # Libraries that Java unpacks go into the broker's own directory, where it runs: a killed one cleans nothing up.
        own = ("-Djava.io.tmpdir=.", "-XX:-UsePerfData")
        return [
            str(self.java.path),
            f"-Xmx{heap}",
            *quick,
            *own,
            *self.options,
            "-cp",
            classpath(self.jars),
            main_class,
            *arguments,
        ]


@dataclass(frozen=True)
class Listener:
    """A further way into a broker, under the name ``localhost``; ``settings`` are named as for this listener alone."""

    name: str
    protocol: str
    settings: Mapping[str, object]


class Node:
    """One broker. Its port and its data stay the same over every stop and start."""

    def __init__(self, number: int, port: int, controller_port: int, program: Program, directory: Path) -> None:
        self.number = number
        self.port = port
        self.controller_port = controller_port
        self._program = program
        self._directory = directory
        self._log = directory / f"node-{number}.log"
        self._settings = directory / f"node-{number}.properties"
        self._process: GuardedProcess | None = None

    @property
    def address(self) -> str:
        """Where clients reach this node."""
        return f"{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether its process is there; a paused one is."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start the process if it is not running, and return once this node answers as part of the cluster."""
        self.launch()
        self.wait()

    def stop(self) -> None:
        """Stop in order: leadership is handed over and the log is closed."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``, and wait until the process is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process: its connections stay open and nothing answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._send(signal.SIGCONT)

    def launch(self) -> None:
        """Start the process if it is not running, without waiting for it."""
        if not self.running:
            command = self._program.command("kafka.Kafka", str(self._settings), heap="256m")
            self._process = GuardedProcess(command, directory=self._directory, log=self._log)

    def wait(self, seen: int = 1) -> None:
        """Return once this node answers and knows of at least ``seen`` nodes that are up."""
        if self._process is None:
            raise PartsError(f"Kafka node {self.number} was not started")
        wait_for_broker(self.address, f"Kafka node {self.number}", self._process, nodes=seen)

    def format(self, cluster_id: str, settings: Mapping[str, object], options: Sequence[str] = ()) -> None:
        """Write the configuration and make the empty data directory that a KRaft broker insists on."""
        self._settings.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        arguments = ["format", "--cluster-id", cluster_id, "--config", str(self._settings), *options]
        command = self._program.command("kafka.tools.StorageTool", *arguments, heap="128m")
        tool = GuardedProcess(command, directory=self._directory, log=self._log)
        if tool.finish(START_SECONDS):
            raise PartsError(f"Kafka node {self.number} cannot be formatted:\n{tool.last_words()}")

    def _send(self, number: signal.Signals) -> None:
        if self._process is None or not self._process.running:
            raise PartsError(f"Kafka node {self.number} is not running")
        self._process.send(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(signal.SIGCONT)
            self._process.end(number, STOP_SECONDS)


class Cluster:
    """One or three nodes in a directory of their own, which `stop` removes.

    ``listeners`` are further ones beside the plain one, for a single node; ``format_options`` go to ``kafka-storage``.
    """

    def __init__(
        self,
        program: Program,
        *,
        nodes: int = 1,
        config: Mapping[str, object] | None = None,
        listeners: Sequence[Listener] = (),
        format_options: Sequence[str] = (),
    ) -> None:
        ports = iter(free_ports(2 * nodes + len(listeners)))
        self._directory = Path(tempfile.mkdtemp(prefix="everwhen-kafka-"))
        logging = self._directory / "log4j2.properties"
        logging.write_text(_LOGGING)
        program = replace(program, options=(f"-Dlog4j2.configurationFile={logging}", *program.options))
        self.nodes = tuple(
            Node(number, next(ports), next(ports), program, self._directory) for number in range(1, nodes + 1)
        )
        self._config = dict(config or {})
        self._listeners = {next(ports): listener for listener in listeners}
        self._format_options = tuple(format_options)

    @property
    def further(self) -> dict[str, str]:
        """``bootstrap.servers`` of each further listener, by its name."""
        return {listener.name: f"localhost:{port}" for port, listener in self._listeners.items()}

    @property
    def bootstrap(self) -> str:
        """``bootstrap.servers`` of a client."""
        return ",".join(node.address for node in self.nodes)

    def start(self) -> None:
        """Format and start all nodes; return once each of them answers and sees the others."""
        cluster_id = _new_cluster_id()
        try:
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                options = self._format_options
                list(pool.map(lambda node: node.format(cluster_id, self._settings(node), options), self.nodes))
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait(seen=len(self.nodes))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all nodes and remove their data. Nobody reads it again, so no time goes into an orderly end."""
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _settings(self, node: Node) -> dict[str, object]:
        own = {"log.dirs": self._directory / f"node-{node.number}"}
        listeners = _with_further(_listeners(node, self.nodes), self._listeners)
        return {**small_and_quick(len(self.nodes)), **self._config, **listeners, **own}


def _listeners(node: Node, nodes: tuple[Node, ...]) -> dict[str, object]:
    return {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": ",".join(f"{each.number}@{HOST}:{each.controller_port}" for each in nodes),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": f"PLAINTEXT://{node.address},CONTROLLER://{HOST}:{node.controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }


def _with_further(own: dict[str, object], further: Mapping[int, Listener]) -> dict[str, object]:
    settings = dict(own)
    # A certificate is made for a name, so these are advertised under one.
    advertised = [str(own["listeners"]).partition(",CONTROLLER")[0]]
    for port, listener in further.items():
        settings["listeners"] = f"{settings['listeners']},{listener.name}://{HOST}:{port}"
        settings["listener.security.protocol.map"] = (
            f"{settings['listener.security.protocol.map']},{listener.name}:{listener.protocol}"
        )
        advertised.append(f"{listener.name}://localhost:{port}")
        for key, value in listener.settings.items():
            settings[f"listener.name.{listener.name.lower()}.{key}"] = value
    return {**settings, "advertised.listeners": ",".join(advertised)} if further else settings


def _new_cluster_id() -> str:
    """Draw an id of the form that Kafka gives; never one with a dash in front, which its tool takes for an option."""
    while (drawn := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return drawn
