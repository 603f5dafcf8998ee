import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import httpx
import pytest
from project import REPOSITORY
from serving_place import client, send_by_hand
from test_photos_place import place_in, write_calibration

from relposegnn.photos.chosen_place import chosen_place
from relposegnn.photos.place import write_place
from relposegnn.runtime import InputError
from relposegnn.serving import command, running
from relposegnn.serving.addresses import bind
from relposegnn.serving.application import Bounds
from relposegnn.serving.command import main
from relposegnn.serving.connections import PATIENCE

BOUNDS = Bounds(limit=1000, queue=2)
SERVE = """
import sys, time
from relposegnn.serving import command, running
from relposegnn.serving.application import Bounds

class Place:
    scene, map = "study", {}
    def check(self):
        pass
    def localise(self, photo, focal_length):
        print("in work", flush=True)
        time.sleep(0.3 if len(photo) < 10 else 1000)
        return {"bytes": len(photo)}

command._serve = lambda options: running.serve(
    Place(), Bounds(options.limit, options.queue), command.bind(options.host, options.port))
sys.exit(command.main(sys.argv[1:]))
"""


def heed_signals():
    """Undo that signals are ignored: by a shell, of tests in the background, or by nohup."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def started(terminal=(None, subprocess.PIPE)):
    """Start the command with a planted place, which needs no torch; return process and address.

    Its output comes through a pipe, or a ``terminal``: both ends of ``os.openpty``.
    """
    paths = str(REPOSITORY / "workflow/scripts")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "--scene", "study", "--port", "0"],
        env={"PYTHONPATH": paths, "PATH": ""}, stdout=terminal[1], text=True,
        stderr=subprocess.STDOUT,
        preexec_fn=heed_signals,
    )  # fmt: skip
    if process.stdout is None:
        os.close(terminal[1])
        process.stdout = os.fdopen(terminal[0], encoding="utf-8")
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.match(r"serving at http://(\S+):(\d+)/ ", line):
            return process, found
    raise AssertionError("".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_service_when_its_photos_are_answered(signal_number):
    process, found = started()
    assert found[1] == "127.0.0.1"
    answers = []
    address = f"http://127.0.0.1:{found[2]}"

    def ask(row):
        answers.append(client(address).post("/localise", content=bytes(row + 1)))

    asking = [threading.Thread(target=ask, args=(row,)) for row in range(3)]
    for thread in asking:
        thread.start()
    assert process.stdout.readline() == "in work\n"
    with client(address) as counting:
        while counting.get("/health").json()["inside"] < 3 - len(answers):
            time.sleep(0.02)
    process.send_signal(signal_number)
    for thread in asking:
        thread.join()
    assert sorted(answer.json()["bytes"] for answer in answers) == [1, 2, 3]
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert "no new photos" in rest
    assert rest.endswith("ended\n")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(found[2])))


@pytest.mark.slow
def test_a_photo_is_answered_even_if_the_terminal_is_closed():
    process, found = started(os.openpty())
    asked = send_by_hand(f"http://127.0.0.1:{found[2]}", bytes(2))
    assert process.stdout.readline() == "in work\n"
    process.stdout.close()
    process.send_signal(signal.SIGHUP)
    assert asked.recv(1000).startswith(b"HTTP/1.1 200 ")
    asked.close()
    process.wait(timeout=60)


@pytest.mark.slow
def test_a_second_interruption_leaves_the_photo_in_work_and_those_that_wait():
    process, found = started()
    asked = [send_by_hand(f"http://127.0.0.1:{found[2]}", bytes(10)) for _ in range(2)]
    assert process.stdout.readline() == "in work\n"
    with client(f"http://127.0.0.1:{found[2]}") as counting:
        while counting.get("/health").json()["inside"] < 2:
            time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert any(line.startswith("no new photos") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert rest.endswith("ended\n")
    assert "Traceback" not in rest
    for each in asked:
        assert each.recv(1000).startswith(b"HTTP/1.1 503 ")
        each.close()


def test_another_host_is_told_what_it_means_and_may_have_any_name(monkeypatch, capsys):
    made = []
    monkeypatch.setattr(running._Server, "run", lambda self, sockets: made.append(self.config.app))
    for host in ("0.0.0.0", "127.0.0.1"):  # noqa: S104  that is the question
        with bind(host, 0) as listening:
            place = SimpleNamespace(scene="", map={}, localise=None, check=lambda: None)
            running.serve(place, BOUNDS, listening)
    told = capsys.readouterr().out
    assert told.startswith("--host 0.0.0.0: anyone who can reach this machine can see the map")
    assert "127.0.0.1" not in told

    async def ask(application):
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://attic") as asking:
            return (await asking.get("/health")).status_code

    assert [asyncio.run(ask(application)) for application in made] == [200, 403]


def test_a_connection_stays_open_between_photos_that_are_seconds_apart(monkeypatch):
    made = []
    monkeypatch.setattr(running._Server, "run", lambda self, sockets: made.append(self.config))
    with bind("127.0.0.1", 0) as listening:
        place = SimpleNamespace(scene="", map={}, localise=None, check=lambda: None)
        running.serve(place, BOUNDS, listening)
    assert made[0].timeout_keep_alive == PATIENCE >= 60


def test_a_port_that_is_taken_is_told():
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: cannot be used .* in use"):
            bind("127.0.0.1", port)


def test_a_port_that_another_service_took_while_the_place_was_loaded_is_told():
    """Both could bind it, because neither listened."""
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with bind("127.0.0.1", port) as late:
            taken.listen()
            place = SimpleNamespace(scene="", map={}, localise=None, check=lambda: None)
            with pytest.raises(InputError, match=f"--port {port}: cannot be used .* in use"):
                running.serve(place, BOUNDS, late)


@pytest.mark.parametrize("host", ["no such", "a..b"])
def test_a_host_that_is_none_is_told(host):
    with pytest.raises(InputError, match=f"--host {host}: is not an address"):
        bind(host, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "one of the arguments --scene --map is required"),
        (
            ["--scene", "a", "--model", "m.pt"],
            "--model, --lost-poses and --database-focal-length are for --map",
        ),
        (["--map", "a", "--run", "joint"], "--run and --results are for --scene"),
        (["--scene", "a", "--port", "70000"], "got 70000, expected 0 to 65535 as a port"),
        (["--scene", "a", "--limit", "0"], "got 0, expected 1 to .* bytes"),
        (["--scene", "a", "--queue", "x"], "got x, expected 1 to .* photos"),
        (["--scene", "a", "--focal-length", "nan"], "got nan, expected 0.1 to 10 longer sides"),
    ],
)
def test_wrong_options_are_told(options, message, capsys):
    with pytest.raises(SystemExit):
        main(options)
    assert re.search(message, capsys.readouterr().err)


def test_a_place_that_is_not_there_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--scene", "attic", "--port", "0"]) == 1
    assert "relposegnn serve: results: has no scene 'attic'" in capsys.readouterr().err


def test_options_reach_the_place(tmp_path, monkeypatch):
    results = tmp_path / "results/made"
    write_place(results / "runs/joint/places/study.json", place_in(tmp_path))
    write_calibration(place_in(tmp_path).calibration)
    monkeypatch.chdir(tmp_path)
    options = ["--scene", "study", "--min-confidence", "0.7", "--netvlad", "n.tar"]
    with chosen_place(command._parser().parse_args(options)) as place:
        assert (place.minimum_confidence, str(place.describer)) == (0.7, "n.tar")
        assert place.candidates == place_in(tmp_path).candidates
