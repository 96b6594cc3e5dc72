"""`seamless.transformer` and `seamless.config` re-export an upper package, or say what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["transformer", "config"])
def test_without_the_package_the_error_says_what_to_install(name):
    code = f"import sys; sys.modules['seamless_{name}'] = None; import seamless.{name}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert f"pip install seamless-{name}" in done.stderr


def test_an_error_inside_the_package_is_not_mistaken_for_its_absence():
    code = "import sys; sys.modules['seamless_worker'] = None; import seamless.transformer"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert "seamless_worker" in done.stderr
    assert "pip install" not in done.stderr


def test_the_front_door_has_every_public_name_of_the_package():
    import seamless.transformer
    import seamless_transformer

    assert seamless.transformer.__all__ == seamless_transformer.__all__
    assert seamless.transformer.direct is seamless_transformer.direct
