"""Run the command line with `python -m data_ingestion`."""

from data_ingestion.cli import run

if __name__ == "__main__":
    run()
