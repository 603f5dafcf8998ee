"""Structure from motion: poses for photos that have none, found by COLMAP."""
