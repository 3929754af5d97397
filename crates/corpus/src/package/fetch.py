"""Fetches one wheel into one file, going on after the bytes that are there.

    fetch.py PACKAGE WHEEL PART [argument of `pip download` ...]

pip finds the wheel and carries the bytes, with its own configuration: index, proxy, certificates, credentials. What differs from
`pip download` is that the file it writes outlives the process. Exit status: 0 the file is complete, 1 it is not and what was
fetched stays, 3 this pip is not one that this script knows how to ask.
"""

import os
import sys
import time

UNKNOWN_PIP = 3
TRIES_WITHOUT_A_BYTE = 5
PIECE = 1 << 16

try:
    from pip._internal.commands import create_command
    from pip._vendor.requests.exceptions import RequestException
    from pip._vendor.urllib3.exceptions import HTTPError
except ImportError as error:
    print(error)
    sys.exit(UNKNOWN_PIP)

try:
    import fcntl
except ImportError:
    fcntl = None


def main(package, wheel, part, *arguments):
    command = create_command("download")
    with command.main_context():
        try:
            options, _ = command.parse_args(["--no-deps", "--no-cache-dir", *arguments, package])
            session = command.get_default_session(options)
            finder = command._build_package_finder(options=options, session=session)
            found = [candidate.link for candidate in finder.find_all_candidates(package)]
            urls = [link.url_without_fragment for link in found if link.filename == wheel]
        except (AttributeError, TypeError) as error:
            print(error)
            return UNKNOWN_PIP
        failure = fetch(session, urls[0], part) if urls else f"no {wheel} where pip looked"
        print(failure or "complete")
        return 1 if failure else 0


def fetch(session, url, part):
    """Why the file is not complete, or None."""
    parent = os.getppid()
    with open(part, "ab") as out:
        if fcntl:
            # The child of a killed process may still be writing: it notices at its next piece.
            fcntl.flock(out, fcntl.LOCK_EX)
        tries = 0
        while True:
            start = out.seek(0, os.SEEK_END)
            try:
                if receive(session, url, out, start, parent):
                    return None
                reason = "the server closed the connection early"
            except (RequestException, HTTPError, OSError) as error:
                reason = str(error)
            print(f"{out.tell()} bytes, then: {reason}", flush=True)
            tries = 0 if out.tell() > start else tries + 1
            if tries == TRIES_WITHOUT_A_BYTE:
                return reason
            time.sleep(2**tries / 4)


def receive(session, url, out, start, parent):
    """Appends what the server still has; whether that was all of it."""
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with session.get(url, headers=headers, stream=True) as response:
        if response.status_code == 416:
            # There is nothing after what we have; the hash will tell whether that is right.
            return True
        response.raise_for_status()
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            out.truncate(0)
        expected = response.headers.get("Content-Length")
        received = 0
        while piece := response.raw.read(PIECE):
            if os.getppid() != parent:
                sys.exit("whoever asked for this is gone")
            out.write(piece)
            out.flush()
            received += len(piece)
        return expected is None or received == int(expected)


sys.exit(main(*sys.argv[1:]))
