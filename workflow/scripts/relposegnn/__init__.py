"""Where photos were taken: relative poses to similar images, by networks on graphs of these.

``photos.localiser.Localiser`` finds poses of photos in a place that stays loaded (docs/live.md);
docs/architecture.md has the steps that make a place, one call each. What a user gave that is wrong
raises ``runtime.InputError``. Poses are ``a_from_b``, metres, the camera's axes OpenCV's.
"""

from .version import VERSION

__version__ = VERSION
