"""Matches of key points: focal lengths, points in space, and poses refined by them."""
