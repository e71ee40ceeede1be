"""Nothing leaves the box: a whole analysis, engines and their telemetry packages included, opens no socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.bundle_samples import write_bundle
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.phantom.make import Lesion, PhantomSpec, make_phantom

RUNTIME = Path(__file__).parents[2] / "runtime"

# Put before a program. Python's audit events (PEP 578) are raised below the socket module: creating a socket,
# connecting it, asking for an address, all raise here; so does a child that could do it instead, but for the reader of
# files, which gets a guard of its own. What is tried is kept: an error that somebody swallows would else go unseen.
GUARD = """
import json, os, socket, sys
from pathlib import Path

tried = []

def is_reader(event, arguments):
    return event == 'subprocess.Popen' and 'scanside_runtime.dicom.reader_process' in arguments[1]

def watch(event, arguments):
    if is_reader(event, arguments):
        return
    if event.startswith('socket.') or event in ('subprocess.Popen', 'os.posix_spawn', 'os.system', 'os.fork'):
        tried.append(event)
        raise PermissionError(event)

sys.addaudithook(watch)
"""
# What the interpreter of the reader runs first (site). It must say that it was there, and nothing else.
GUARD_OF_THE_READER = """
import os, sys

def note(line):
    with open(os.environ['TRIED_BY_THE_READER'], 'a') as file:
        file.write(line + '\\n')

def watch(event, arguments):
    if event.startswith('socket.') or event in ('subprocess.Popen', 'os.posix_spawn', 'os.system', 'os.fork'):
        note(event)
        raise PermissionError(event)

if 'scanside_runtime.dicom.reader_process' in sys.orig_argv:
    note('watched')
    sys.addaudithook(watch)
"""
ANALYSE = """
from scanside_runtime import Options, analyze
from scanside_runtime.settings.tables import InferenceSettings, Settings

series, bundle, engine = sys.argv[1:]
one_thread = Settings(inference=InferenceSettings(threads=1))
analysis = analyze(Path(series), Options(one_thread, engine, bundle=Path(bundle)))
links = [os.readlink(f'/proc/self/fd/{number}') for number in os.listdir('/proc/self/fd')
         if os.path.islink(f'/proc/self/fd/{number}')]
print(json.dumps({'document': analysis.document(), 'tried': tried, 'loaded': list(sys.modules),
                  'sockets': [link for link in links if link.startswith('socket:')]}))
sys.exit(analysis.exit_code)
"""


def guarded(program: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own that can't reach a network."""
    return subprocess.run(
        [sys.executable, "-c", GUARD + program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(RUNTIME), "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def phantom_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lesion = Lesion("ground_glass", "left", 0.4, 60.0, 0.6, (35.0, 35.0, 35.0), -550.0)
    phantom = make_phantom(
        PhantomSpec(seed=3, matrix=96, slice_thickness_mm=10.0, increment_mm=10.0, layer_mm=5.0, lesions=(lesion,))
    )
    folder = tmp_path_factory.mktemp("phantom")
    write_series(phantom.hu, phantom.spacing_mm, folder, origin_mm=phantom.origin_mm)
    return folder


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_whole_analysis_opens_no_socket(tmp_path: Path, phantom_series: Path, engine: str) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(GUARD_OF_THE_READER)
    tried = tmp_path / "tried.txt"
    path = f"{RUNTIME}{os.pathsep}{tmp_path / 'site'}"
    bundle = write_bundle(tmp_path / "bundle").folder
    done = guarded(ANALYSE, phantom_series, bundle, engine, PYTHONPATH=path, TRIED_BY_THE_READER=str(tried))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert tried.read_text() == "watched\n"
    seen = json.loads(done.stdout)
    assert seen["document"]["verdict"] == "analysed"
    assert seen["document"]["provenance"]["engine"]["name"] == engine
    assert seen["document"]["biomarkers"]["left"]["poi_percent"] > 0
    assert engine in seen["loaded"]
    assert seen["tried"] == []
    assert seen["sockets"] == []


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.getaddrinfo('localhost', 80)",
        "import _socket; _socket.socket()",
        "socket.socket().connect(('127.0.0.1', 9))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
        "import subprocess; subprocess.run(['true'])",
    ],
)
def test_the_guard_sees_every_attempt_even_one_whose_error_is_swallowed(attempt: str) -> None:
    swallowed = f"\ntry:\n    {attempt}\nexcept Exception:\n    pass\nprint(len(tried))"
    done = guarded(swallowed)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
