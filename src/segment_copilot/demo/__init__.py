"""Demo: a seeded, believable shop, loaded straight into the stores as a tenant. The service itself never imports it."""

from segment_copilot.demo.loading import Progress, load_demo

__all__ = ["Progress", "load_demo"]
