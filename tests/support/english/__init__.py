"""The offline model without a service: catalogs to ask about, and a driver that plays tools."""
