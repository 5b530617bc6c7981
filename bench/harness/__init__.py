"""What bench/compare stands on: building, running, reporting. Standard library only."""
