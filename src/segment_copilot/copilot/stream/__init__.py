"""The room of what a run says: typed events, and their forms on the wire. It knows neither models nor tools."""
