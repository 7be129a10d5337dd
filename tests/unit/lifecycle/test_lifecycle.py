from collections.abc import Callable

import pytest

from unit.lifecycle.explorer import Explorer
from unit.lifecycle.scopes import SCOPES
from unit.lifecycle.world import Scope

Record = Callable[[str, object], None]


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.name)
def test_whatever_happens_esa_is_in_the_end_as_the_spec_says(scope: Scope, record_property: Record) -> None:
    found = Explorer(scope).run()
    record_property("states", found.states)

    assert found.whole
    assert not found.fault, str(found)
