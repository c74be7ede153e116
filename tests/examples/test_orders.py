"""The service of ``examples/orders``: what it accepts is projected once, and who has a token reads no old state."""

from __future__ import annotations

import random
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
from examples.orders.app import TOKEN
from examples.orders.model import Order, order
from examples.orders.processes import ALL, RELAY, WORKER, Places, Processes
from examples.orders.tables import connect, load
from sqlalchemy.orm import Session

from everwhen import Reader
from tests.cli.workspace import hear_interrupts
from tests.examples.shown import follow
from tests.parts.watching import eventually, processes_naming

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "examples" / "orders" / "README.md"

CLIENTS = 4
ROUNDS = 12
KILLS = {"embedded": 2, "servers": 1}
"""Of the relay and the worker, both at once."""
ARTICLES = ("coffee", "milk", "tea")
_PATIENCE = 30.0


@dataclass
class Ledger:
    """What the service said that it accepted. Thread-safe."""

    articles: dict[str, Counter[str]] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)
    """The highest of each order."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Of that version."""
    conflicts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accept(self, order_id: str, wanted: dict[str, int], done: httpx.Response) -> int:
        """Note it; return the version."""
        assert done.is_success, done.text
        version = int(done.headers["ETag"].strip('"'))
        with self._lock:
            self.articles.setdefault(order_id, Counter()).update(wanted)
            if version > self.versions[order_id]:
                self.versions[order_id], self.tokens[order_id] = version, done.headers[TOKEN]
        return version

    def conflict(self) -> None:
        """Note one."""
        with self._lock:
            self.conflicts += 1

    def has(self, accepted: int) -> bool:
        """Whether so many articles were accepted."""
        with self._lock:
            return sum(each.total() for each in self.articles.values()) >= accepted


class Client:
    """One of those who order: it writes, and reads each time what it wrote."""

    def __init__(self, http: httpx.Client, ledger: Ledger, run: str, number: int) -> None:
        self._http = http
        self._ledger = ledger
        self._name = f"{run}-{number}"
        self._common = f"{run}-common"
        self._seen = 1
        self._lots = random.Random(number)

    def order_things(self) -> None:
        """Now in an order of one's own, now in one that all others write to."""
        for turn in range(ROUNDS):
            wanted = {self._lots.choice(ARTICLES): 1}
            if turn % 2:
                place(self._http, self._ledger, f"{self._name}-{turn}", wanted)
            else:
                self._add(wanted)

    def _add(self, wanted: dict[str, int]) -> None:
        """Add to what was seen; where somebody else was faster, to whatever there is."""
        url, (article,) = f"/orders/{self._common}/articles", wanted
        done = self._http.post(url, json={"article": article}, headers={"If-Match": f'"{self._seen}"'})
        if done.status_code == 412:
            self._ledger.conflict()
            done = self._http.post(url, json={"article": article})
        self._seen = self._ledger.accept(self._common, wanted, done)
        read(self._http, self._common, done.headers[TOKEN], self._seen)


def place(http: httpx.Client, ledger: Ledger, order_id: str, wanted: dict[str, int]) -> bool:
    """Place an order twice, which is once, and read it; return whether it was there to be read."""
    done = http.put(f"/orders/{order_id}", json={"customer": "ada", "articles": wanted})
    version = ledger.accept(order_id, wanted, done)
    assert http.put(f"/orders/{order_id}", json={"customer": "ada", "articles": wanted}).status_code == 409
    return read(http, order_id, done.headers[TOKEN], version)


def read(http: httpx.Client, order_id: str, token: str, version: int) -> bool:
    """Read with a token; return whether the answer is there already. If it is, it holds this version."""
    told = http.get(f"/orders/{order_id}", headers={TOKEN: token})
    if told.status_code == 503:
        assert told.json()["status"] == "not_yet_projected"
        return False
    assert told.status_code == 200, told.text
    assert told.json()["order"]["version"] >= version
    return True


@contextmanager
def serving(places: Places) -> Iterator[tuple[Processes, httpx.Client]]:
    """The three processes, and a client of the service once a projection answers."""
    places.prepare()
    with Processes(places) as processes, httpx.Client(base_url=processes.url, timeout=_PATIENCE) as http:
        processes.start(*ALL)
        assert eventually(lambda: _answers(http))
        yield processes, http


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/orders/nobody's").status_code == 404
    except httpx.TransportError:
        return False


def embedded(path: Path) -> Places:
    """Everything in three files."""
    service, log, store = (f"sqlite:///{path}/{name}.db" for name in ("service", "log", "store"))
    return Places(service, log, store)


@pytest.fixture(params=KILLS)
def parts(request: pytest.FixtureRequest) -> str:
    """What it runs on."""
    return str(request.param)


@pytest.fixture
def kills(parts: str) -> int:
    """How many there are."""
    return KILLS[parts]


@pytest.fixture
def places(request: pytest.FixtureRequest, parts: str, tmp_path: Path) -> Places:
    """Three files, or a broker and a database."""
    if parts == "embedded":
        return embedded(tmp_path)
    url = request.getfixturevalue("postgres_url")
    return Places(url, request.getfixturevalue("everwhen_kafka").url, url)


def test_what_is_accepted_is_projected_once_and_no_read_with_a_token_is_stale(places: Places, kills: int) -> None:
    """Clients write, also to one order at once, while relay and worker are killed and come back."""
    ledger, run = Ledger(), secrets.token_hex(4)
    with serving(places) as (processes, http), ThreadPoolExecutor(CLIENTS) as pool:
        done = http.put(f"/orders/{run}-common", json={"customer": "all"})
        ledger.accept(f"{run}-common", {}, done)
        clients = [pool.submit(Client(http, ledger, run, number).order_things) for number in range(CLIENTS)]
        for kill in range(kills):
            share = CLIENTS * ROUNDS * (kill + 1) // (kills + 2)
            assert eventually(partial(got_on, clients, ledger, share))
            kill_and_start_again(processes, http, ledger, f"{run}-dark-{kill}")
        for client in clients:
            client.result(_PATIENCE)
        for order_id, token in ledger.tokens.items():
            assert eventually(partial(read, http, order_id, token, ledger.versions[order_id]))
    with Reader(order, places.store) as reader:
        mine = (answer for answer in reader.snapshot() if answer.entity_id.startswith(run))
        states = {answer.entity_id: answer.require() for answer in mine}
    assert {each: Counter(state.articles) for each, state in states.items()} == ledger.articles
    assert {each: state.version for each, state in states.items()} == ledger.versions
    assert own_states(places, ledger.versions) == states
    assert ledger.conflicts >= CLIENTS - 1  # all expect the same version at first


def got_on(clients: Iterable[Future[None]], ledger: Ledger, accepted: int) -> bool:
    """Whether so much was accepted, or a client has ended before, and has something to say."""
    return ledger.has(accepted) or any(client.done() for client in clients)


def own_states(places: Places, order_ids: Iterable[str]) -> dict[str, Order | None]:
    """What the service itself has decided on, from its own table."""
    engine = connect(places.database)
    with Session(engine) as session:
        states = {each: load(session, each) for each in order_ids}
    engine.dispose()
    return states


def kill_and_start_again(processes: Processes, http: httpx.Client, ledger: Ledger, order_id: str) -> None:
    """Orders are taken without them, and a question with a token is told that it is too early."""
    processes.kill(RELAY, WORKER)
    assert not place(http, ledger, order_id, {"tea": 1})
    processes.start(RELAY, WORKER)


def test_one_command_starts_all_and_what_the_page_shows_is_so(tmp_path: Path) -> None:
    """Every command of the page is answered as it shows, and Ctrl-C leaves nothing behind."""
    command = [sys.executable, "-m", "examples.orders", "--directory", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=hear_interrupts) as running:
        assert running.stdout is not None
        url = re.search(r"http://[^/]+", running.stdout.readline())
        assert url is not None
        try:
            with httpx.Client(base_url=url[0], timeout=_PATIENCE) as http:
                assert eventually(lambda: _answers(http))
                assert follow(http, PAGE.read_text(), TOKEN) == 9
        finally:
            running.send_signal(signal.SIGINT)
        assert running.wait(_PATIENCE) == 0
    assert not processes_naming(tmp_path)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url[0])
