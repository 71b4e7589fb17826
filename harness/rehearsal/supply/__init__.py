"""Tools and images: found, pulled or built, kept in a verified cache."""
