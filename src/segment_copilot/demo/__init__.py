"""Demo: a seeded, believable shop, loaded straight into the stores as a tenant. The service itself never imports it."""

from segment_copilot.demo.catcher import Catcher, connect_demo
from segment_copilot.demo.loading import OwnData, Progress, discard_demo, find_own_data, load_demo

__all__ = ["Catcher", "OwnData", "Progress", "connect_demo", "discard_demo", "find_own_data", "load_demo"]
