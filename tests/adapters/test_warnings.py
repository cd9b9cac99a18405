"""Which warnings fail a test of this folder."""

import comfy.sample
import pytest
from sepme_pack.nodes import host


def warn_from(module):
    exec("import warnings; warnings.warn('something is old')", module.__dict__)


def test_a_warning_of_the_pack_is_an_error():
    with pytest.raises(UserWarning, match="something is old"):
        warn_from(host)


def test_a_warning_of_the_host_is_not(recwarn):
    warn_from(comfy.sample)
    assert "something is old" in str(recwarn.pop(UserWarning).message)
