"""Commands of curl that a page shows, with their answers, against a service that runs."""

from __future__ import annotations

import argparse
import json
import re
import shlex

import httpx


def follow(http: httpx.Client, page: str, carried: str) -> int:
    """Send what a page sends, and compare the answers with what it shows of them.

    :param carried: the header that is given back from one answer to the next commands, as ``$TOKEN``.
    :return: how many commands there are.
    """
    token, sent = "", 0
    for command, shown in re.findall(r"^\$ curl (.+)\n((?:[^$`].*\n)+)", page, re.MULTILINE):
        told = http.send(_request(http, command.replace("$TOKEN", token)))
        token = told.headers.get(carried, token)
        status, *others = shown.splitlines()
        assert f"HTTP/1.1 {told.status_code} {told.reason_phrase}" == status, (command, told.text)
        for line in others:
            if line.startswith("{"):
                assert told.json().items() >= json.loads(line).items(), command
            else:
                name, _, value = line.partition(": ")
                assert told.headers[name].startswith(value.removesuffix("…")), command
        sent += 1
    return sent


def _request(http: httpx.Client, arguments: str) -> httpx.Request:
    """What curl would send, as far as the page makes use of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-i", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("--json")
    parser.add_argument("url")
    asked = parser.parse_args(shlex.split(arguments))
    headers = dict(each.split(": ", 1) for each in asked.headers)
    body = None if asked.json is None else json.loads(asked.json)
    method = asked.method or ("GET" if body is None else "POST")
    return http.build_request(method, asked.url.removeprefix("localhost:8000"), headers=headers, json=body)
