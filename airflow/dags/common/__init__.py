"""Code that DAGs share."""
