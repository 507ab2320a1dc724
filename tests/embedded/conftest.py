"""Engines that these tests may kill, and data directories for more of them."""

from __future__ import annotations

import pytest

from tests.support.engines import data_directory, run_embedded


@pytest.fixture
def data_dir():
    """A data directory of this test, of the kind `start_engines` takes."""
    with data_directory() as path:
        yield path


@pytest.fixture(scope="session")
def engines():
    """Engines of this folder alone. A test that ends one brings it back with `restart`, on the same URL."""
    with run_embedded() as running:
        yield running
