"""Which warnings fail a test of this folder."""

import warnings

import comfy.sample
import pytest
from sepme_pack.nodes import host


def warn_from(module):
    warnings.warn_explicit("something is old", UserWarning, module.__file__, 1, module.__name__)


def test_a_warning_of_the_pack_is_an_error():
    with pytest.raises(UserWarning, match="something is old"):
        warn_from(host)


def test_a_warning_of_the_host_is_not(recwarn):
    warn_from(comfy.sample)
    assert "something is old" in str(recwarn.pop(UserWarning).message)
