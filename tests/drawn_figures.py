"""What tests of several figures plant and read."""

import numpy as np
from frames_file import write_frames_file


def legend_texts(figure) -> list[str]:
    """Return the texts of all legends of a figure."""
    return [t.get_text() for legend in figure.legends for t in legend.get_texts()]


def write_frames(path, *poses: np.ndarray) -> None:
    """Write the frames of training and test poses; frame i is of the grey value 10 i."""
    grey = (10 * np.arange(len(each), dtype=np.uint8)[:, None, None, None] for each in poses)
    images = (np.broadcast_to(each, (len(each), 6, 8, 3)) for each in grey)
    splits = [
        {"images": seen, "world_from_cam": own} for seen, own in zip(images, poses, strict=True)
    ]
    write_frames_file(path, *splits, scene="chess")
