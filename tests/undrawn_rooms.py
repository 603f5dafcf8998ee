"""Generated rooms without what takes long, for tests that walk through them and see nothing."""

import pytest

from generated_rooms import rooms


def undrawn_room(seed: int) -> rooms.Room:
    """Return a room as ``build_room`` does, but for its textures: there are none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms.Surface, "draw", lambda *_: None)
        patch.setattr(rooms, "bake", lambda *_: [])
        return rooms.build_room(seed)
