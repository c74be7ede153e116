"""``python -m examples.flights``."""

from examples.flights.demo import main

if __name__ == "__main__":  # the demo's processes import this module too
    main(prog_name="python -m examples.flights")
