"""The demo tenant: a seeded, believable shop, loaded straight into the stores. The service itself never imports it."""

from segment_copilot.demo.loading import Progress, load_demo

__all__ = ["Progress", "load_demo"]
