"""Key-point matches, and what follows from them: focal lengths, points in space, refined poses."""
