"""Places without training: what a user is told of their accuracy."""

from test_photos_place import write_calibration

from relposegnn.estimates.predictions import ALL_EDGES, FIRST_EDGE, SOLVED
from relposegnn.photos.preparing import tell_quality
from relposegnn.scores.calibration import UNREFINED, Scale, read_calibration


def test_how_well_photos_can_be_localised_is_told_in_figures(tmp_path):
    scales = {
        FIRST_EDGE: Scale([0.1, 0, 0, 0], [2, 0, 0, 0], (2, 2), (0.3, 4.0), 180, (3, 90), 1.0),
        ALL_EDGES: Scale([0.1, 0, 0, 0], [2, 0, 0, 0], (2, 2), (0.1234, 2.0), 180, (3, 90), 1.0),
        SOLVED: Scale([1.5, 0], [1.2, 0], (2, 2), (0.0126, 0.345), 157, (3, 90), 0.5),
        UNREFINED: Scale([1.5], [1.2], (2, 2), (0.4, 7.0), 23, (3, 90)),
    }
    file = write_calibration(tmp_path / "c.json", **scales)
    assert tell_quality(read_calibration(file)).splitlines() == [
        "Accuracy for images of this place, each localised without those taken around it:",
        "  refined by matches: median error 0.013 m, 0.34 degrees (157 images)",
        "  not refined, too few matches: median error 0.400 m, 7.00 degrees (23 images)",
        "  by the network alone: median error 0.123 m, 2.00 degrees (180 images)",
    ]
    del scales[SOLVED]  # without a camera
    assert tell_quality(scales).splitlines()[1:] == [
        "  by the network alone: median error 0.123 m, 2.00 degrees (180 images)"
    ]
    assert "unknown, because it has too few images" in tell_quality({})
    scales[ALL_EDGES] = scales[ALL_EDGES]._replace(frames=59)
    assert tell_quality(scales).splitlines()[2:] == [
        "  Measured on fewer than 60 images, errors by the network alone are often larger than "
        "stated; add images to the place"
    ]
