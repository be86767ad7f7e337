"""Run every benchmark, or those named: python -m benchmarks [reference] [rtl] [emission]."""

import sys

from benchmarks import emission, estimates, reference, rtl, search_scheduler

ALL = {
    "reference": reference.main,
    "rtl": rtl.main,
    "emission": emission.main,
    "estimates": estimates.main,
    "search_scheduler": search_scheduler.main,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        if name not in ALL:
            raise SystemExit(f"there is no benchmark {name!r}: choose from {', '.join(ALL)}")
        ALL[name]()
