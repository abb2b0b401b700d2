"""What all tests share: ``--engine``, short for the plugin's ``--iochain-engine``, has one engine run the suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    choices = ["auto", "paths", "plain"]
    parser.addoption("--engine", dest="iochain_engine", choices=choices, help="the same as --iochain-engine")
