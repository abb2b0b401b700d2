"""What all tests share: ``--engine`` runs the whole suite in one engine or the other."""

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=["auto", "paths", "plain"], help="engine for all tests that do not choose one")


def pytest_configure(config: pytest.Config) -> None:
    engine = config.getoption("--engine")
    if engine is not None:
        os.environ["IOCHAIN_ENGINE"] = engine  # also for the commands that tests run
