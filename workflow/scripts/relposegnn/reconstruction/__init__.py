"""Structure from motion with COLMAP: find the poses of photos that have none."""
