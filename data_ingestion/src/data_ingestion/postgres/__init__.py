"""The warehouse: its connection, the schema `raw`, and COPY's binary format."""
