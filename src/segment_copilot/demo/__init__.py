"""The demo tenant: a seeded, believable shop, loaded straight into the stores."""
